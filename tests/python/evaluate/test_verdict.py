"""PASS or FAIL, and what is said about it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import pocketr1
from pocketr1.evaluate import Check, EvaluateOptions, ModelFacts, Separation, TaskResult
from pocketr1.evaluate.report import Histogram, Lengths
from pocketr1.evaluate.verdict import advise, make_checks, remarks_on
from pocketr1.measure import PairedDifference, Proportion

TINY = Path(__file__).parents[3] / "models" / "tiny-r1"
LENGTHS = Lengths(80.0, 0, 0, Histogram([0, 100], [100]))


def result(both: int, lost: int, gained: int, neither: int = 0, **more: Any) -> TaskResult:
    n = both + lost + gained + neither
    return TaskResult(
        name="sums",
        path=None,
        sha256=None,
        n=n,
        seeds=1,
        accuracy=Proportion(both + gained, n),
        lengths=LENGTHS,
        reference_accuracy=Proportion(both + lost, n),
        reference_lengths=LENGTHS,
        loss=PairedDifference(both, lost, gained, neither),
        **more,
    )


def drop(task: TaskResult, limit: float = 8.0) -> Check:
    options = EvaluateOptions(max_drop=limit)
    (check,) = make_checks([task], None, Separation("none"), options)
    return check


def facts(bundle: Path, **changes: Any) -> ModelFacts:
    return ModelFacts(replace(pocketr1.inspect(bundle), **changes))


def test_the_upper_bound_decides_not_the_figure() -> None:
    few, many = result(28, 1, 1), result(2800, 100, 100)
    assert drop(few).value == drop(many).value == 0
    assert not drop(few).passed and drop(few).open
    assert drop(many).passed


def test_losing_more_than_allowed_fails_however_many_problems() -> None:
    check = drop(result(8500, 1000, 100, 400))
    assert not check.passed and not check.open
    assert check.value == pytest.approx(9.0)


def test_a_figure_that_is_no_number_does_not_pass() -> None:
    assert not Check("kld", "", float("nan"), float("nan"), 1.0).passed


def test_a_model_too_weak_for_the_task_is_pointed_out() -> None:
    task = result(1, 1, 0, 98)
    assert "evaluate-remark-hard" in [r.code for r in remarks_on([task], Separation("none"))]
    assert not remarks_on([result(90, 1, 0, 9)], Separation("none"))


def test_replies_that_were_cut_off_are_pointed_out_for_whom_they_were() -> None:
    task = result(90, 1, 0, 9)
    task = replace(task, lengths=replace(LENGTHS, truncated=20))
    assert [r.code for r in remarks_on([task], Separation("none"))] == [
        "evaluate-remark-truncated-model"
    ]


def test_too_few_problems_are_answered_with_how_many_it_takes(good: Path) -> None:
    task = result(28, 1, 1)
    (advice,) = advise(facts(good), [task], [drop(task)])
    assert advice.code == "evaluate-advice-problems"
    needed = advice.params["needed"]
    factor = needed / 30
    more = result(round(28 * factor), round(factor), round(factor))
    assert 7.5 < drop(more).upper <= 8.0


def test_a_bundle_of_four_bits_gets_smaller_groups_then_more_bits(tiny_bundle: Path) -> None:
    task = result(60, 40, 0)
    codes = [advice.code for advice in advise(facts(tiny_bundle), [task], [drop(task)])]
    assert codes == [
        "evaluate-advice-group",
        "evaluate-advice-ends",
        "evaluate-advice-bits",
        "evaluate-advice-tensors",
    ]


def test_advice_names_only_options_that_change_something(tiny_bundle: Path, good: Path) -> None:
    task = result(60, 40, 0)
    plan = {**(pocketr1.inspect(tiny_bundle).plan or {}), "group_size": 32}
    smallest = advise(facts(tiny_bundle, plan=plan), [task], [drop(task)])
    assert "evaluate-advice-group" not in [advice.code for advice in smallest]
    checkpoint = advise(facts(TINY), [task], [drop(task)])
    assert checkpoint == []
    eight = advise(facts(good), [task], [drop(task)])
    assert {"bits": 16} in [advice.params for advice in eight]
    for bits, more in ((2, 3), (3, 4)):
        plan = {**plan, "bits": bits}
        low = advise(facts(tiny_bundle, plan=plan), [task], [drop(task)])
        assert {"bits": more} in [advice.params for advice in low]


def test_a_bundle_calibrated_with_few_samples_is_to_have_more(tiny_bundle: Path) -> None:
    task = result(60, 40, 0)
    calibrated = facts(tiny_bundle, calibration={"sha256": "ab", "samples": 128})
    first = advise(calibrated, [task], [drop(task)])[0]
    assert first.code == "evaluate-advice-samples"
    assert first.params == {"samples": 1024, "had": 128}


def test_nothing_is_advised_where_everything_passed(tiny_bundle: Path) -> None:
    task = result(2800, 100, 100)
    assert advise(facts(tiny_bundle), [task], [drop(task)]) == []
