"""Engines side by side: ours for real, the others as modules that stand in for them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gguf_file import write_gguf

import pocketr1
from pocketr1.bench import FIGURES, PEERS, CompareOptions, Comparison, compare, compare_engines
from pocketr1.errors import EngineError, UsageError

FAKES = Path(__file__).parent / "fake_peers"


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[dict[str, Any]]]:
    """Put the fakes before what is installed; return what they have noted, call by call."""
    path = tmp_path / "calls.jsonl"
    monkeypatch.setenv("PYTHONPATH", str(FAKES))
    monkeypatch.setenv("FAKE_PEER_LOG", str(path))

    def calls() -> list[dict[str, Any]]:
        return [json.loads(line) for line in path.read_text().splitlines()]

    return calls


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Return a directory with a model of each peer."""
    root = tmp_path / "peers"
    for name in ("llama.cpp", "openvino/int4", "ctranslate2/int8"):
        (root / name).mkdir(parents=True)
    (root / "llama.cpp" / "q4_0.gguf").write_bytes(b"x" * 10_000)
    (root / "openvino" / "int4" / "openvino_model.xml").write_text("<net/>")
    (root / "openvino" / "int4" / "openvino_model.bin").write_bytes(b"x" * 500_000)
    (root / "openvino" / "int4" / "config.json").write_text('{"vocab_size": 2048}')
    _ctranslate2_model(root, "int8")
    return root


def _ctranslate2_model(root: Path, name: str) -> None:
    directory = root / "ctranslate2" / name
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "model.bin").write_bytes(b"x" * 2_000_000)
    (directory / "vocabulary.json").write_text(json.dumps([f"t{n}" for n in range(2048)]))


def options(models: Path, *against: str, **more: Any) -> CompareOptions:
    small: dict[str, Any] = {
        "prompt_tokens": 12,
        "gen_tokens": 3,
        "long_tokens": 20,
        "together": 4,
        "threads": 1,
        "repeat": 1,
        "peer_models": str(models),
        "against": against,
    }
    return CompareOptions(**{**small, **more})


