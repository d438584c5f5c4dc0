"""The store of conversations."""

from __future__ import annotations

import copy
import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pocketr1.chat.history import (
    FILE,
    History,
    Outcome,
    branch,
    database,
    markdown,
    prompt_messages,
)
from pocketr1.errors import HistoryError

DONE = Outcome("done", "stop", {"completion_tokens": 3})


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    with History(tmp_path / "data" / FILE) as opened:
        yield opened


def say(history: History, question: str, answer: str, id: str | None = None) -> str:
    """Ask and answer; return the conversation's id."""
    id = id or history.create().id
    leaf = history.conversation(id).leaf
    _, reply = history.ask(id, leaf, question, "tiny")
    history.grow(reply.id, "hm", "")
    history.finish(reply.id, DONE, "", answer)
    return id


def code(caught: pytest.ExceptionInfo[HistoryError]) -> str:
    assert str(caught.value)
    return caught.value.code


def test_it_is_readable_by_its_owner_alone(history: History, tmp_path: Path) -> None:
    say(history, "A", "B")
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "data").iterdir()}
    assert modes.pop(f"{FILE}.writers") == 0o700
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_others_lose_what_they_could_read(tmp_path: Path) -> None:
    History(tmp_path / FILE).close()
    (tmp_path / FILE).chmod(0o644)
    History(tmp_path / FILE).close()
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


def test_the_title_is_the_first_words_until_it_is_renamed(history: History) -> None:
    id = say(history, "  Why is\nthe sky blue, and " + "so very " * 20, "A")
    title = history.conversation(id).title
    assert title.startswith("Why is the sky blue, and so") and title.endswith("…")
    assert len(title) <= 61
    history.change(id, title="Sky")
    say(history, "More", "B", id)
    assert history.conversation(id).title == "Sky"
    assert len(history.conversation(say(history, "天" * 200, "A")).title) == 61


def test_a_reply_grows_and_is_read_while_it_grows(history: History, tmp_path: Path) -> None:
    id = history.create().id
    _, reply = history.ask(id, None, "A", "tiny")
    with History(tmp_path / "data" / FILE) as other:
        for piece in "xyz":
            history.grow(reply.id, piece.upper(), piece)
            assert other.message(reply.id).content.endswith(piece)
        assert other.message(reply.id).state == "running"
        history.finish(reply.id, DONE, "", "!")
        found = other.message(reply.id)
    assert (found.reasoning, found.content, found.state) == ("XYZ", "xyz!", "done")


def test_a_search_finds_words_of_one_conversation(history: History) -> None:
    blue = say(history, "天空为什么是蓝色的？", "Rayleigh scattering")
    green = say(history, "Why is grass green? 100%", "C:\\grass_land")

    def found(query: str) -> list[str]:
        return [c.id for c in history.conversations(query).conversations]

    assert found("") == [green, blue]
    assert found("蓝色") == found("天空 RAYLEIGH") == [blue]
    assert found("蓝") == [blue] and found("绿") == []
    assert found("grass") == found("100%") == found("s_l") == found("\\g") == [green]
    assert found("1%0") == found("grass 天空") == []
    (hit,) = history.conversations("scattering").conversations
    assert "scattering" in hit.snippet and hit.messages == 2


def test_pages_meet_without_a_gap(history: History) -> None:
    ids = [say(history, f"question {number}", "A") for number in range(7)]
    listed: list[str] = []
    cursor = None
    while True:
        page = history.conversations(limit=3, before=cursor)
        listed += [c.id for c in page.conversations]
        cursor = page.next
        if cursor is None:
            break
    assert listed == ids[::-1]
    for bad in ("x", "nan~a", ""):
        with pytest.raises(HistoryError) as caught:
            history.conversations(before=bad)
        assert code(caught) == "history-cursor"


