"""A model beside its reference: what the report says."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import pocketr1
from pocketr1 import measure
from pocketr1.evaluate import EvaluateOptions, EvaluationReport, evaluate, evaluate_models

TINY = Path(__file__).parents[3] / "models" / "tiny-r1"
GREEDY = EvaluateOptions(sampling=pocketr1.Sampling(temperature=0.0), max_tokens=400)
CONVERSATIONS = [
    {"question": "Solve x+61=101 for x.", "reasoning": "x=101-61=40.", "answer": "x is 40."},
    {"question": "71乘2等于多少？", "reasoning": "71×2=142。", "answer": "等于142。"},
]


def run(model: Path, reference: Path | str | None = "tiny", **options: Any) -> EvaluationReport:
    report, other = pocketr1.inspect(model), None
    with pocketr1.load(model) as engine:
        if reference is None:
            return evaluate(engine, report=report, **options)
        other = pocketr1.inspect(reference)
        with pocketr1.load(reference) as full:
            return evaluate(engine, full, report=report, reference_report=other, **options)


@pytest.fixture(scope="module")
def solved(good: Path, task: Path) -> EvaluationReport:
    return run(good, tasks=[measure.JsonLinesTask(task)], options=GREEDY)


def test_a_good_copy_solves_what_its_reference_solves(solved: EvaluationReport) -> None:
    (result,) = solved.tasks
    assert result.n == 40 and result.seeds == 1
    assert result.accuracy.value > 0.85
    assert result.loss is not None and abs(result.loss.value) <= 0.05
    assert result.lengths.truncated == result.lengths.looping == 0
    assert 20 < result.lengths.mean_tokens < 200
    assert set(result.groups) == {"en", "zh"}
    assert sum(group.n for group in result.groups.values()) == 40


def test_the_figures_of_a_task_are_those_of_run_task(
    solved: EvaluationReport, good: Path, task: Path
) -> None:
    with pocketr1.load(good) as engine:
        outcomes = measure.run_task(engine, measure.read_task(task), max_tokens=400)

    (result,) = solved.tasks
    assert result.accuracy.right == sum(outcome.right for outcome in outcomes)
    assert result.lengths.mean_tokens == sum(o.tokens for o in outcomes) / 40


def test_divergence_is_told_apart_by_prompt_reasoning_and_answer(solved: EvaluationReport) -> None:
    parts = {name: part for name, part in solved.parts.items() if part is not None}
    assert set(parts) == {"prompt", "reasoning", "answer"}
    assert solved.whole is not None and solved.whole_of == "replies"
    replies = parts["reasoning"].divergence.tokens + parts["answer"].divergence.tokens
    assert solved.whole.divergence.tokens == replies
    # The reference's own replies are what it expects; nobody taught it to expect questions.
    assert parts["prompt"].reference.value > 10 > parts["reasoning"].reference.value


def test_reasoning_and_answer_are_all_that_the_reference_wrote(
    solved: EvaluationReport, task: Path
) -> None:
    (result,) = solved.tasks
    assert result.reference_lengths is not None and solved.whole is not None
    written = result.reference_lengths.mean_tokens * result.n
    assert solved.whole.divergence.tokens == written + result.n  # with the end of each text


def test_a_model_beside_itself_loses_nothing(task: Path) -> None:
    report = run(TINY, tasks=[measure.JsonLinesTask(task)])

    assert report.whole is not None and report.whole.divergence.maximum == 0
    assert report.whole.divergence.top1_agreement == 1
    (result,) = report.tasks
    assert result.loss is not None
    assert (result.loss.first_only, result.loss.second_only) == (0, 0)
    assert result.lengths == result.reference_lengths


def test_a_bad_copy_fails_and_its_lost_problems_are_shown(bad: Path, task: Path) -> None:
    report = run(bad, tasks=[measure.JsonLinesTask(task)], options=GREEDY)

    assert report.verdict == "fail"
    (result,) = report.tasks
    assert result.loss is not None and result.loss.value > 0.3
    assert result.lost and all(flip.given != flip.expected for flip in result.lost)


def test_every_seed_answers_every_problem(good: Path, task: Path) -> None:
    options = EvaluateOptions(seeds=2, limit=10, max_tokens=400)
    report = run(good, tasks=[measure.JsonLinesTask(task)], options=options)

    (result,) = report.tasks
    assert (result.n, result.seeds, result.accuracy.count) == (10, 2, 20)
    assert sum(result.lengths.histogram.counts) == 20


def test_a_text_is_measured_as_measure_does(good: Path, tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("12×3=10×3+2×3=30+6=36。" * 60, "utf-8")
    report = run(good, text=path, options=EvaluateOptions(window=64))

    from pocketr1.chat import load_tokenizer

    ids = load_tokenizer(good).encode_text(path.read_text("utf-8"))
    with pocketr1.load(good) as model, pocketr1.load("tiny") as reference:
        expected = measure.compare(reference, model, ids, 64)
    assert report.whole == expected
    assert report.whole_of == "text"
    assert report.verdict is None
    assert report.text is not None and report.text.tokens == len(ids)


def test_only_the_first_tokens_of_a_text_are_used(good: Path, tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("12×3=10×3+2×3=30+6=36。" * 60, "utf-8")
    report = run(good, text=path, options=EvaluateOptions(window=64, text_tokens=128))

    assert report.text is not None and report.text.used == 128 < report.text.tokens
    assert report.whole is not None and report.whole.divergence.tokens == 2 * 31


def test_conversations_of_a_file_are_told_apart(good: Path, tmp_path: Path) -> None:
    path = tmp_path / "talk.jsonl"
    path.write_text("\n".join(json.dumps(each) for each in CONVERSATIONS), "utf-8")
    report = run(good, text=path)

    assert report.whole_of == "replies"
    assert all(part is not None for part in report.parts.values())
    alone = run(good, None, text=path)
    assert alone.whole is None and alone.verdict is None
    assert alone.perplexity is not None and report.whole is not None
    assert alone.perplexity.value == pytest.approx(report.whole.model.value)


def test_without_a_reference_there_are_accuracy_and_perplexity(good: Path, task: Path) -> None:
    report = run(good, None, tasks=[measure.JsonLinesTask(task)], options=GREEDY)

    tree = report.to_dict()
    assert tree["verdict"] is None and tree["checks"] == []
    assert tree["tasks"][0]["accuracy"] > 0.85
    assert tree["tasks"][0]["reference_accuracy"] is None
    assert tree["kld_mean"] is None


def test_a_limit_without_a_reference_is_a_mistake(good: Path, task: Path) -> None:
    with pytest.raises(pocketr1.UsageError) as caught:
        run(good, None, tasks=[measure.JsonLinesTask(task)], options=EvaluateOptions(max_kld=0.1))
    assert caught.value.code == "evaluate-needs-reference"


def test_nothing_to_measure_on_is_a_mistake(good: Path) -> None:
    with pytest.raises(pocketr1.UsageError) as caught:
        run(good)
    assert caught.value.code == "evaluate-nothing"


def test_models_of_other_vocabularies_are_not_compared(
    good: Path, tiny_checkpoint: Path, task: Path
) -> None:
    with pytest.raises(pocketr1.UsageError) as caught:
        run(good, tiny_checkpoint, tasks=[measure.JsonLinesTask(task)])
    assert caught.value.code == "measure-vocabulary"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"\xff\xfe\x00", "evaluate-text"),
        (b"a", "measure-text-short"),
        (b"", "measure-text-short"),
    ],
)
def test_a_text_that_cannot_be_used_is_explained(
    good: Path, tmp_path: Path, content: bytes, code: str
) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(content)
    with pytest.raises(pocketr1.UsageError) as caught:
        run(good, text=path)
    assert caught.value.code == code


@pytest.mark.parametrize("line", ['{"question": "a"}', '{"question": "a", "answer": 1}x', "[]"])
def test_a_bad_line_of_conversations_is_named(good: Path, tmp_path: Path, line: str) -> None:
    path = tmp_path / "talk.jsonl"
    path.write_text(json.dumps(CONVERSATIONS[0]) + "\n" + line, "utf-8")
    with pytest.raises(pocketr1.UsageError, match="ine 2") as caught:
        run(good, text=path)
    assert caught.value.code in ("task-field", "task-line")


@dataclass(frozen=True)
class Parity:
    """A task of another kind: is the number at the end even?"""

    name: str = "parity"

    def load(self) -> list[measure.TaskProblem]:
        return [measure.TaskProblem(f"What is {n} plus 13?", "even") for n in (25, 36, 47)]

    def run(
        self,
        engine: pocketr1.Engine,
        problems: Any,
        answering: measure.Answering,
        progress: Any = None,
    ) -> list[measure.Reply]:
        return measure.JsonLinesTask(Path()).run(engine, problems, answering, progress)

    def score(self, problem: measure.TaskProblem, reply: measure.Reply) -> measure.Outcome:
        given = measure.final_answer(reply.answer)
        right = given is not None and given.isdigit() and int(given) % 2 == 0
        tokens = len(reply.token_ids)
        return measure.Outcome(problem, right, given, tokens, reply.finish_reason, reply.text)


def test_a_task_of_one_s_own_needs_only_to_load_run_and_score(good: Path) -> None:
    task: measure.Task = Parity()
    report = run(good, tasks=[task], options=GREEDY)

    assert report.tasks[0].name == "parity"
    assert report.tasks[0].accuracy.right == 2  # 38 and 60, not 49
    assert report.tasks[0].path is None


def test_the_models_peak_memory_is_that_of_a_process_of_its_own(good: Path, task: Path) -> None:
    options = EvaluateOptions(limit=2, max_tokens=400)
    report = evaluate_models(good, "tiny", tasks=[task], options=options)

    peaks = [report.model.peak_rss_bytes, report.reference and report.reference.peak_rss_bytes]
    assert all(isinstance(peak, int) and 10**7 < peak < 10**9 for peak in peaks)


@pytest.mark.parametrize(
    "option",
    [
        {"seeds": 0},
        {"max_tokens": 0},
        {"batch": -1},
        {"limit": 0},
        {"max_drop": -1.0},
        {"max_drop": float("nan")},
        {"max_kld": -0.1},
    ],
)
def test_an_option_out_of_range_is_named(option: dict[str, Any]) -> None:
    with pytest.raises(pocketr1.UsageError) as caught:
        EvaluateOptions(**option)
    name = next(iter(option)).replace("_", "-")
    assert caught.value.code == "evaluate-value" and f"--{name}" in caught.value.what


def test_several_greedy_runs_are_refused() -> None:
    with pytest.raises(pocketr1.UsageError) as caught:
        EvaluateOptions(sampling=pocketr1.Sampling(temperature=0.0), seeds=3)
    assert caught.value.code == "evaluate-greedy-seeds"


def test_deepseek_s_sampling_rules_are_the_default() -> None:
    sampling = EvaluateOptions().sampling
    assert (sampling.temperature, sampling.top_p) == (0.6, 0.95)
