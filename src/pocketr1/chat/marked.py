"""Text that remembers, character by character, whether the template or somebody else wrote it.

A chat template mixes its own tags with text of users, tools and models, and transforms that text on
the way (R1's: ``content.split('</think>')[-1]``). Searching the result for ``<think>`` cannot tell
whose tag it is. Therefore every character of foreign text that occurs in any added token is
replaced by a **twin**, a private-use character that stands nowhere in the input, before the
template sees it. Twins travel through slicing, splitting, joining and every other operation that
moves characters, so in the result an added token spelt in ordinary characters has every letter
from the template. No template can turn a twin back into its character, so losing track is harmless:
such text can only be taken for foreign.

:class:`Marked` makes twins invisible to the template's own logic: ``'</think>' in content``,
``content.startswith(…)``, ``content == …`` compare as if the text were the real one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, SupportsIndex

__all__ = ["Marked", "Marks"]

# Private-use planes 15 and 16.
_PRIVATE = (range(0x10FFFD, 0x0FFFFF, -1), range(0x0FFFFD, 0x0EFFFF, -1))


class Marks:
    """The twins of one rendering.

    added: the texts of the added tokens; the characters of these get twins. White space gets none,
        so that ``strip`` and ``split`` work where a template loses the type; no tag is made of it.
    foreign: all text the rendering takes in.

    Raises ValueError where the text leaves no private-use character free (over 131,000 of them).
    """

    def __init__(self, added: Iterable[str], foreign: Iterable[str]) -> None:
        letters = sorted({c for token in added for c in token if not c.isspace()})
        taken = {c for text in foreign for c in set(text) if c >= "\U000f0000"}
        free = (chr(c) for block in _PRIVATE for c in block if chr(c) not in taken)
        self._twin_of = dict(zip(map(ord, letters), free, strict=False))
        if len(self._twin_of) < len(letters):
            raise ValueError("no private-use character is free")
        self._letter_of = {ord(twin): chr(letter) for letter, twin in self._twin_of.items()}

    def mark(self, text: str) -> Marked:
        """Return foreign text with twins."""
        marked = self._own(text.translate(self._twin_of))
        marked._text = text
        return marked

    def unmark(self, text: str) -> str:
        """Return the real text."""
        return str.translate(text, self._letter_of)

    def wrap(self, value: Any) -> Any:
        """Return a JSON-like value with all strings marked, keys too."""
        if isinstance(value, str):
            return self.mark(value)
        if isinstance(value, dict):
            return {self.wrap(key): self.wrap(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.wrap(item) for item in value]
        return value

    def _own(self, text: str) -> Marked:
        marked = Marked(text)
        marked._marks = self
        marked._text = None
        return marked

    def _is_twin(self, character: str) -> bool:
        return ord(character) in self._letter_of


def _real(value: Any) -> Any:
    if isinstance(value, Marked):
        if value._text is None:
            value._text = value._marks.unmark(value)
        return value._text
    return tuple(map(_real, value)) if isinstance(value, tuple) else value


def _asks(name: str) -> Callable[..., Any]:
    """A method that answers about the real text: a boolean, a count or a position."""
    method = getattr(str, name)

    def ask(self: Marked, *args: Any) -> Any:
        return method(_real(self), *map(_real, args))

    ask.__name__ = name
    return ask


def _recases(name: str) -> Callable[[Marked], Marked]:
    """A method that changes the case; foreign characters stay foreign."""
    method = getattr(str, name)

    def recase(self: Marked) -> Marked:
        marks, real = self._marks, _real(self)
        changed = method(real)
        if len(changed) != len(real):  # as in "ß".upper(): nothing lines up any more
            return marks.mark(changed)
        twin = marks._twin_of
        pairs = zip(self._characters(), changed, strict=True)
        return marks._own(
            # A changed letter without a twin may still be foreign: "K" (Kelvin) becomes "k".
            "".join(twin.get(ord(c), c) if c != old else c for old, c in pairs)
        )

    recase.__name__ = name
    return recase


class Marked(str):
    """Text with twins, made by :class:`Marks`; to a template it reads as the real text."""

    __slots__ = ("_marks", "_text")
    _marks: Marks
    _text: str | None  # the real text, once somebody has asked for it

    def __str__(self) -> str:
        return self

    def __hash__(self) -> int:
        return hash(_real(self))

    def __add__(self, other: str) -> Marked:
        return self._marks._own(str.__add__(self, other))

    def __radd__(self, other: str) -> Marked:
        return self._marks._own(str.__add__(other, self))

    def __mul__(self, count: SupportsIndex) -> Marked:
        return self._marks._own(str.__mul__(self, count))

    __rmul__ = __mul__

    def __getitem__(self, key: SupportsIndex | slice) -> Marked:
        return self._marks._own(str.__getitem__(self, key))

    def __iter__(self) -> Iterator[str]:
        return map(self._marks._own, self._characters())

    def _characters(self) -> Iterator[str]:
        return str.__iter__(self)

    def strip(self, chars: str | None = None) -> Marked:
        return self.lstrip(chars).rstrip(chars)

    def lstrip(self, chars: str | None = None) -> Marked:
        return self[len(self) - len(_real(self).lstrip(_real(chars))) :]

    def rstrip(self, chars: str | None = None) -> Marked:
        return self[: len(_real(self).rstrip(_real(chars)))]

    def split(self, sep: str | None = None, maxsplit: SupportsIndex = -1) -> list[Marked]:  # type: ignore[override]
        return self._cut(_real(self).split(_real(sep), maxsplit), sep)

    def rsplit(self, sep: str | None = None, maxsplit: SupportsIndex = -1) -> list[Marked]:  # type: ignore[override]
        return self._cut(_real(self).rsplit(_real(sep), maxsplit), sep)

    def splitlines(self, keepends: bool = False) -> list[Marked]:  # type: ignore[override]
        return [self._marks._own(line) for line in str.splitlines(self, keepends)]

    def partition(self, sep: str) -> tuple[Marked, Marked, Marked]:
        return self._cut_three(_real(self).partition(_real(sep)))

    def rpartition(self, sep: str) -> tuple[Marked, Marked, Marked]:
        return self._cut_three(_real(self).rpartition(_real(sep)))

    def replace(self, old: str, new: str, count: SupportsIndex = -1) -> Marked:
        if not old:
            return self._marks._own(str.replace(self, "", new, count))
        return self._marks._own(str.join(new, self.split(old, count)))

    def removeprefix(self, prefix: str) -> Marked:
        return self[len(self) - len(_real(self).removeprefix(_real(prefix))) :]

    def removesuffix(self, suffix: str) -> Marked:
        return self[: len(_real(self).removesuffix(_real(suffix)))]

    def join(self, pieces: Iterable[str]) -> Marked:
        return self._marks._own(str.join(self, pieces))

    def _cut(self, pieces: list[str], sep: str | None) -> list[Marked]:
        """Cut this text where its real text was cut into ``pieces``."""
        found, place = [], 0
        real = _real(self)
        for piece in pieces:
            if sep is None:
                place = real.index(piece, place)
            found.append(self[place : place + len(piece)])
            place += len(piece) + (0 if sep is None else len(sep))
        return found

    def _cut_three(self, pieces: tuple[str, str, str]) -> tuple[Marked, Marked, Marked]:
        a, b = len(pieces[0]), len(pieces[0]) + len(pieces[1])
        return self[:a], self[a:b], self[b:]

    __eq__ = _asks("__eq__")
    __ne__ = _asks("__ne__")
    __lt__ = _asks("__lt__")
    __le__ = _asks("__le__")
    __gt__ = _asks("__gt__")
    __ge__ = _asks("__ge__")
    __contains__ = _asks("__contains__")
    count = _asks("count")
    find = _asks("find")
    rfind = _asks("rfind")
    index = _asks("index")
    rindex = _asks("rindex")
    startswith = _asks("startswith")
    endswith = _asks("endswith")
    isalnum = _asks("isalnum")
    isalpha = _asks("isalpha")
    isdecimal = _asks("isdecimal")
    isdigit = _asks("isdigit")
    islower = _asks("islower")
    isnumeric = _asks("isnumeric")
    isspace = _asks("isspace")
    istitle = _asks("istitle")
    isupper = _asks("isupper")
    lower = _recases("lower")
    upper = _recases("upper")
    title = _recases("title")
    capitalize = _recases("capitalize")
    casefold = _recases("casefold")
    swapcase = _recases("swapcase")
