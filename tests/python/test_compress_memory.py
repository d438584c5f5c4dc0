"""Memory stays near a few slabs of rows, whatever the model's size."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from checkpoint_files import TINY, tiny_shapes

# Layers as R1-Distill-Qwen-7B, -Llama-8B and -Qwen-32B have them; one layer and few tokens, since
# what is done for one is done for each.
SHAPES: dict[str, dict[str, Any]] = {
    "7b": {"hidden_size": 3584, "intermediate_size": 18944, "num_attention_heads": 28,
           "num_key_value_heads": 4, "vocab_size": 20000},
    "8b": {"hidden_size": 4096, "intermediate_size": 14336, "num_attention_heads": 32,
           "num_key_value_heads": 8, "vocab_size": 20000},
    "32b": {"hidden_size": 5120, "intermediate_size": 27648, "num_attention_heads": 40,
            "num_key_value_heads": 8, "vocab_size": 20000},
}  # fmt: skip
# Python with NumPy takes 50 MB; a slab of the source 16 MB, its quantized bytes 8 MB, a part 32 MB.
LIMIT = 200e6
RUN = """
import sys
from pocketr1.compress import Quantizer
options = {"bits": int(sys.argv[3]), "group_size": 64, "threads": 2}
report = Quantizer(sys.argv[1], output_path=sys.argv[2], **options).run()
print(report.peak_rss_bytes)
"""


def sparse_checkpoint(directory: Path, config: dict[str, Any]) -> None:
    """Write a checkpoint of zeros that takes no room on the disk."""
    directory.mkdir()
    (directory / "config.json").write_text(json.dumps(config))
    header: dict[str, Any] = {}
    end = 0
    for name, shape in tiny_shapes(config).items():
        size = 2 * shape[0] * (shape[1] if len(shape) == 2 else 1)
        offsets = [end, end + size]
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": offsets}
        end += size
    text = json.dumps(header).encode()
    with (directory / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)


@pytest.mark.parametrize(
    ("shape", "bits"),
    [
        ("32b", 4),
        pytest.param("32b", 8, marks=pytest.mark.soak),
        pytest.param("32b", 16, marks=pytest.mark.soak),
        pytest.param("7b", 8, marks=pytest.mark.soak),
        pytest.param("8b", 8, marks=pytest.mark.soak),
    ],
)
def test_peak_memory_does_not_grow_with_the_model(tmp_path: Path, shape: str, bits: int) -> None:
    if shutil.disk_usage(tmp_path).free < 3e9:
        pytest.skip("needs 3 GB of free disk")
    config = {**TINY, **SHAPES[shape], "num_hidden_layers": 1}
    sparse_checkpoint(tmp_path / "source", config)
    command = [sys.executable, "-c", RUN, str(tmp_path / "source"), str(tmp_path / "out")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [*command, str(bits)], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < LIMIT
    shutil.rmtree(tmp_path)
