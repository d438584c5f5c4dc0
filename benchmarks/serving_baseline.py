"""Dynamic batching as the guide this project follows has it, over our own engine.

A batch's size follows from the predicted length of the input: 8 under 32 tokens, 4 under 128, else
2. Batches are static: one runs to its end before the next starts. Where the guide leaves a choice
the kinder one is taken: prediction is perfect; a batch is made of the requests of the oldest one's
class, in order of arrival, and does not wait to be full; an answer counts as given when its own
last token is there, not when its batch ends; rows that have ended are not computed on; nothing is
drawn but first tokens; there is no HTTP in between.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter, sleep

from serving_client import Asked
from serving_trace import Arrival, prompt_ids

import pocketr1
from pocketr1.engine import Generation

__all__ = ["batch_size", "next_batch", "serve"]

GREEDY = pocketr1.Sampling(temperature=0.0)


def batch_size(predicted_tokens: int) -> int:
    """Return how many requests of that predicted input length make a batch."""
    if predicted_tokens < 32:
        return 8
    return 4 if predicted_tokens < 128 else 2


def next_batch(waiting: Sequence[Arrival]) -> list[Arrival]:
    """Return what is run next of the requests that wait, oldest first: the oldest one's class."""
    size = batch_size(waiting[0].prompt_tokens)
    alike = [each for each in waiting if batch_size(each.prompt_tokens) == size]
    return alike[:size]


def serve(
    engine: pocketr1.Engine,
    requests: Sequence[Arrival],
    seed: int = 0,
    clock: Callable[[], float] = perf_counter,
) -> list[Asked]:
    """Answer a trace batch by batch; return what became of each request, in the trace's order."""
    begin = clock()
    asked = {
        each.number: Asked(each.number, each.prompt_tokens, each.answer_tokens, begin + each.at)
        for each in requests
    }
    pending = sorted(requests, key=lambda each: each.at)
    while pending:
        now = clock()
        waiting = [each for each in pending if begin + each.at <= now]
        if not waiting:
            sleep(max(0.0, begin + pending[0].at - now))
            continue
        batch = next_batch(waiting)
        _run(engine, batch, [asked[each.number] for each in batch], seed, clock)
        taken = {each.number for each in batch}
        pending = [each for each in pending if each.number not in taken]
    return [asked[each.number] for each in requests]


def _run(
    engine: pocketr1.Engine,
    batch: Sequence[Arrival],
    asked: Sequence[Asked],
    seed: int,
    clock: Callable[[], float],
) -> None:
    """Run one batch to its end."""
    # A batch has one length. Behind its first token an answer's tokens are given, as many as are
    # wanted, and computed as any; the last one ends it.
    end = engine.vocab_size - 1
    started = clock()
    for each in asked:
        each.sent = started

    def watch(generation: Generation) -> None:
        each = asked[generation.index]
        count = len(generation.token_ids)
        if count > len(each.times):
            each.times.append(clock())
            each.tokens, each.ended = count, each.times[-1]
        if generation.finish_reason is None and count == 1:
            generation.force([*generation.token_ids] * (each.wanted - 2) + [end])

    prompts = [
        prompt_ids(each.number, each.prompt_tokens, engine.vocab_size, seed) for each in batch
    ]
    longest = max(each.answer_tokens for each in batch)
    answers = engine.generate_many(
        prompts, GREEDY, max_tokens=longest, stop_token_ids=(end,), batch=len(batch), watch=watch
    )
    for answer in answers:
        each = asked[answer.index]
        if answer.finish_reason == "stop":  # the token that ended it is one of those wanted
            each.tokens += 1
            each.times.append(clock())
            each.ended = each.times[-1]
