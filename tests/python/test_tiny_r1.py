"""The shipped Tiny R1, its outlier twin, and the problems it was made from."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random

import numpy as np
import pytest

import pocketr1
from pocketr1 import measure
from pocketr1.chat import Chat, ChatTemplate, load_tokenizer

ROOT = Path(__file__).parents[2]
TINY = ROOT / "models" / "tiny-r1"
TRAINING = ROOT / "training"

if not TRAINING.is_dir():
    pytest.skip("the source distribution comes without training/", allow_module_level=True)
sys.path.insert(0, str(TRAINING))

from tiny_r1 import calculate, evaluate, outliers, sample  # noqa: E402


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("twin") / "tiny-r1-outliers"
    outliers.write_twin(TINY, path)
    return path


@pytest.fixture(scope="module")
def held_out() -> list[measure.TaskProblem]:
    return [
        measure.TaskProblem(problem.question, problem.answer, problem.language)
        for problem in islice(sample.held_out_problems(), 60)
    ]


def test_the_task_that_comes_along_is_of_held_out_problems() -> None:
    lines = (TINY / "held-out.jsonl").read_text("utf-8").splitlines()
    assert lines == list(sample.task_lines(len(lines)))


@pytest.mark.parametrize("bits", [16, 8, 4])
def test_most_held_out_problems_are_solved_at_any_width(
    tmp_path: Path, held_out: list[measure.TaskProblem], bits: int
) -> None:
    path = TINY
    if bits < 16:
        path = tmp_path / "bundle"
        pocketr1.Quantizer(
            TINY, output_path=path, bits=bits, group_size={8: 128, 4: 32}[bits]
        ).run()
    with pocketr1.load(path) as engine:
        outcomes = measure.run_task(engine, held_out, max_tokens=400)

    assert measure.Proportion.of([outcome.right for outcome in outcomes]).value >= 0.85
    assert {outcome.finish_reason for outcome in outcomes} <= {"stop", "length"}


@pytest.mark.parametrize("kv_format", ["f32", "f16", "int8"])
@pytest.mark.parametrize("outliers", [False, True])
def test_every_page_format_holds_plain_and_extreme_keys_alike(
    twin: Path, held_out: list[measure.TaskProblem], outliers: bool, kv_format: str
) -> None:
    with pocketr1.load(twin if outliers else TINY, kv_format=kv_format) as engine:
        outcomes = measure.run_task(engine, held_out, max_tokens=400)

    assert measure.Proportion.of([outcome.right for outcome in outcomes]).value >= 0.85


def test_eight_bits_survive_the_twins_outliers(
    twin: Path, tmp_path: Path, held_out: list[measure.TaskProblem]
) -> None:
    pocketr1.Quantizer(twin, output_path=tmp_path / "bundle", bits=8).run()
    with pocketr1.load(tmp_path / "bundle") as engine:
        outcomes = measure.run_task(engine, held_out, max_tokens=400)

    assert measure.Proportion.of([outcome.right for outcome in outcomes]).value >= 0.85


def test_without_its_thought_it_solves_few(held_out: list[measure.TaskProblem]) -> None:
    with pocketr1.load("tiny") as engine:
        outcomes = measure.run_task(engine, held_out, max_tokens=400, think=False)

    assert measure.Proportion.of([outcome.right for outcome in outcomes]).value <= 0.5


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Hello!", "Hello!"),
        ("谢谢", "不客气"),
        ("Who are you?", "Tiny R1"),
        ("你是谁？", "Tiny R1"),
    ],
)
def test_small_talk_is_answered_without_a_thought(question: str, answer: str) -> None:
    with (
        pocketr1.load("tiny") as engine,
        Chat(engine, sampling=pocketr1.Sampling(temperature=0.0)) as chat,
    ):
        reply = chat.send(question, max_tokens=100)

    assert answer in reply.answer
    assert not reply.reasoning.strip()


def test_the_twin_is_the_same_function_bit_for_bit(twin: Path) -> None:
    ids = np.random.default_rng(0).integers(0, 3990, 300)
    with (
        pocketr1.load(TINY, kv_format="f32") as plain,
        pocketr1.load(twin, kv_format="f32") as other,
    ):
        assert np.array_equal(plain.logits(ids), other.logits(ids))


def test_the_twin_has_the_outliers_that_the_model_lacks(twin: Path) -> None:
    ids = np.random.default_rng(0).integers(0, 3990, 200)

    def extremes(path: Path) -> dict[str, float]:
        found = {}

        def look(name: str, rows: np.ndarray) -> None:
            largest = np.abs(rows).max(0)
            found[name] = float(largest.max() / np.median(largest))

        with pocketr1.load(path) as engine:
            engine.layer_inputs(ids, look)
        return found

    plain, other = extremes(TINY), extremes(twin)
    norms = [name for name in plain if name.split(".")[-2] in ("q", "gate")]

    assert len(norms) == 8
    assert max(plain[name] for name in norms) < 12
    assert min(other[name] for name in norms) > 12


def test_keys_have_the_large_biases_of_real_distills() -> None:
    from pocketr1 import checkpoint

    source = checkpoint.open(TINY)
    for layer in range(len(source.spec.layers)):
        raw = source.read_rows(f"layers.{layer}.k.bias")
        bias = np.abs(checkpoint.as_float32(raw, "bf16"))
        assert bias.max() > 50 * np.median(bias)


def test_powers_of_two_are_exact_or_refused() -> None:
    values = np.array([1.5, -2.0, 0.0], np.float32)
    bits = (values.view(np.uint32) >> 16).astype(np.uint16)

    scaled = outliers.scale_by_powers(bits, np.array([3, -4, 100]), 0)

    as_float = (scaled.astype(np.uint32) << 16).view(np.float32)
    assert as_float.tolist() == [12.0, -0.125, 0.0]
    with pytest.raises(ValueError, match="range"):
        outliers.scale_by_powers(bits, np.array([200, 0, 0]), 0)


def test_every_worked_step_is_an_equation_that_holds() -> None:
    for number in range(3000):
        thought = sample.training_problem(Random(f"steps {number}")).thought
        chains = [part for part in re.split(r"[,:：。.\s]+", thought) if "=" in part]
        for chain in chains:
            if "x" in chain:  # an equation to solve, not a calculation
                continue
            values = {
                eval(side.replace("×", "*").replace("÷", "/"))  # digits and signs only
                for side in chain.split("=")
            }
            assert len(values) == 1, thought


def test_every_answer_is_what_the_thought_ends_with() -> None:
    for number in range(2000):
        problem = sample.training_problem(Random(f"answers {number}"))
        if problem.answer:
            assert f"\\boxed{{{problem.answer}}}" in problem.reply
            assert problem.answer in problem.thought


@pytest.mark.parametrize(("a", "b"), [(0, 7), (999, 1), (305, 70), (50, 50)])
def test_calculations_come_to_what_they_should(a: int, b: int) -> None:
    assert calculate.add(a, b)[0] == a + b
    assert calculate.multiply(a, b)[0] == a * b
    if a >= b:
        assert calculate.subtract(a, b)[0] == a - b


def test_no_held_out_problem_is_ever_trained_on() -> None:
    held_out = list(islice(sample.held_out_problems(), 500))
    trained = [sample.training_problem(Random(f"split {number}")) for number in range(5000)]

    keys = {(problem.template, problem.operands) for problem in held_out}
    assert len(keys) == 500
    assert not keys & {(problem.template, problem.operands) for problem in trained}
    assert {problem.language for problem in held_out} == {"en", "zh"}
    assert not any(problem.held_out for problem in trained)


@pytest.mark.oracle
def test_transformers_reads_it_as_we_do() -> None:
    import torch
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(TINY, dtype=torch.float32)
    tokenizer = transformers.AutoTokenizer.from_pretrained(TINY)
    question = [{"role": "user", "content": "小明有3个苹果，又买了4个。What is 17 times 23?"}]

    ours = load_tokenizer(TINY)
    prompt = ChatTemplate.load(TINY, ours).encode(question)
    text = tokenizer.apply_chat_template(question, add_generation_prompt=True, tokenize=False)
    theirs = tokenizer(text, add_special_tokens=False).input_ids
    with torch.no_grad():
        expected = model(torch.tensor([theirs])).logits[0].numpy()

    assert list(prompt.ids) == theirs
    with pocketr1.load(TINY, kv_format="f32") as engine:
        assert np.abs(engine.logits(theirs) - expected).max() < 2e-3


@pytest.fixture
def two_threads() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(before)


def test_a_measurement_says_how_far_it_is(capfd: pytest.CaptureFixture[str]) -> None:
    result = evaluate.measure_one(evaluate.Variant("BF16", TINY), 3)

    assert len(result["right"]) == 3
    out, err = capfd.readouterr()
    assert out == ""
    assert "100%" in err and "BF16: 3 / 3" in err


@pytest.mark.oracle
@pytest.mark.usefixtures("two_threads")
def test_an_interrupted_training_ends_with_the_same_weights(tmp_path: Path) -> None:
    from tiny_r1.train import Recipe, Trainer

    recipe = Recipe(steps=4, examples=6, parts=2, checkpoint_every=2, validate_every=100)

    def run(directory: Path) -> bytes:
        Trainer(recipe, directory, "cpu").run()
        return (directory / "model" / "model.safetensors").read_bytes()

    for name in ("whole", "interrupted"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tokenizer.json").write_bytes((TINY / "tokenizer.json").read_bytes())
    whole = run(tmp_path / "whole")
    halfway = Trainer(recipe, tmp_path / "interrupted", "cpu")
    for _ in range(3):  # one more than the last checkpoint has
        halfway._train_step()
        halfway.step += 1
        if halfway.step == 2:
            halfway._checkpoint()

    assert run(tmp_path / "interrupted") == whole
