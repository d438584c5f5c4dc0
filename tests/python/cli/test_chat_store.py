"""What ``pocketr1 chat`` does when the store of conversations will not have something."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

import pocketr1
from pocketr1 import Sampling
from pocketr1.chat.history import FILE, History, Outcome
from pocketr1.cli.answer import Limits
from pocketr1.cli.governing import Remarks
from pocketr1.cli.talk.kept import Kept
from pocketr1.cli.talk.talk import Manner, Talk
from pocketr1.errors import HistoryError

DONE = Outcome("done", "stop")


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    with Kept(tmp_path / FILE, "tiny", None) as opened:
        yield opened


@pytest.fixture
def talk(kept: Kept) -> Iterator[Talk]:
    manner = Manner(Sampling(temperature=0.0), Limits(max_tokens=3))
    with (
        pocketr1.load("tiny") as engine,
        Talk(engine, manner, kept, cast(Any, None), Remarks()) as opened,
    ):
        yield opened


def refuse(monkeypatch: pytest.MonkeyPatch, method: str, code: str, times: int = 1) -> None:
    """Let a method of the store fail ``times`` times."""
    left, real = [times], getattr(History, method)

    def failing(*arguments: Any, **named: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise HistoryError(code, path="P", reason="r", id="I", version=9, known=1)
        return real(*arguments, **named)

    monkeypatch.setattr(History, method, failing)


@pytest.mark.parametrize("code", ["history-busy", "history-parent-running", "history-parent"])
def test_what_can_be_asked_later_does_not_end_the_keeping(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str
) -> None:
    refuse(monkeypatch, "ask", code)
    with pytest.raises(HistoryError) as caught:
        kept.ask("A", None)
    assert caught.value.code == code
    kept.ask("B", None)
    kept.finish(DONE)
    assert kept.path == tmp_path / FILE
    with History(tmp_path / FILE) as other:
        (found,) = other.conversations().conversations
        assert [m.content for m in other.conversation(found.id).messages] == ["B", ""]


@pytest.mark.parametrize("code", ["full", "unusable", "damaged"])
def test_where_nothing_can_be_kept_the_conversation_goes_on_and_the_store_is_left(
    kept: Kept,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    code: str,
) -> None:
    kept.ask("A", None)
    kept.finish(DONE)
    refuse(monkeypatch, "ask", f"history-{code}")
    kept.ask("B", kept.leaf)
    kept.finish(DONE)
    assert kept.path is None
    assert [m.content for m in kept.said() if m.role == "user"] == ["A", "B"]
    assert f"error[history-{code}]" in capsys.readouterr().err
    # A lock of a writer that writes no more would hold off whoever erases.
    assert list((tmp_path / f"{FILE}.writers").iterdir()) == []


def test_an_end_that_finds_the_store_busy_is_kept_a_moment_later(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kept.ask("A", None)
    refuse(monkeypatch, "finish", "history-busy", times=2)
    kept.finish(DONE)
    assert kept.path == tmp_path / FILE
    assert [m.state for m in kept.said()] == ["done", "done"]


@pytest.mark.parametrize(("typed", "method"), [("/edit B", "ask"), ("/regenerate", "retry")])
def test_a_branch_that_cannot_be_begun_leaves_the_conversation_where_it_was(
    talk: Talk,
    kept: Kept,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    typed: str,
    method: str,
) -> None:
    talk.take("A")
    before = kept.leaf
    assert before is not None
    refuse(monkeypatch, method, "history-busy")
    talk.take(typed)
    assert "error[history-busy]" in capsys.readouterr().err
    assert kept.leaf == before


@pytest.mark.parametrize("word", ["²", "٣", "9" * 5000])
def test_digits_that_are_no_number_are_refused(
    talk: Talk, capsys: pytest.CaptureFixture[str], word: str
) -> None:
    talk.take("A")
    talk.take("/resume")
    assert talk.take(f"/think {word}")
    assert "error[cli-chat-think-value]" in capsys.readouterr().err
    assert talk.take(f"/resume {word}")
    assert "goes on" not in capsys.readouterr().err
