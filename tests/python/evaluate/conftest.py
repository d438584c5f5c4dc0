"""Tiny R1, a good copy of it, and a bad one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import pocketr1

ROOT = Path(__file__).parents[3]
TINY = ROOT / "models" / "tiny-r1"


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return Tiny R1 in 8 bits."""
    path = tmp_path_factory.mktemp("evaluate") / "tiny-int8"
    pocketr1.Quantizer(TINY, output_path=path, bits=8).run()
    return path


@pytest.fixture(scope="session")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return Tiny R1 with every other gain of a norm at zero: it solves far less."""
    path = tmp_path_factory.mktemp("evaluate") / "tiny-bad"
    shutil.copytree(TINY, path)
    data = bytearray((path / "model.safetensors").read_bytes())
    size = int.from_bytes(data[:8], "little")
    begin, end = json.loads(data[8 : 8 + size])["model.layers.1.input_layernorm.weight"][
        "data_offsets"
    ]
    place = slice(8 + size + begin, 8 + size + end)
    gains = np.frombuffer(bytes(data[place]), np.uint16).copy()
    gains[::2] = 0
    data[place] = gains.tobytes()
    (path / "model.safetensors").write_bytes(data)
    return path


@pytest.fixture(scope="session")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a task of 40 problems."""
    path = tmp_path_factory.mktemp("task") / "sums.jsonl"
    lines = (TINY / "held-out.jsonl").read_text("utf-8").splitlines()[:40]
    path.write_text("\n".join(lines), "utf-8")
    return path
