"""How far ahead to draft: as far as it pays, measured while it runs."""

from __future__ import annotations

from collections import deque

__all__ = ["Pace"]

# A share of the newest outcome; about eight outcomes are remembered.
_RATE = 0.125
# Before anything was seen a draft is believed, so that it is tried.
_FIRST_BELIEF = 0.7
# Times that are enough to trust the least of them; fewer may all have met a busy machine.
_ENOUGH_TIMES = 3
# A row more in a step costs this share of a step until it was measured.
_FIRST_ROW_COST = 0.1
# Where drafting does not pay, trying it again may take this share of the time, within limits.
_TRYING = 0.03
_SHORTEST_REST = 8
_LONGEST_REST = 256
_KEPT_TIMES = 9


class Pace:
    """Chooses how many tokens to draft for the next step, 0 to ``most``.

    A step with k drafted tokens yields 1 + q1 + q1 q2 + … + q1 … qk tokens, qj being how often the
    j-th was right where those before it were (Leviathan et al. 2023, equation 1, where all q are
    one number), and costs the time seen for it, drafting included. The k of most tokens a second
    is taken; where none beats a plain step it rests, and then tries the best one again. Times
    decide how a text is computed here, never which text it is.
    """

    def __init__(self, most: int) -> None:
        self._belief = [_FIRST_BELIEF] * most
        # Seconds of the last steps, by number of drafted tokens; the least is what counts, for a
        # busy machine only ever adds.
        self._times: list[deque[float]] = [deque(maxlen=_KEPT_TIMES) for _ in range(most + 1)]
        # As of the last draft judged; plain steps change little.
        self._gains: list[float] = []
        self._last_time = 0.0
        self._resting = 0

    def length(self, room: int) -> int:
        """Return how many tokens to draft, where ``room`` more would be of use."""
        if self._resting:
            self._resting -= 1
            return 0
        if room < 1 or len(self._times[0]) < _ENOUGH_TIMES:
            return 0
        self._gains = self._gains or self.gains()
        gains = self._gains[:room]
        return 1 + gains.index(max(gains))

    def gains(self) -> list[float]:
        """Return the expected speed-up over a plain step of drafting 1, 2, … tokens."""
        plain, *costs = self._costs()
        gains, tokens, chance = [], 1.0, 1.0
        for belief, cost in zip(self._belief, costs, strict=True):
            chance *= belief
            tokens += chance
            gains.append(tokens * plain / cost)
        return gains

    def took(self, drafted: int, seconds: float) -> None:
        """Learn what a step with that many drafted tokens cost."""
        self._times[drafted].append(seconds)
        self._last_time = seconds

    def judged(self, drafted: int, accepted: int) -> None:
        """Learn that of ``drafted`` tokens the first ``accepted`` were right, the next was not."""
        for place in range(min(drafted, accepted + 1)):
            self._belief[place] += _RATE * ((place < accepted) - self._belief[place])
        self._gains = self.gains()
        if max(self._gains) <= 1:
            lost = self._last_time / min(self._times[0]) - (1 + accepted)
            self._resting = int(min(max(lost / _TRYING, _SHORTEST_REST), _LONGEST_REST))

    def _costs(self) -> list[float]:
        """Return the seconds of steps with 0, 1, … drafted tokens: seen, or between neighbours."""
        costs = [min(self._times[0])]
        last, rise = 0, _FIRST_ROW_COST * costs[0]
        for drafted, times in enumerate(self._times):
            if drafted == 0 or len(times) < _ENOUGH_TIMES:
                continue
            rise = (min(times) - costs[last]) / (drafted - last)
            costs += [costs[last] + rise * k for k in range(1, drafted - last + 1)]
            last = drafted
        rise = max(rise, 0.0)
        costs += [costs[last] + rise * k for k in range(1, len(self._times) - last)]
        return costs
