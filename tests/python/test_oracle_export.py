"""Exported checkpoints in transformers: the weights bit for bit, and the logits of float32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_files import write_safetensors
from oracle_support import FLOAT32_EPS, start

import pocketr1
from pocketr1 import bundle, checkpoint
from pocketr1.export import export_compressed_tensors

pytestmark = pytest.mark.oracle
torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("compressed_tensors")

TINY = Path(__file__).parents[2] / "models" / "tiny-r1"
IDS = list(range(5, 45))


@pytest.mark.parametrize(
    "options",
    [
        {"bits": 4, "group_size": 64},
        {"bits": 8},
        {"bits": "f8"},
        {"bits": 4, "group_size": 32, "head_bits": 8, "embedding_bits": 16},
        {"bits": 4, "head_bits": "f8", "embedding_bits": 8},
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_transformers_has_our_weights_and_our_logits(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    pocketr1.Quantizer(TINY, output_path=tmp_path / "b", **options).run()
    export_compressed_tensors(tmp_path / "b", tmp_path / "out")
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32)
    with torch.no_grad():
        theirs = model(torch.tensor([IDS])).logits[0].numpy()
    weights = model.state_dict()
    opened = checkpoint.open(tmp_path / "out")
    decoded: Any = {}
    for name, tensor in opened.tensors.items():
        ours = bundle.read_weights(tmp_path / "b", name)
        if name == "embed.weight" and options.get("embedding_bits") != 16:
            ours = ours.astype(np.float16).astype(np.float32)
        source = checkpoint.open(TINY).tensors[name].source_name
        assert np.array_equal(weights[source].float().numpy(), ours)
        decoded[source] = ("F32", tensor.shape, ours.tobytes())
    # Our engine on the same numbers in float32: what the bundle adds is the rounding of
    # activations, which is measured elsewhere.
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole" / "config.json").write_text((TINY / "config.json").read_text())
    write_safetensors(tmp_path / "whole" / "model.safetensors", decoded)
    logits = start(tmp_path / "whole", 64).feed(np.array(IDS))
    # Two float32 evaluations of one formula; tests/golden/README.md says why 6 (3 each).
    error = np.abs(logits - theirs).max()
    assert error <= 6 * 64 * FLOAT32_EPS * np.abs(theirs).max()


def test_zero_points_are_read_as_they_were_written(tmp_path: Path) -> None:
    """By ``dequantize``: without it transformers 5.24 makes room for unpacked zero points."""
    pocketr1.Quantizer(
        TINY, output_path=tmp_path / "b", bits=4, group_size=128, symmetric=False
    ).run()
    export_compressed_tensors(tmp_path / "b", tmp_path / "out")
    config = transformers.CompressedTensorsConfig(dequantize=True)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "out", dtype=torch.float32, quantization_config=config
    )
    weights = model.state_dict()
    for name, tensor in checkpoint.open(TINY).tensors.items():
        if len(tensor.shape) == 2:
            ours = bundle.read_weights(tmp_path / "b", name)
            theirs = weights[tensor.source_name].numpy()
            # They round the product to the scales' f16.
            assert np.array_equal(theirs, ours.astype(np.float16).astype(np.float32))
