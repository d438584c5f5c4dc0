"""Which replies go round in circles."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from pocketr1.engine.looping import LONGEST_BLOCK, REPEATS, SHORTEST, LoopWatch
from pocketr1.measure import is_looping


def unlike(count: int, seed: int = 0) -> list[int]:
    """Return tokens in which nothing repeats."""
    return random.Random(seed).sample(range(10_000, 100_000), count)


@given(st.integers(1, 60), st.integers(0, 100), st.integers(0, 100))
def test_a_repeated_block_is_found_wherever_it_stands(block: int, before: int, behind: int) -> None:
    repeats = max(REPEATS, -(-SHORTEST // block))
    loop = unlike(block, 1) * repeats
    assert is_looping([*unlike(before, 2), *loop, *unlike(behind, 3)])


@given(st.integers(17, 200))
def test_one_repetition_too_few_is_no_loop(block: int) -> None:
    assert not is_looping(unlike(block) * (REPEATS - 1))


def test_a_short_run_of_one_token_is_no_loop() -> None:
    assert not is_looping([7] * (SHORTEST - 1))
    assert is_looping([7] * SHORTEST)


def test_a_loop_that_is_broken_off_within_a_block_counts_what_is_there() -> None:
    block = unlike(30)
    assert is_looping([*block * REPEATS, *block[:11]])
    assert not is_looping([*block * (REPEATS - 1), *block[:29]])


def test_the_longest_block_is_found_and_a_longer_one_is_not() -> None:
    assert is_looping(unlike(LONGEST_BLOCK) * REPEATS)
    assert not is_looping(unlike(LONGEST_BLOCK + 1) * REPEATS)


@given(st.lists(st.integers(0, 3), max_size=63))
def test_what_is_shorter_than_the_least_never_loops(tokens: list[int]) -> None:
    assert not is_looping(tokens)


def slow(tokens: list[int]) -> bool:
    """The definition, word for word."""
    for block in range(1, len(tokens) // REPEATS + 1):
        for begin in range(len(tokens)):
            end = begin + block
            while end < len(tokens) and tokens[end] == tokens[end - block]:
                end += 1
            if end - begin >= max(SHORTEST, REPEATS * block):
                return True
    return False


@given(
    st.lists(st.integers(0, 1), min_size=1, max_size=20),
    st.integers(1, 8),
    st.lists(st.integers(0, 1), max_size=40),
)
def test_it_is_the_definition(block: list[int], times: int, rest: list[int]) -> None:
    tokens = [*rest, *block * times, *rest]
    assert is_looping(tokens) == slow(tokens)


@given(
    st.lists(st.integers(0, 1), max_size=30),
    st.lists(st.integers(0, 2), min_size=1, max_size=12),
    st.integers(1, 40),
    st.lists(st.integers(0, 1), max_size=30),
    st.sampled_from([SHORTEST, 256]),
)
def test_watched_as_it_is_written_a_loop_is_seen_at_its_first_token(
    before: list[int], block: list[int], times: int, behind: list[int], shortest: int
) -> None:
    tokens = [*before, *block * times, *behind]
    watch = LoopWatch(shortest)
    seen = [watch.feed(token) for token in tokens]
    first = next((n for n in range(len(tokens)) if is_looping(tokens[: n + 1], shortest)), None)
    assert (seen.index(True) if True in seen else None) == first


def test_a_watch_does_not_forget_over_a_long_text() -> None:
    watch = LoopWatch()
    assert not any(watch.feed(token) for token in unlike(50_000))
    block = unlike(LONGEST_BLOCK, 1)
    seen = [watch.feed(token) for token in block * REPEATS]
    assert seen.index(True) == REPEATS * LONGEST_BLOCK - 1
    watch.clear()
    assert not any(watch.feed(token) for token in block * (REPEATS - 1))