def test_a_peer_s_python_needs_neither_our_core_nor_numpy(tmp_path: Path) -> None:
    # What an interpreter without the package has: the sources, and no compiled module in them.
    package = tmp_path / "pocketr1"
    source = Path(pocketr1.__file__).parent
    shutil.copytree(source, package, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    job = {"action": "find", "engine": "ctranslate2", "directory": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", compare._WORKER, str(package), json.dumps(job)],
        stdout=subprocess.PIPE,
        check=False,
    )
    assert json.loads(done.stdout)["failed"] == "not-installed"


def test_every_engine_gets_every_figure_and_a_ratio(
    tiny_bundle: Path, models: Path, log: Callable[[], list[dict[str, Any]]]
) -> None:
    result = compare_engines(str(tiny_bundle), options(models, *PEERS, repeat=2))
    assert [engine.engine for engine in result.engines] == ["pocketr1", *PEERS]
    assert result.missing == []
    tree = json.loads(json.dumps(result.to_dict()))
    for engine in tree["engines"]:
        assert set(engine["figures"]) | {"load_cold_s"} == set(FIGURES)
        for spread in engine["figures"].values():
            assert 0 < spread["min"] <= spread["median"] <= spread["max"]
            assert len(spread["values"]) == 2
    ours, peer = tree["engines"][:2]
    assert ours["gain"] == {}
    assert set(peer["gain"]) | {"load_cold_s"} == set(FIGURES)
    assert tree["threads"] == 1
    assert tree["machine"]["cpus"] >= 1


def test_bits_per_weight_are_tensor_bytes_over_the_same_parameters(
    tiny_bundle: Path, models: Path, log: Callable[[], list[dict[str, Any]]]
) -> None:
    result = compare_engines(str(tiny_bundle), options(models, *PEERS))
    by_engine = {engine.engine: engine for engine in result.engines}
    ours = by_engine["pocketr1"]
    parameters = 8e6 * ours.weights_mb / ours.bits_per_weight
    sizes = {"llama.cpp": 1.0, "openvino": 0.5, "ctranslate2": 2.0}  # as the fakes say, MB
    for name, megabytes in sizes.items():
        assert by_engine[name].weights_mb == megabytes
        bits = by_engine[name].bits_per_weight
        assert bits == pytest.approx(8e6 * megabytes / parameters)


def test_all_engines_do_the_same_work(
    tiny_bundle: Path, models: Path, log: Callable[[], list[dict[str, Any]]]
) -> None:
    compare_engines(str(tiny_bundle), options(models, "ctranslate2", gen_tokens=9))
    calls = [call for call in log() if "prompts" in call]
    shapes = [(call["prompts"], call["max_length"]) for call in calls]
    first = ([1], 1)
    assert shapes == [
        first,  # cold
        *(first, ([12], 1), ([12], 1), ([1], 10)),  # short: prefill warmed up, then decode
        *(first, ([12], 1), ([20], 10)),  # long
        *(first, ([8] * 4, 4), ([8] * 4, 10)),  # together
    ]
    # Greedy, and end-of-text cannot come.
    assert all(call["sampling_topk"] == 1 for call in calls)
    assert all(call["min_length"] == call["max_length"] for call in calls)
    assert {call["intra_threads"] for call in log() if "open" in call} == {1}


def test_ours_can_be_measured_in_several_kv_formats(
    tiny_bundle: Path, models: Path, log: Callable[[], list[dict[str, Any]]]
) -> None:
    result = compare_engines(
        str(tiny_bundle), options(models, "openvino", more_kv_formats=("int8",))
    )
    assert [engine.engine for engine in result.engines] == ["pocketr1", "pocketr1", "openvino"]
    assert [engine.settings["kv"] for engine in result.engines] == ["f16", "int8", "u8"]
    first, second, peer = result.to_dict()["engines"]
    assert (first["kv_format"], second["kv_format"]) == (None, "int8")
    assert not first["gain"] and not second["gain"] and peer["gain"]


def test_a_kv_format_there_is_not_is_refused_before_anything_is_measured(models: Path) -> None:
    with pytest.raises(UsageError) as caught:
        options(models, more_kv_formats=("int4",))
    assert caught.value.code == "kv-format-value"


def test_llama_cpp_computes_every_token_of_a_prompt_in_batches(
    tiny_bundle: Path, models: Path, log: Callable[[], list[dict[str, Any]]]
) -> None:
    compare_engines(str(tiny_bundle), options(models, "llama.cpp", long_tokens=600, together=4))
    steps = [(call["tokens"], call["wanted"]) for call in log() if "tokens" in call]
    # The prompt of 600 goes in two batches, and only its last token's logits are asked for.
    assert (512, 0) in steps and (88, 1) in steps
    # Four prompts of 8 in one batch, then a step for all four at a time.
    assert (32, 4) in steps
    assert steps[-3:] == [(4, 4)] * 3
    contexts = [call["context"] for call in log() if "context" in call]
    assert {context["n_threads"] for context in contexts} == {1}
    assert contexts[-1]["n_seq_max"] == 4
    assert contexts[-1]["n_ctx"] == 4 * 256


def test_openvino_gets_its_threads_and_no_prefix_to_reuse(
    tiny_bundle: Path, models: Path, log: Callable[[], list[dict[str, Any]]]
) -> None:
    result = compare_engines(str(tiny_bundle), options(models, "openvino"))
    assert result.missing == []
    pipelines = [call for call in log() if "device" in call]
    assert {call["INFERENCE_NUM_THREADS"] for call in pipelines} == {1}
    assert not any(call["enable_prefix_caching"] for call in pipelines)
    assert {tuple(call["shape"]) for call in log() if "shape" in call} == {
        (1, 1), (1, 8), (1, 12), (1, 20)
    }  # fmt: skip


def test_a_peer_that_is_not_installed_is_named_with_its_interpreter(
    tiny_bundle: Path, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = tmp_path / "absent"
    absent.mkdir()
    (absent / "llama_cpp.py").write_text("raise ImportError('nothing here')")
    monkeypatch.setenv("PYTHONPATH", str(absent))
    result = compare_engines(str(tiny_bundle), options(models, "llama.cpp"))
    assert [engine.engine for engine in result.engines] == ["pocketr1"]
    (missing,) = result.missing
    assert (missing.engine, missing.code) == ("llama.cpp", "bench-peer-not-installed")
    assert missing.params["python"] == sys.executable
    assert "nothing here" in missing.params["reason"]


def test_an_interpreter_that_is_none_is_told(tiny_bundle: Path, models: Path) -> None:
    chosen = options(models, "openvino", peer_python="/no/such/python")
    (missing,) = compare_engines(str(tiny_bundle), chosen).missing
    assert missing.code == "bench-peer-failed"
    assert "/no/such/python" in missing.params["reason"]


def test_a_peer_without_a_model_is_named_with_the_directory(
    tiny_bundle: Path, tmp_path: Path, log: Callable[[], list[dict[str, Any]]]
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (missing,) = compare_engines(str(tiny_bundle), options(empty, "openvino")).missing
    assert missing.code == "bench-peer-no-model"
    assert missing.params["path"] == str(empty)


def test_models_are_looked_for_beside_ours(
    tiny_bundle: Path, models: Path, tmp_path: Path, log: Callable[[], list[dict[str, Any]]]
) -> None:
    ours = tmp_path / "ours"
    ours.symlink_to(tiny_bundle)
    chosen = options(models, "ctranslate2", peer_models=None)
    beside = tiny_bundle.resolve().with_name(tiny_bundle.name + "-peers")
    (missing,) = compare_engines(str(ours), chosen).missing
    assert missing.params["path"] == str(beside)


@pytest.mark.parametrize(
    ("name", "reason"), [("broken", "no such weights"), ("killed", "signal 9")]
)
def test_a_model_that_fails_does_not_stop_the_others(
    name: str, reason: str, tiny_bundle: Path, models: Path,
    log: Callable[[], list[dict[str, Any]]],
) -> None:  # fmt: skip
    _ctranslate2_model(models, name)
    result = compare_engines(str(tiny_bundle), options(models, "ctranslate2", repeat=2))
    assert [Path(engine.model).name for engine in result.engines][1:] == ["int8"]
    (missing,) = result.missing
    assert missing.code == "bench-peer-died"
    assert missing.params["model"] == name
    assert reason in missing.params["reason"]


def test_fewer_tokens_than_asked_for_are_no_figure(
    tiny_bundle: Path, models: Path, log: Callable[[], list[dict[str, Any]]]
) -> None:
    _ctranslate2_model(models, "short")
    (missing,) = compare_engines(str(tiny_bundle), options(models, "ctranslate2")).missing
    assert "tokens were asked for" in missing.params["reason"]


def test_an_engine_that_cannot_do_one_part_keeps_its_other_figures(
    tiny_bundle: Path, models: Path, log: Callable[[], list[dict[str, Any]]]
) -> None:
    (models / "ctranslate2" / "int8").rename(models / "ctranslate2" / "single")
    result = compare_engines(str(tiny_bundle), options(models, "ctranslate2", repeat=2))
    (missing,) = result.missing
    assert missing.code == "bench-peer-part"
    assert missing.params["part"] == "--together"
    assert "one at a time" in missing.params["reason"]
    figures = result.to_dict()["engines"][1]["figures"]
    assert "together_tok_s" not in figures
    assert len(figures["decode_long_tok_s"]["values"]) == 2


def test_the_parts_that_are_not_asked_for_are_left_out(tiny_bundle: Path, models: Path) -> None:
    result = compare_engines(str(tiny_bundle), options(models, long_tokens=0, together=0))
    figures = set(result.to_dict()["engines"][0]["figures"])
    assert not figures & {"prefill_long_tok_s", "decode_long_tok_s", "together_tok_s"}
    assert {"prefill_tok_s", "decode_tok_s", "peak_rss_mb"} <= figures


def test_a_gain_above_one_means_that_ours_is_better() -> None:
    def engine(values: dict[str, list[float | None]]) -> Any:
        from pocketr1.bench import EngineResult

        return EngineResult("e", "m", {}, {}, 1.0, 4.0, values)

    ours = engine({"decode_tok_s": [30.0, 40.0, None], "peak_rss_mb": [100.0, 100.0, 100.0]})
    peer = engine({"decode_tok_s": [10.0, 20.0, 1.0], "peak_rss_mb": [300.0, 200.0, 250.0]})
    speed, memory = (ours.gain_over(peer, name) for name in ("decode_tok_s", "peak_rss_mb"))
    assert (speed.min, speed.median, speed.max) == (2.0, 2.5, 3.0)  # of the rounds both have
    assert memory.median == 2.5
    assert ours.gain_over(peer, "ttft_s") is None


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"prompt_tokens": 0}, "bench-value"),
        ({"long_tokens": -1}, "bench-count"),
        ({"together": 1.5}, "bench-count"),
        ({"against": ("llama",)}, "bench-peer"),
    ],
)
def test_bad_options_are_refused(wrong: dict[str, Any], code: str) -> None:
    with pytest.raises(UsageError) as caught:
        CompareOptions(**wrong)
    assert caught.value.code == code


