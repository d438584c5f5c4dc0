"""What a list of requests adds up to: speeds, percentiles, gaps between tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from serving_client import Asked

__all__ = ["gaps_between", "percentile", "stall", "summary"]


def percentile(values: Iterable[float], share: float) -> float | None:
    """Return the value that ``share`` percent do not exceed, by linear interpolation."""
    found = list(values)
    return float(np.percentile(found, share)) if found else None


def summary(requests: Sequence[Asked]) -> dict[str, Any]:
    """Return the figures of some requests; those that failed count only as failed.

    tok_s: tokens of all answers over the time from the first request's due time to the last end;
    together_tok_s: of the time in which every one of them was decoding, 0 where there was none;
    short: answers with fewer tokens than asked for.
    """
    done = [each for each in requests if each.error is None and each.times]
    found: dict[str, Any] = {
        "requests": len(requests),
        "failed": len(requests) - len(done),
        "errors": sorted({each.error for each in requests if each.error is not None}),
        "refused": sum(each.refused for each in requests),
        "short": sum(each.tokens < each.wanted for each in done),
        "tokens": sum(each.tokens for each in done),
        "prompt_tokens": sum(each.prompt_tokens for each in done),
    }
    if not done:
        return found
    seconds = max(each.ended for each in done) - min(each.due for each in requests)
    gaps = [gap for each in done for gap in each.gaps_s]
    firsts = [each.first_token_s for each in done]
    latencies = [each.latency_s for each in done]
    return {
        **found,
        "seconds": seconds,
        "tok_s": found["tokens"] / seconds,
        "together_tok_s": _together(done),
        "first_token_s": _percentiles(firsts, (50, 95)),
        "gap_s": {**_percentiles(gaps, (50, 95, 99)), "max": max(gaps, default=None)},
        "latency_s": {"mean": float(np.mean(latencies)), **_percentiles(latencies, (50, 95))},
    }


def _percentiles(values: Sequence[float], shares: Iterable[int]) -> dict[str, float | None]:
    return {f"p{share}": percentile(values, share) for share in shares}


def _together(done: Sequence[Asked]) -> float:
    """Return the pieces a second from the last one's first to the first one's last."""
    begin = max(each.times[0] for each in done)
    end = min(each.times[-1] for each in done)
    if end <= begin:
        return 0.0
    return sum(begin < time <= end for each in done for time in each.times) / (end - begin)


def gaps_between(times: Sequence[float], begin: float, end: float, *, whole: bool) -> list[float]:
    """Return the gaps between neighbours that lie in an interval, or with it in common.

    whole: only those that lie in it from end to end; else those that overlap it.
    """
    found = []
    for before, after in pairwise(times):
        if before >= begin and after <= end if whole else before < end and after > begin:
            found.append(after - before)
    return found


def stall(
    streams: Sequence[Asked], prompts: Sequence[Asked], quiet: tuple[float, float]
) -> dict[str, Any]:
    """Return how far ``prompts`` held up the ``streams`` beside them.

    quiet: an interval in which nobody's prompt was computed. The median gap is that of the quiet
    interval (the stricter reading, since steps that compute prompts too take longer) and, beside
    it, that of the time in which the prompts were computed.
    """
    failed = [each.error for each in (*streams, *prompts) if each.error is not None]
    begin = min((each.due for each in prompts), default=0.0)
    end = max((each.times[0] for each in prompts if each.times), default=0.0)
    held = min((each.times[-1] for each in streams if each.times), default=0.0)
    if failed or not all(each.times for each in prompts) or held < end:
        return {"errors": failed or ["a stream ended before the prompts were computed"]}
    before = [g for s in streams for g in gaps_between(s.times, *quiet, whole=True)]
    during = [g for s in streams for g in gaps_between(s.times, begin, end, whole=False)]
    largest = max(during)
    medians = percentile(before, 50), percentile(during, 50)
    return {
        "errors": [],
        "seconds": end - begin,
        "largest_s": largest,
        "p99_s": percentile(during, 99),
        "quiet_median_s": medians[0],
        "busy_median_s": medians[1],
        "over_quiet": largest / medians[0] if medians[0] else None,
        "over_busy": largest / medians[1] if medians[1] else None,
        "quiet_largest_s": max(before, default=None),
        "prompt_first_token_s": [each.first_token_s for each in prompts],
        "prompt_tok_s": sum(each.prompt_tokens for each in prompts) / (end - begin),
        "streams_tok_s": len(during) / (end - begin),
    }
