"""The guides show the calibration figures that are kept, and nothing else."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "calibration.py"


@pytest.fixture(scope="module")
def calibration() -> ModuleType:
    specification = importlib.util.spec_from_file_location("calibration", SCRIPT)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_guides_tables_are_the_kept_figures(calibration: ModuleType) -> None:
    made = calibration.pages()
    assert len(made) == 2
    assert [path for path, page in made.items() if path.read_text("utf-8") != page] == []