def test_a_directory_that_is_none_is_refused_before_anything_is_measured(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        compare_engines(str(tiny_bundle), options(tmp_path / "no", "openvino"))
    assert caught.value.code == "bench-peer-models"


def test_ours_failing_is_an_error(tiny_bundle: Path, models: Path) -> None:
    with pytest.raises(EngineError) as caught:
        compare_engines(str(tiny_bundle), options(models, isa="vliw"))
    assert caught.value.code == "bench-died"
    assert "vliw" in str(caught.value)


def test_the_model_is_looked_at_first(models: Path) -> None:
    with pytest.raises(EngineError) as caught:
        compare_engines("no such model", options(models, "openvino"))
    assert caught.value.code == "model-missing"


def test_the_roofline_says_what_a_token_takes(tiny_bundle: Path, models: Path) -> None:
    result: Comparison = compare_engines(
        str(tiny_bundle), options(models, roofline=True, long_tokens=0, together=0)
    )
    assert result.roofline is not None
    tree = result.to_dict()["roofline"]
    assert tree["read_bytes_s"] > 0
    demand = result.roofline.demand
    # The embedding is only looked up; every other tensor is read.
    assert 0.5e6 * result.ours.weights_mb < demand.bytes < 1e6 * result.ours.weights_mb
    # benchmarks/shapes.py, tiny-random: 4 layers, hidden 256, ffn 688, 4 heads and 2 of K/V.
    assert demand.products == 4 * (2 * 256 * 256 + 2 * 256 * 128 + 3 * 256 * 688)
    assert demand.kv_bytes == 4 * 2 * 2 * 64 * 2  # layers, K and V, heads, head size, f16
    assert result.roofline.decode_share(10.0) == pytest.approx(
        10 * demand.bytes / result.roofline.read
    )


def test_llama_cpp_itself_takes_part(tiny_bundle: Path, tmp_path: Path) -> None:
    python = _python_with("llama_cpp")
    bytes_written = write_gguf(tmp_path / "random.gguf")
    chosen = options(tmp_path, "llama.cpp", peer_python=python, repeat=2)
    result = compare_engines(str(tiny_bundle), chosen)
    assert result.missing == []
    peer = result.engines[1]
    assert peer.weights_mb == bytes_written / 1e6
    assert set(result.to_dict()["engines"][1]["figures"]) >= set(FIGURES) - {"load_cold_s"}
    assert "llama-cpp-python" in peer.versions
    assert peer.settings["repack"] == "on"


def _python_with(module: str) -> str:
    """Return an interpreter that has ``module``: POCKETR1_PEER_PYTHON or scripts/bench's own."""
    beside = Path(__file__).parents[3] / ".venv-peers" / "bin" / "python"
    python = os.environ.get("POCKETR1_PEER_PYTHON", str(beside))
    if not Path(python).exists():
        pytest.skip(f"{module} is not installed: no POCKETR1_PEER_PYTHON, no .venv-peers")
    done = subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"{module} is not installed for {python}")
    return python
