"""Ending a thought that is long enough, and a text that goes round in circles."""

from __future__ import annotations

from pocketr1.chat.reader import PlainReader, ReplyReader
from pocketr1.chat.reasoning import CLOSE
from pocketr1.chat.tokenizer import Tokenizer
from pocketr1.engine.looping import LoopWatch
from pocketr1.errors import UsageError

__all__ = ["LOOP_TOKENS", "ReplyControl", "check_think_budget"]

#: What a loop must fill before a reply is ended for it. More than an evaluation asks for
#: (``looping.SHORTEST``): a table's rows and a poem's refrain are to pass.
LOOP_TOKENS = 256

# The most tokens that a thought gets beyond its budget to end a character; one has four bytes.
_CHARACTER = 4


class ReplyControl:
    """Watches one reply and says what the model is to write next, where it is not its own choice.

    A thought that reaches its budget, or that loops, is closed as the model would close it: a line
    end, ``</think>`` and an empty line (budget forcing; Muennighoff et al., s1: Simple test-time
    scaling, 2025, section 3.1). The answer follows from what has been thought. An answer that loops
    is over.

    think_budget: tokens of thought, tags excluded; None: any number. loop_check: look for loops,
    by the definition of :func:`pocketr1.measure.is_looping` with :data:`LOOP_TOKENS` for least.
    thought_closed: ``None``, ``budget`` or ``loop``: why the thought was closed.
    answer_closed: ``None`` or ``loop``: why the answer was ended.
    thought_tokens: how many there were.
    """

    def __init__(
        self,
        reader: ReplyReader | PlainReader,
        tokenizer: Tokenizer,
        *,
        think_budget: int | None = None,
        loop_check: bool = True,
    ) -> None:
        self.thought_closed: str | None = None
        self.answer_closed: str | None = None
        self.thought_tokens = 0
        self._reader = reader
        self._tokenizer = tokenizer
        self._budget = think_budget
        self._loop = LoopWatch(LOOP_TOKENS) if loop_check else None
        self._in_answer = reader.in_answer
        self._line_open = False

    def take(self, token_id: int, text: str) -> list[int]:
        """Take one token, which the reader has read, and the text it released.

        Returns the tokens that come next, none where the model goes on. ``answer_closed`` is set
        where the answer is to end here.
        """
        in_answer = self._reader.in_answer
        if in_answer != self._in_answer:
            self._in_answer = in_answer
            if self._loop is not None:
                self._loop.clear()
        elif not in_answer:
            self.thought_tokens += 1
        if text:
            self._line_open = not text.endswith("\n")
        loops = self._loop is not None and self._loop.feed(token_id)
        if in_answer:
            self.answer_closed = "loop" if loops else None
            return []
        if self.thought_closed is not None:
            return []
        spent = False
        if self._budget is not None:
            beyond = self.thought_tokens - self._budget
            spent = beyond >= (_CHARACTER if self._reader.in_character else 0)
        if not spent and not loops:
            return []
        self.thought_closed = "budget" if spent else "loop"
        return self._tokenizer.encode_markup(("\n" if self._line_open else "") + f"{CLOSE}\n\n")


def check_think_budget(value: object) -> None:
    """Raise UsageError (``chat-think-budget``) for what is no number of tokens."""
    if value is not None and (type(value) is not int or value < 0):
        raise UsageError("chat-think-budget", value=value)
