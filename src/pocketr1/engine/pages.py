"""Which K/V pages the sequences of a scheduler hold, and how many that makes together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pocketr1.engine.sequence import Sequence

__all__ = ["PAGE_TOKENS", "Pages", "pages_of"]

#: Tokens of a page.
PAGE_TOKENS = 64


def pages_of(tokens: int) -> int:
    """Return how many pages hold so many tokens."""
    return -(-tokens // PAGE_TOKENS)


class Pages:
    """A copy of the core's page tables, so that pages can be counted before they are taken.

    The core shares pages by reference and copies a partial one when it is written to; this follows
    it by the same rules (``core/model/kv_cache.cc``). Pages have numbers of our own here.
    """

    def __init__(self) -> None:
        self._of: dict[Sequence, list[int]] = {}
        self._lengths: dict[Sequence, int] = {}
        self._references: dict[int, int] = {}
        self._numbers = count()

    def __iter__(self) -> Iterator[Sequence]:
        return iter(self._of)

    @property
    def used(self) -> int:
        """Pages that some sequence holds, a shared one counted once."""
        return len(self._references)

    def held(self, sequences: Iterable[Sequence]) -> int:
        """Return how many pages these sequences hold together."""
        return len({page for sequence in sequences for page in self._of[sequence]})

    def add(self, sequence: Sequence) -> None:
        """Take note of an empty sequence."""
        self._of[sequence], self._lengths[sequence] = [], 0

    def fork(self, source: Sequence, made: Sequence, length: int) -> None:
        """Take note that ``made`` begins with the first ``length`` tokens of ``source``."""
        shared = self._of[source][: pages_of(length)]
        for page in shared:
            self._references[page] += 1
        self._of[made], self._lengths[made] = shared, length

    def needed(self, sequence: Sequence, length: int) -> int:
        """Return how many pages are taken when the sequence grows to ``length`` tokens."""
        pages, before = self._of[sequence], self._lengths[sequence]
        if length <= before:
            return 0
        return pages_of(length) - len(pages) + self._copies(sequence)

    def resize(self, sequence: Sequence, length: int) -> None:
        """Take note that the sequence has grown, or was cut, to ``length`` tokens."""
        pages, before = self._of[sequence], self._lengths[sequence]
        if length > before and self._copies(sequence):
            self._release(pages.pop())
        while len(pages) > pages_of(length):
            self._release(pages.pop())
        while len(pages) < pages_of(length):
            page = next(self._numbers)
            self._references[page] = 1
            pages.append(page)
        self._lengths[sequence] = length

    def remove(self, sequence: Sequence) -> None:
        """Take note that the sequence is closed."""
        self.resize(sequence, 0)
        del self._of[sequence], self._lengths[sequence]

    def _copies(self, sequence: Sequence) -> int:
        """Whether the next token costs a copy of the last page: it is partial, and shared."""
        pages, length = self._of[sequence], self._lengths[sequence]
        return int(length % PAGE_TOKENS != 0 and self._references[pages[-1]] > 1)

    def _release(self, page: int) -> None:
        self._references[page] -= 1
        if not self._references[page]:
            del self._references[page]
