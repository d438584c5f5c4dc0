from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from pocketr1.engine import Sampling
from pocketr1.errors import UsageError


def test_the_defaults_are_those_deepseek_recommends() -> None:
    assert (Sampling().temperature, Sampling().top_p) == (0.6, 0.95)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("temperature", "hot"),
        ("top_p", 0.0),
        ("top_p", 1.01),
        ("top_k", -1),
        ("top_k", 1.5),
        ("top_k", True),
        ("min_p", 1.5),
        ("repetition_penalty", 0),
        ("seed", -1),
        ("seed", 1 << 64),
        ("seed", 0.5),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(UsageError) as caught:
        Sampling(**{name: value})  # type: ignore[arg-type]
    assert caught.value.code == "sampling-value"
    assert name in caught.value.what
    assert name in caught.value.mend


def test_the_limits_themselves_are_allowed() -> None:
    Sampling(temperature=0, top_p=1, top_k=0, min_p=1, repetition_penalty=0.1, seed=2**64 - 1)


def test_options_cannot_be_changed_behind_a_running_generation() -> None:
    with pytest.raises(FrozenInstanceError):
        Sampling().temperature = 1.0  # type: ignore[misc]


def test_a_missing_seed_is_chosen_at_random_and_a_given_one_is_kept() -> None:
    assert Sampling(seed=7).seeded().seed == 7
    assert len({Sampling().seeded().seed for _ in range(8)}) > 1
