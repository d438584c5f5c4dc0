"""One reply put together from its tokens: what is thought, what is answer, and where it ends."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pocketr1.chat.control import ReplyControl
from pocketr1.chat.reader import PlainReader, ReplyReader
from pocketr1.chat.reasoning import CLOSE, Delta
from pocketr1.engine.stop import StopMatcher

__all__ = ["Pushed", "ReplyAssembly"]


@dataclass(frozen=True)
class Pushed:
    """What came of a token.

    deltas: the pieces it released; forced: the tokens that must come next; finish_reason: why the
    reply is over with it, or ``None``: it goes on.
    """

    deltas: list[Delta]
    forced: list[int]
    finish_reason: str | None


class ReplyAssembly:
    """A reply so far. Tokens are pushed; whoever computes them heeds what comes back.

    skipped: an empty thought stands in the prompt because a budget of 0 was asked for.
    reader, control: read the tokens and say where the model must be steered. max_answer_tokens:
    most tokens behind ``</think>``; ``None``: any number. stop: strings that end the answer; the
    thought is not searched for them.

    reasoning, answer: what may be shown of each; text: all that was written, tags included, up to a
    stop string. answer_tokens: how many tokens were the answer's.
    """

    def __init__(
        self,
        reader: ReplyReader | PlainReader,
        control: ReplyControl,
        *,
        skipped: bool = False,
        max_answer_tokens: int | None = None,
        stop: Iterable[str] = (),
    ) -> None:
        self.finish_reason: str | None = None
        self.answer_tokens = 0
        self._reader = reader
        self._control = control
        self._skipped = skipped
        self._max_answer_tokens = max_answer_tokens
        self._stop = StopMatcher(stop)
        self._written: list[str] = []
        self._shown: dict[str, list[str]] = {"reasoning": [], "answer": []}

    @property
    def in_answer(self) -> bool:
        """Whether the next piece belongs to the answer."""
        return self._reader.in_answer

    @property
    def reasoning(self) -> str:
        """The thought so far."""
        return "".join(self._shown["reasoning"])

    @property
    def answer(self) -> str:
        """The answer so far."""
        return "".join(self._shown["answer"])

    @property
    def text(self) -> str:
        """All that was written so far."""
        return "".join(self._written)

    @property
    def thought_closed(self) -> str | None:
        """Why the thought was closed before the model closed it: ``budget`` or ``loop``."""
        return "budget" if self._skipped else self._control.thought_closed

    @property
    def answer_closed(self) -> str | None:
        """``loop`` where the answer was ended because it went round in circles."""
        return self._control.answer_closed

    @property
    def stop_string(self) -> str | None:
        """The stop string that ended the answer."""
        return self._stop.stopped

    def push(self, token_id: int, finish_reason: str | None = None) -> Pushed:
        """Take the next token; ``finish_reason``: why the model's own text is over with it."""
        was_answer = self._reader.in_answer
        text, read = self._reader.feed(token_id)
        deltas = self._write(text, read)
        self.answer_tokens += was_answer and self._reader.in_answer
        given: list[int] = []
        if self._stop.stopped is not None:
            finish_reason = "stop"
        elif finish_reason is None and self.answer_tokens == self._max_answer_tokens:
            finish_reason = "length"
        elif finish_reason is None:
            given = self._control.take(token_id, text)
            if not given and self._control.answer_closed is not None:
                finish_reason = "length"
        if finish_reason is not None:
            deltas += self.end(finish_reason)
        return Pushed(deltas, given, self.finish_reason)

    def end(self, finish_reason: str) -> list[Delta]:
        """Take the end of the reply; return the pieces that were held back."""
        deltas: list[Delta] = []
        if self._stop.stopped is None:
            deltas = self._write(*self._reader.finish())
            held = self._stop.finish()
            if held:
                self._shown["answer"].append(held)
                deltas.append(Delta("answer", held))
        self.finish_reason = "stop" if self._stop.stopped is not None else finish_reason
        return deltas

    def _write(self, text: str, deltas: Iterable[Delta]) -> list[Delta]:
        self._written.append(text)
        shown = self._show(deltas)
        if self._stop.stopped is not None:
            # It ends in this piece; it may begin before, where the splitter held back half a tag.
            whole = "".join(self._written)
            earliest = len(whole) - len(text) - len(self._stop.stopped) - len(CLOSE) + 1
            place = whole.find(self._stop.stopped, max(earliest, 0))
            self._written = [whole[:place] if place >= 0 else whole]
        return shown

    def _show(self, deltas: Iterable[Delta]) -> list[Delta]:
        shown = []
        for delta in deltas:
            text = self._stop.push(delta.text) if delta.kind == "answer" else delta.text
            if text:
                self._shown[delta.kind].append(text)
                shown.append(Delta(delta.kind, text))
        return shown
