"""A bundle that is well formed, but whose model is none, is refused by file and field or tensor."""

from __future__ import annotations

from pathlib import Path

import pytest
from bundle_fixture import build, write

from pocketr1 import _core
from pocketr1.errors import BundleError

SPEC = {
    "architecture": "qwen2",
    "hidden_size": 40,
    "vocab_size": 40,
    "head_dim": 8,
    "rms_norm_eps": 1e-6,
    "max_positions": 64,
    "tied_embeddings": False,
    "attention_bias": False,
    "output_bias": False,
    "mlp_bias": False,
    "qk_norm": False,
    "rope": {"inv_freq": [1.0, 0.1, 0.01, 0.001], "attention_scaling": 1.0},
    "layers": [{"heads": 3, "kv_heads": 1, "ffn_size": 9}],
    "bos_token_id": None,
    "eos_token_ids": [1],
}


def refusal(path: Path, **changes: object) -> str:
    bundle = build()
    bundle.metadata["model"] = {**SPEC, **changes}
    write(bundle.files(), path)
    _core.Bundle.open(str(path))  # as a bundle there is nothing wrong with it
    with pytest.raises(BundleError) as caught:
        _core.Model.open_bundle(str(path))
    assert caught.value.code == "bundle-invalid"
    assert str(path / "bundle.json") in str(caught.value)
    return str(caught.value)


def test_a_tensor_of_another_shape_is_named(tmp_path: Path) -> None:
    message = refusal(tmp_path, vocab_size=41)
    assert "embed.weight" in message
    assert "(41, 40)" in message


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"hidden_size": 0}, "hidden_size"),
        ({"hidden_size": 2**40}, "hidden_size"),
        ({"head_dim": 7}, "head_dim"),
        ({"rms_norm_eps": 0.0}, "rms_norm_eps"),
        ({"rope": {"inv_freq": [1.0], "attention_scaling": 1.0}}, "rope.inv_freq"),
        ({"rope": {"inv_freq": [1.0, 2.0, 0.1, 0.1], "attention_scaling": 1.0}}, "inv_freq[1]"),
        ({"layers": []}, "layers"),
        ({"layers": [{"heads": 3, "kv_heads": 2, "ffn_size": 9}]}, "layers[0].heads"),
        ({"eos_token_ids": [40]}, "eos_token_ids[0]"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_field_that_cannot_be_is_named(
    tmp_path: Path, changes: dict[str, object], field: str
) -> None:
    assert field in refusal(tmp_path, **changes)
