"""``pocketr1 privacy``: what is kept of a person is shown, and goes when it is to go."""

from __future__ import annotations

import io
import json
import sqlite3
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from pocketr1 import messages
from pocketr1.chat.history import FILE, History
from pocketr1.chat.privacy import Places, erase, first_notice, kept
from pocketr1.cli.app import main
from pocketr1.cli.privacy import tell_once
from pocketr1.engine import KVStore

SECRET = "my great-aunt's recipe"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """Return the default places, in a home of the test's own."""
    monkeypatch.setenv("POCKETR1_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("POCKETR1_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setattr(KVStore, "pays", True)  # also where Tiny R1 computes faster than that
    return Places()


@pytest.fixture
def used(places: Places) -> Places:
    """Return the places behind a conversation in the page and one in the terminal."""
    with History(places.conversations) as history:
        conversation = history.create()
        question, reply = history.ask(conversation.id, None, SECRET)
        history.grow(reply.id, "", SECRET)
        history.withdraw(question.id)
        history.ask(conversation.id, None, SECRET)
    History(places.conversations).close()  # the reply's writer is gone
    places.history.parent.mkdir(parents=True)
    places.history.write_text(f"{SECRET}\nand another\n")
    assert main(["run", "tiny", f"{SECRET}: what is 17 + 25? " * 40, "--max-tokens", "2"]) == 0
    return places


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    capsys.readouterr()

    def call(*arguments: str) -> tuple[int, str, str]:
        code = main(["privacy", *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def text_of(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())


def state_of(directory: Path) -> dict[str, tuple[int, bytes]]:
    files = [path for path in directory.rglob("*") if path.is_file()]
    return {
        path.name: (path.stat().st_mode, b"" if path.suffix == ".db-shm" else path.read_bytes())
        for path in files
    }


def test_where_nothing_is_kept_nothing_is_made(places: Places, run: Run, tmp_path: Path) -> None:
    code, out, _ = run("show")
    assert code == 0
    assert out.count("nothing\n") == 3
    assert not list(tmp_path.iterdir())


def test_what_is_kept_is_shown_with_its_place(used: Places, run: Run) -> None:
    _, out, _ = run("show")
    assert str(used.conversations) in out
    assert "conversations 1," in out
    assert str(used.kv_store) in out
    assert "prompts 1," in out
    assert str(used.history) in out
    assert "lines 2," in out
    assert SECRET not in out


def test_what_is_kept_as_json(used: Places, run: Run) -> None:
    document = json.loads(run("show", "--json")[1])
    found = {one["kind"]: one for one in document["kept"]}
    assert [found[kind]["count"] for kind in ("conversations", "kv-store", "history")] == [1, 1, 2]
    assert all(one["bytes"] > 0 and one["problem"] is None for one in found.values())
    assert document.keys() == {"kept"}


@pytest.mark.parametrize("open_elsewhere", [False, True])
def test_looking_changes_nothing(used: Places, run: Run, open_elsewhere: bool) -> None:
    used.conversations.chmod(0o644)
    with ExitStack() as stack:
        if open_elsewhere:
            other = stack.enter_context(closing(sqlite3.connect(used.conversations)))
            other.execute("UPDATE conversation SET title = title")
            other.commit()
        before = state_of(used.conversations.parent)
        assert "conversations 1," in run("show")[1]
        assert state_of(used.conversations.parent) == before


def test_all_goes(used: Places, run: Run, tmp_path: Path) -> None:
    assert SECRET.encode() in text_of(tmp_path)
    code, out, err = run("erase", "--yes")
    assert code == 0
    assert out.count("erased") == 3
    assert "encryption" in err
    assert SECRET.encode() not in text_of(tmp_path)
    assert not used.kv_store.exists()
    assert not used.history.exists()
    assert [one.count for one in kept(used)] == [0, 0, 0]


def test_what_is_not_named_stays(used: Places, run: Run) -> None:
    run("erase", "--yes", "--history")
    assert [one.count for one in kept(used)] == [1, 1, 0]


def test_nothing_goes_unasked(used: Places, run: Run) -> None:
    code, _, err = run("erase")
    assert code == 2
    assert "cli-privacy-yes" in err
    assert [one.count for one in kept(used)] == [1, 1, 2]


@pytest.mark.parametrize(("answer", "left"), [("n\n", 2), ("\n", 2), ("", 2), ("y\n", 0)])
def test_a_person_is_asked(
    used: Places, run: Run, monkeypatch: pytest.MonkeyPatch, answer: str, left: int
) -> None:
    typed = io.StringIO(answer)
    typed.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stdin", typed)
    code, _, err = run("erase", "--history")
    assert "for good?" in err
    assert str(used.history) in err
    assert kept(used)[2].count == left
    assert code == (0 if left == 0 else 1)


def test_erasing_twice_says_that_there_was_nothing(places: Places, run: Run) -> None:
    code, out, _ = run("erase", "--yes")
    assert code == 0
    assert out.count("there was nothing") == 3


def test_a_store_in_use_is_left_and_the_rest_goes(used: Places, run: Run) -> None:
    with closing(sqlite3.connect(used.kv_store)) as other:
        other.execute("SELECT count(*) FROM page").fetchone()
        code, _, err = run("erase", "--yes")
    assert code == 1
    assert "kv-store-busy" in err
    assert [one.count for one in kept(used)] == [0, 1, 0]


def test_conversations_stay_while_a_reply_is_written(used: Places) -> None:
    with History(used.conversations) as history:
        conversation = history.create()
        history.ask(conversation.id, None, "hello")
        problem = erase(used, ["conversations"])[0].problem
        assert problem is not None
        assert problem.code == "privacy-running"
        assert len(history.conversations().conversations) == 2


def test_conversations_that_another_still_reads_are_not_told_as_erased(
    used: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pocketr1.chat.history.database._BUSY_SECONDS", 0.05)
    with closing(sqlite3.connect(used.conversations)) as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM conversation").fetchone()
        problem = erase(used, ["conversations"])[0].problem
    assert problem is not None
    assert problem.code == "history-busy"
    assert kept(used)[0].count == 0


def test_a_server_that_has_the_conversations_open_goes_on_with_none(used: Places) -> None:
    with History(used.conversations) as history:
        assert erase(used, ["conversations"])[0].problem is None
        assert history.conversations().conversations == ()
        history.create()
        assert kept(used)[0].count == 1


def test_a_foreign_file_is_left_alone(places: Places, run: Run) -> None:
    places.conversations.parent.mkdir(parents=True)
    places.conversations.write_text("my diary, which has nothing to do with Pocket R1")
    assert "not a" in run("show")[1]
    code, _, err = run("erase", "--yes", "--conversations")
    assert code == 1
    assert "history-foreign" in err
    assert places.conversations.exists()


def test_damaged_conversations_go_as_a_file(used: Places, run: Run) -> None:
    data = bytearray(used.conversations.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    used.conversations.write_bytes(data)
    assert run("erase", "--yes", "--conversations")[0] == 0
    assert not used.conversations.exists()


@pytest.mark.parametrize(
    ("arguments", "slug"),
    [
        (["look"], "cli-privacy-action"),
        (["show", "--yes"], "cli-privacy-option"),
        (["show", "--history"], "cli-privacy-option"),
    ],
)
def test_mistakes_are_named(places: Places, run: Run, arguments: list[str], slug: str) -> None:
    code, _, err = run(*arguments)
    assert code == 2
    assert slug in err


def test_the_cache_may_be_elsewhere(places: Places, run: Run, tmp_path: Path) -> None:
    assert str(tmp_path / "other" / "kv.sqlite3") in run("show", "--cache", f"{tmp_path}/other")[1]


def test_the_notice_comes_once(places: Places, capsys: pytest.CaptureFixture[str]) -> None:
    tell_once(places.kv_store)
    first = capsys.readouterr().err
    assert str(places.conversations) in first
    assert str(places.kv_store) in first
    assert "pocketr1 privacy erase" in first
    tell_once(places.kv_store)
    assert capsys.readouterr().err == ""


def test_the_notice_in_chinese(places: Places, capsys: pytest.CaptureFixture[str]) -> None:
    messages.set_language("zh")
    try:
        tell_once(None)
    finally:
        messages.set_language(None)
    assert "只保存在本机" in capsys.readouterr().err


def test_a_notice_that_cannot_be_remembered_comes_again(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert first_notice(blocked)
    assert first_notice(blocked)


def test_the_conversations_are_where_the_server_keeps_them(places: Places) -> None:
    assert places.conversations.name == FILE