def test_what_is_deleted_is_in_no_file(history: History, tmp_path: Path) -> None:
    kept = say(history, "keep me", "kept text")
    gone = say(history, "xyzzy in a question", "xyzzy " * 3000)

    def files() -> bytes:
        return b"".join(p.read_bytes() for p in (tmp_path / "data").iterdir() if p.is_file())

    assert b"xyzzy" in files()
    history.delete(gone)
    assert b"xyzzy" not in files() and b"kept text" in files()
    assert [c.id for c in history.conversations().conversations] == [kept]
    history.erase()
    assert b"kept text" not in files()


def test_a_crash_leaves_a_stopped_reply(tmp_path: Path) -> None:
    program = f"""
import sys, time
from pathlib import Path
from pocketr1.chat.history import History
history = History(Path({str(tmp_path / FILE)!r}))
_, reply = history.ask(history.create().id, None, "A", "tiny")
history.grow(reply.id, "", "half an answer")
print(reply.id, flush=True)
time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    reply = process.stdout.readline().strip()
    with History(tmp_path / FILE) as other:
        assert other.message(reply).state == "running"  # its writer lives
        assert other.recover() == 0
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert other.recover() == 1
        found = other.message(reply)
    assert (found.state, found.finish_reason, found.content) == (
        *("stopped", "cancelled"),
        "half an answer",
    )
    assert list((tmp_path / f"{FILE}.writers").iterdir()) == []


def test_a_stopped_process_is_not_taken_for_dead(tmp_path: Path) -> None:
    with History(tmp_path / FILE) as first, History(tmp_path / FILE) as second:
        _, reply = first.ask(first.create().id, None, "A")
        assert second.recover() == 0
        assert second.conversation(reply.conversation).messages[1].state == "running"


def test_a_newer_store_is_left_alone(tmp_path: Path) -> None:
    with History(tmp_path / FILE) as history:
        say(history, "A", "B")
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(HistoryError) as caught:
        History(tmp_path / FILE)
    assert code(caught) == "history-newer"
    assert (tmp_path / FILE).read_bytes() == before


@pytest.mark.parametrize("kind", ["text", "other"])
def test_a_foreign_file_is_left_alone(tmp_path: Path, kind: str) -> None:
    path = tmp_path / FILE
    if kind == "text":
        path.write_bytes(b"somebody's notes " * 1000)
    else:
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE mine(a)")
        connection.close()
    before = path.read_bytes()
    with pytest.raises(HistoryError) as caught:
        History(path)
    assert code(caught) == "history-foreign"
    assert path.read_bytes() == before


def test_a_damaged_file_is_told_and_kept(tmp_path: Path) -> None:
    path = tmp_path / FILE
    with History(path) as history:
        for _ in range(20):
            say(history, "A" * 3000, "B" * 3000)
    data = bytearray(path.read_bytes())
    data[4096 : len(data) - 4096] = os.urandom(len(data) - 8192)
    path.write_bytes(data)
    with pytest.raises(HistoryError) as caught, History(path) as history:
        history.export()
    assert code(caught) == "history-damaged"
    assert len(path.read_bytes()) == len(data)


def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    with pytest.raises(HistoryError) as caught:
        History(tmp_path / "file" / FILE)
    assert code(caught) == "history-unusable"


def test_a_full_disk_loses_nothing_that_was_kept(tmp_path: Path) -> None:
    with History(tmp_path / FILE) as history:
        id = say(history, "A", "B")
        pages = history._database.rows("PRAGMA page_count")[0][0]
        history._database.rows(f"PRAGMA max_page_count = {pages}")  # as a full disk
        with pytest.raises(HistoryError) as caught:
            history.ask(id, history.conversation(id).leaf, "x" * 100_000)
        assert code(caught) == "history-full"
        assert [m.content for m in history.conversation(id).messages] == ["A", "B"]
        history.delete(id)
        assert history.conversations().conversations == ()


def test_several_threads_and_processes_write_at_once(tmp_path: Path) -> None:
    def write(number: int) -> None:
        with History(tmp_path / FILE) as own:
            for turn in range(5):
                say(own, f"{number} {turn}", "A")

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with History(tmp_path / FILE) as history:
        assert len(history.conversations(limit=100).conversations) == 20


def test_a_memory_store_writes_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with History(None) as history:
        say(history, "A", "B")
        assert history.conversations().conversations[0].title == "A"
    assert list(tmp_path.iterdir()) == []


def test_half_characters_are_kept_as_replacement(history: History) -> None:
    id = say(history, "half \ud800 a pair", "and \udfff here")
    assert [m.content for m in history.conversation(id).messages] == [
        "half \ufffd a pair",
        "and \ufffd here",
    ]


def test_an_export_comes_back_the_same(history: History) -> None:
    id = say(history, "天空？", "蓝")
    say(history, "More", "B", id)
    history.retry(id, history.conversation(id).messages[0].id)
    history.change(id, title="T", system="S", settings={"top_k": 3})
    document = json.loads(json.dumps(history.export()))
    before = history.conversation(id)
    history.erase()
    assert history.load(document) == 1
    after = history.conversation(id)
    assert after.messages[:4] == before.messages[:4]
    assert (after.title, after.system, after.settings, after.leaf) == (
        *("T", "S", {"top_k": 3}),
        before.leaf,
    )
    # What was being written cannot go on from a file.
    assert [m.state for m in after.messages] == ["done"] * 4 + ["stopped"]
    assert history.load(document) == 0


def test_an_import_adds_and_never_overwrites(history: History) -> None:
    id = say(history, "A", "B")
    document = history.export()
    history.change(id, title="renamed since")
    document["conversations"][0]["messages"][1]["content"] = "forged"
    say(history, "C", "D", id)
    assert history.load(document) == 0
    found = history.conversation(id)
    assert found.title == "renamed since"
    assert [m.content for m in found.messages] == ["A", "B", "C", "D"]
    grown = history.export()
    with History(None) as other:
        other.load(document)
        assert other.load(grown) == 1
        assert len(other.conversation(id).messages) == 4


def test_an_id_that_another_conversation_has_is_given_anew(history: History) -> None:
    id = say(history, "A", "B")
    document = history.export()
    document["conversations"][0]["id"] = "another"
    assert history.load(document) == 1
    assert [m.content for m in history.conversation("another").messages] == ["A", "B"]
    found = history.conversation("another")
    assert [m.content for m in branch(found.messages, found.leaf)] == ["A", "B"]
    assert history.conversation(id).messages[0].id != found.messages[0].id
    assert history.load(document) == 0


def spoil(document: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    place: Any = document
    *steps, last = [int(s) if s.isdigit() else s for s in path.split(".")]
    for step in steps:
        place = place[step]
    place[last] = value
    return document


MESSAGE = "conversations.1.messages"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("format", "another"),
        ("version", 0),
        ("version", "1"),
        ("conversations", {}),
        ("conversations.1", []),
        ("conversations.1.id", "../../etc/passwd"),
        ("conversations.1.id", "x" * 65),
        ("conversations.1.created", float("nan")),
        ("conversations.1.updated", "yesterday"),
        ("conversations.1.leaf", "nobody"),
        ("conversations.1.system", 7),
        ("conversations.1.settings", {"a": [[[[[[[[[1]]]]]]]]]}),
        (f"{MESSAGE}.0.role", "system"),
        (f"{MESSAGE}.0.content", None),
        (f"{MESSAGE}.0.created", -1),
        (f"{MESSAGE}.1.role", "user"),
        (f"{MESSAGE}.1.parent", None),
        (f"{MESSAGE}.1.parent", "nobody"),
        (f"{MESSAGE}.1.state", "running"),
        (f"{MESSAGE}.1.stats", [1]),
    ],
)
def test_a_bad_file_is_refused_whole(history: History, path: str, value: object) -> None:
    say(history, "A", "B")
    say(history, "C", "D")
    document = spoil(copy.deepcopy(history.export()), path, value)
    with History(None) as other:
        with pytest.raises(HistoryError) as caught:
            other.load(document)
        assert code(caught) == "history-import"
        assert other.conversations().conversations == ()


def test_a_file_of_a_newer_version_is_refused(history: History) -> None:
    with pytest.raises(HistoryError) as caught:
        history.load(history.export() | {"version": 2})
    assert code(caught) == "history-import-newer"


def test_markdown_shows_one_branch(history: History) -> None:
    id = say(history, "# A heading\n\n1. a list", "**bold**")
    question = history.conversation(id).messages[0].id
    other = history.retry(id, question, "tiny")
    history.finish(other.id, Outcome("stopped", "cancelled"), "first\n\nthen", "half")
    text = markdown(history.conversation(id))
    assert text.startswith("# # A heading 1. a list\n")
    assert "> first\n>\n> then" in text and "half" in text and "Stopped here." in text
    assert "**bold**" not in text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("## You\nwhat?\n### more", " ## You\nwhat?\n### more"),
        ("```sh\n## step\n```\n## End", "```sh\n## step\n```\n ## End"),
        ("~~~~\n~~~\n## in\n~~~~~\n## out", "~~~~\n~~~\n## in\n~~~~~\n ## out"),
        ("```a`b```\n## You", "```a`b```\n ## You"),
        ("```python\nx = 1", "```python\nx = 1\n```"),
        ("> **Thought**\n> so", " > **Thought**\n> so"),
    ],
)
def test_markdown_keeps_headings_and_fences_of_a_text_apart_from_its_own(
    history: History, text: str, shown: str
) -> None:
    id = say(history, text, text)
    say(history, "B", "C", id)
    history.change(id, system=text)
    assert markdown(history.conversation(id)).count(f"\n\n{shown}\n\n") == 3


def test_a_stopped_thought_is_closed_and_a_failed_question_left_out(history: History) -> None:
    id = history.create().id
    _, first = history.ask(id, None, "A")
    history.finish(first.id, Outcome("stopped", "cancelled"), "half a thou", "")
    _, failed = history.ask(id, first.id, "too long")
    history.finish(failed.id, Outcome("failed", error={"message": "m", "code": "c"}))
    history.ask(id, failed.id, "B")
    said = history.conversation(id).messages
    assert prompt_messages("S", branch(said, said[-2].id)) == [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "A"},
        {"role": "assistant", "content": "<think>\nhalf a thou\n</think>\n\n"},
        {"role": "user", "content": "B"},
    ]


def test_a_question_taken_back_leaves_no_trace(history: History) -> None:
    id = say(history, "A", "B")
    before = history.conversation(id)
    question, _ = history.ask(id, before.leaf, "never mind")
    history.withdraw(question.id)
    after = history.conversation(id)
    assert (after.messages, after.leaf) == (before.messages, before.leaf)


def test_a_deletion_while_another_reads_is_done_and_scrubbed_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_BUSY_SECONDS", 0.05)
    path = tmp_path / FILE
    with History(path) as history, closing(sqlite3.connect(path)) as other:
        id = say(history, "the secret word is xyzzy", "xyzzy")
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM message").fetchone()
        history.delete(id)
        assert history.unscrubbed
        assert history.conversations().conversations == ()
        other.execute("COMMIT")
        history.conversations()
        assert not history.unscrubbed
        files = [each for each in tmp_path.iterdir() if each.is_file()]
        assert not any(b"xyzzy" in each.read_bytes() for each in files)


def test_erasing_while_another_reads_is_done_and_scrubbed_at_the_close(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_BUSY_SECONDS", 0.05)
    path = tmp_path / FILE
    with History(path) as history, closing(sqlite3.connect(path)) as other:
        say(history, "the secret word is xyzzy", "xyzzy")
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM message").fetchone()
        history.erase()
        assert history.unscrubbed
        other.execute("COMMIT")
        history.close()
        history.close()
        assert not history.unscrubbed
        files = [each for each in tmp_path.iterdir() if each.is_file()]
        assert not any(b"xyzzy" in each.read_bytes() for each in files)
