"""Who gets the rows of the next step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pocketr1.engine.ticket import Ticket

__all__ = ["share_rows"]


def share_rows(
    running: Sequence[Ticket], waiting: Iterable[Ticket], rows: int
) -> list[tuple[Ticket, int]]:
    """Return the answers of the next step, in their order, and how many rows each gets.

    running: in the order in which they came; one that streams gets a row. rows: for the prompts of
    the others, half of them for the first, the rest for those with least left. A prompt that
    somebody in ``waiting`` waits for is as urgent as that one's.
    """
    left = {ticket: _left(ticket) for ticket in running if not ticket._streams}
    given = dict.fromkeys(left, 0)
    if left:
        first = next(iter(left))
        given[first] = min(left[first], (rows + 1) // 2)
        rows -= given[first]
    for ticket in sorted(left, key=_urgencies(left, waiting).__getitem__):
        more = min(left[ticket] - given[ticket], rows)
        given[ticket] += more
        rows -= more
    shares = ((ticket, given.get(ticket, 1)) for ticket in running)
    return [(ticket, count) for ticket, count in shares if count]


def _urgencies(left: dict[Ticket, int], waiting: Iterable[Ticket]) -> dict[Ticket, int]:
    """Return how many tokens are left of each prompt, or of the shortest that waits for it."""
    least = dict(left)
    for ticket in waiting:
        if ticket.awaits is None:
            continue
        source, shared = ticket.awaits
        sequence = source.generation._sequence
        if source in left and sequence is not None and len(sequence) < shared:
            least[source] = min(least[source], len(ticket._seen) - len(sequence))
    return least


def _left(ticket: Ticket) -> int:
    assert ticket.todo is not None
    return len(ticket.todo)
