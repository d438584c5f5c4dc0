"""What ``pocketr1 chat`` keeps, folds and takes, in a terminal of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pty_terminal import Terminal

from pocketr1.chat.history import FILE, History

Start = Callable[..., Terminal]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return a function that begins a chat with Tiny R1; its store is the test's own."""
    programs: list[Terminal] = []

    def begin(*options: str, **environment: str) -> Terminal:
        line = [sys.executable, "-m", "pocketr1", "chat", "tiny", "--temperature", "0", *options]
        own = {"XDG_STATE_HOME": str(tmp_path / "state"), "POCKETR1_DATA_DIR": str(tmp_path)}
        program = Terminal(line, own | environment, columns=100)
        programs.append(program)
        program.wait_for("Ctrl-D leaves.")
        program.wait_for("> ")
        return program

    yield begin
    for program in programs:
        program.kill()


def ask(program: Terminal, text: str) -> str:
    """Ask, and return what is shown up to the next prompt."""
    program.type(f"{text}\n")
    shown = program.wait_for("ended by")
    return shown + program.wait_for("> ")


def quit_chat(program: Terminal) -> None:
    program.type("/quit\n")
    assert program.leave() == 0
    assert "Traceback" not in program.seen


def test_a_thought_is_folded_and_can_be_shown(start: Start) -> None:
    program = start()
    shown = ask(program, "What is 17 times 23?")
    assert "\r\x1b[K\x1b[2mThinking" in shown
    folded = shown[shown.index("Thought for") :]
    assert "tokens); /think" in " ".join(folded.split())
    assert "391" in folded
    program.type("/think show\n")
    thought = program.wait_for("> ")
    assert "17" in thought and "Thought for" not in thought
    quit_chat(program)


def test_a_thought_streams_where_it_is_asked_for(start: Start) -> None:
    shown = ask(start("--show-thinking"), "What is 17 times 23?")
    assert "Thinking" not in shown and "Thought for" not in shown


def test_a_dumb_terminal_gets_no_escapes(start: Start) -> None:
    program = start(TERM="dumb")
    shown = ask(program, "What is 17 times 23?")
    assert "Thinking…" in shown and "Thought for" in shown
    assert "\x1b[2m" not in shown and "\x1b[K" not in shown


def test_no_colour_is_heeded(start: Start) -> None:
    assert "\x1b[2m" not in ask(start(NO_COLOR="1"), "What is 17 times 23?")


def test_thinking_is_switched(start: Start) -> None:
    program = start()
    program.type("/think off\n")
    program.wait_for("without a thought")
    program.wait_for("> ")
    assert "Thought for" not in ask(program, "What is 17 times 23?")
    program.type("/think 5\n")
    program.wait_for("at most 5 tokens")
    program.type("/think perhaps\n")
    program.wait_for("error[cli-chat-think-value]")


def test_several_lines_are_one_question(start: Start, tmp_path: Path) -> None:
    program = start("--max-tokens", "3")
    program.type("one \\\n")
    program.wait_for(". ")
    ask(program, "two")
    program.type('"""three\n')
    program.wait_for(". ")
    program.type("four\n")
    program.wait_for(". ")
    ask(program, '"""')
    ask(program, "\x1b[200~five\nsix\x1b[201~")
    quit_chat(program)
    with History(tmp_path / FILE) as kept:
        (summary,) = kept.conversations().conversations
        said = kept.conversation(summary.id).messages
    assert [m.content for m in said if m.role == "user"] == [
        "one \ntwo",
        "three\nfour",
        "five\nsix",
    ]


def test_ctrl_c_twice_at_the_prompt_leaves(start: Start) -> None:
    program = start()
    program.interrupt("Ctrl-C again")
    program.wait_for("> ")
    program.interrupt("Leaving.")
    assert program.leave() == 0
    assert "Traceback" not in program.seen


def test_a_conversation_is_found_again_and_goes_on(start: Start, tmp_path: Path) -> None:
    program = start()
    ask(program, "What is 17 times 23?")
    program.type("/new\n")
    program.wait_for("A new conversation")
    program.wait_for("> ")
    ask(program, "What is 2 plus 2?")
    quit_chat(program)
    again = start()
    again.type("/resume\n")
    again.wait_for(" 1  What is 2 plus 2?")
    again.wait_for(" 2  What is 17 times 23?")
    again.wait_for("> ")
    again.type("/resume 2\n")
    again.wait_for("goes on.")
    again.wait_for("391")
    again.wait_for("> ")
    ask(again, "What is 3 plus 4?")
    quit_chat(again)
    with History(tmp_path / FILE) as kept:
        newest = kept.conversations().conversations[0]
        assert (newest.title, newest.messages) == ("What is 17 times 23?", 4)
        assert {m.state for m in kept.conversation(newest.id).messages} == {"done"}


