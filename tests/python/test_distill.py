"""Distilling: what it refuses. Nothing here needs PyTorch; test_oracle_distill.py does the rest."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import pocketr1
from pocketr1.compress import Quantizer
from pocketr1.compress.distill import Distiller, distiller
from pocketr1.engine import inspect
from pocketr1.errors import PocketR1Error, UsageError
from pocketr1.evaluate.separation import separate

ROOT = Path(__file__).parents[2]
TINY = ROOT / "models" / "tiny-r1"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "w4"
    Quantizer(TINY, output_path=path, bits=4, group_size=64).run()
    return path


@pytest.fixture
def torch_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refusals come before PyTorch is used, so that it need only seem to be there."""
    monkeypatch.setattr(distiller, "require_torch", lambda: None)


def refusal(bundle: Path, source: Path, output: Path, **options: Any) -> PocketR1Error:
    with pytest.raises(PocketR1Error) as raised:
        Distiller(bundle, source, output, **options).run()
    assert [path for path in output.parent.iterdir() if path.name.startswith(output.name)] == []
    return raised.value


def test_without_pytorch_the_message_says_how_to_get_it(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    error = refusal(made, TINY, tmp_path / "out")
    assert error.code == "distill-torch"
    assert "pocketr1[distill]" in error.mend
    pocketr1.set_language("zh")
    try:
        assert "pocketr1[distill]" in error.mend
    finally:
        pocketr1.set_language(None)


@pytest.mark.parametrize(
    "options",
    [{"epochs": 0}, {"epochs": True}, {"calibration_samples": 1}, {"threads": 0}],
    ids=str,
)
@pytest.mark.usefixtures("torch_there")
def test_an_option_out_of_range_is_refused(
    made: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    assert isinstance(refusal(made, TINY, tmp_path / "out", **options), UsageError)


@pytest.mark.usefixtures("torch_there")
def test_a_bundle_without_codes_has_nothing_to_train(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    Quantizer(TINY, output_path=whole, bits=16).run()
    assert refusal(whole, TINY, tmp_path / "out").code == "distill-nothing"


@pytest.mark.usefixtures("torch_there")
def test_a_source_with_other_weights_is_refused_by_its_hash(made: Path, tmp_path: Path) -> None:
    other = shutil.copytree(TINY, tmp_path / "other")
    weights = bytearray((other / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (other / "model.safetensors").write_bytes(weights)
    error = refusal(made, other, tmp_path / "out")
    assert error.code == "distill-source-differs"
    assert error.params["file"] == other / "model.safetensors"


@pytest.mark.usefixtures("torch_there")
def test_a_source_of_another_size_is_refused_before_it_is_hashed(
    made: Path, tmp_path: Path
) -> None:
    metadata = json.loads((made / "bundle.json").read_text("utf-8"))
    metadata["source"][0]["size"] += 1
    odd = shutil.copytree(made, tmp_path / "odd")
    (odd / "bundle.json").write_text(json.dumps(metadata), "utf-8")
    hashed: list[str] = []
    error = refusal(odd, TINY, tmp_path / "out", progress=lambda step: hashed.append(step.stage))
    assert error.code == "distill-source-differs"
    assert hashed == []


@pytest.mark.usefixtures("torch_there")
def test_a_source_of_another_shape_is_refused_by_its_key(made: Path, tmp_path: Path) -> None:
    other = shutil.copytree(TINY, tmp_path / "other")
    config = json.loads((other / "config.json").read_text("utf-8"))
    config["rms_norm_eps"] = 1e-5
    (other / "config.json").write_text(json.dumps(config), "utf-8")
    error = refusal(made, other, tmp_path / "out")
    assert error.code == "distill-model-differs"
    assert error.params["key"] == "rms_norm_eps"


@pytest.mark.usefixtures("torch_there")
def test_a_quantized_source_is_refused(made: Path, tmp_path: Path) -> None:
    quantized = ROOT / "tests" / "golden" / "quantized"
    source = next(path.parent for path in sorted(quantized.rglob("config.json")))
    assert refusal(made, source, tmp_path / "out").code == "distill-encoded"


def test_one_text_proves_nothing_of_a_bundle_that_saw_two(tmp_path: Path) -> None:
    """Calibrated with one text and distilled with another: neither alone shows them apart."""
    text = tmp_path / "text.txt"
    text.write_text("words that nothing measures\n", "utf-8")
    digest = hashlib.sha256(text.read_bytes()).hexdigest()
    plain = inspect(TINY)
    once = replace(plain, distilled={"sha256": digest})
    assert separate(once, text, ["other words"]).status == "apart"
    assert separate(once, None, ["other words"]).status == "unknown"
    twice = replace(once, calibration={"sha256": "0" * 64})
    assert separate(twice, text, ["other words"]).status == "unknown"
    same = replace(once, calibration={"sha256": digest})
    assert separate(same, text, ["other words"]).status == "apart"