@pytest.mark.parametrize("words", ["last", "times", "id"])
def test_a_chat_begins_with_an_earlier_conversation(
    start: Start, tmp_path: Path, words: str
) -> None:
    with History(tmp_path / FILE) as kept:
        id = kept.create("17 times 23").id
    program = start("--resume", id[:6] if words == "id" else words)
    assert "17 times 23 (0 messages)" in " ".join(program.seen.split())
    ask(program, "What is 2 plus 2?")
    with History(tmp_path / FILE) as kept:
        assert len(kept.conversation(id).messages) == 2


def test_a_stopped_answer_is_kept(start: Start, tmp_path: Path) -> None:
    options = ("--show-thinking", "--no-loop-check", "--temperature", "5")
    program = start(*options, POCKETR1_ISA="scalar")
    program.type("What is 1234 times 5678 times 17?\n")
    program.wait_for("\x1b[2m")
    program.type("\x03")
    program.wait_for("Stopped.")
    program.wait_for("> ")
    with History(tmp_path / FILE) as kept:
        (summary,) = kept.conversations().conversations
        assert kept.conversation(summary.id).messages[1].state == "stopped"


def test_another_answer_is_a_branch_and_so_is_an_edit(start: Start, tmp_path: Path) -> None:
    program = start()
    ask(program, "What is 2 plus 2?")
    ask(program, "/regenerate")
    ask(program, "/edit What is 3 plus 3?")
    quit_chat(program)
    with History(tmp_path / FILE) as kept:
        (summary,) = kept.conversations().conversations
        said = kept.conversation(summary.id).messages
    assert [m.role for m in said] == ["user", "assistant", "assistant", "user", "assistant"]
    assert [m.parent for m in said[:4]] == [None, said[0].id, said[0].id, None]


def test_a_conversation_is_saved_and_nothing_written_over(start: Start, tmp_path: Path) -> None:
    program = start()
    program.type("/save\n")
    program.wait_for("Nothing has been said yet.")
    program.wait_for("> ")
    ask(program, "What is 2 plus 2?")
    for name in ("talk.md", "talk.json"):
        program.type(f"/save {tmp_path / name}\n")
        program.wait_for("Saved as")
        program.wait_for("> ")
    assert "What is 2 plus 2?" in (tmp_path / "talk.md").read_text("utf-8")
    with History(None) as other:
        assert other.load(json.loads((tmp_path / "talk.json").read_text("utf-8"))) == 1
    (tmp_path / "talk.md").write_text("mine")
    program.type(f"/save {tmp_path / 'talk.md'}\n")
    program.wait_for("? ")
    program.wait_for("? ")
    program.type("n\n")
    program.wait_for("left as")
    assert (tmp_path / "talk.md").read_text() == "mine"
    program.type(f"/save {tmp_path / 'talk.exe'}\n")
    program.wait_for("error[cli-chat-save-suffix]")


def test_figures_and_facts_are_shown(start: Start) -> None:
    program = start()
    ask(program, "What is 2 plus 2?")
    program.type("/stats\n")
    shown = program.wait_for("> ")
    assert "context" in shown and "tok/s" in shown and "kept in" in shown
    program.type("/model\n")
    assert "architecture" in program.wait_for("> ")


def test_the_tab_key_completes_commands(start: Start) -> None:
    program = start()
    program.type("/mod\t\n")
    program.wait_for("architecture")


def test_nothing_is_kept_where_it_is_not_wanted(start: Start, tmp_path: Path) -> None:
    program = start("--no-history")
    ask(program, "What is 2 plus 2?")
    ask(program, "What is 3 plus 3?")
    quit_chat(program)
    assert not (tmp_path / FILE).exists()
    assert not (tmp_path / "state" / "pocketr1" / "chat_history").exists()


def test_a_pipe_keeps_nothing_unless_asked(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "pocketr1", "chat", "tiny", "--max-tokens", "3"]
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "POCKETR1_DATA_DIR": str(tmp_path / "data")}
    for option, there in ((), False), (("--history",), True):
        run = subprocess.run(
            [*line, *option], input="A \\\n", text=True, capture_output=True, env=environment
        )
        assert run.returncode == 0, run.stderr
        assert (tmp_path / "data" / FILE).exists() == there


def test_a_damaged_store_is_told_and_the_chat_goes_on(start: Start, tmp_path: Path) -> None:
    damaged = b"not a database, and long enough to be sure of it" * 200
    (tmp_path / FILE).write_bytes(damaged)
    program = start()
    assert "error[history-foreign]" in program.seen and "is not kept" in program.seen
    ask(program, "What is 2 plus 2?")
    quit_chat(program)
    assert (tmp_path / FILE).read_bytes() == damaged


def test_what_the_page_deletes_is_begun_anew(start: Start, tmp_path: Path) -> None:
    program = start()
    ask(program, "What is 2 plus 2?")
    with History(tmp_path / FILE) as page:
        page.erase()
    shown = ask(program, "What is 3 plus 3?")
    assert "error[history-no-" in shown
    with History(tmp_path / FILE) as page:
        assert page.conversations().conversations[0].title == "What is 3 plus 3?"
