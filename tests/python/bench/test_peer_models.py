"""benchmarks/peer_models.py: models appear when they are whole, and are made once."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"

pytestmark = pytest.mark.skipif(
    not BENCHMARKS.is_dir(), reason="the benchmarks are not beside the tests"
)


@pytest.fixture
def peer_models(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("peer_models")


def test_a_model_appears_when_it_is_whole_and_is_made_once(
    peer_models: Any, tmp_path: Path
) -> None:
    out = tmp_path / "openvino" / "int4"

    def broken(partial: Path) -> None:
        partial.mkdir()
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        peer_models.make(out, broken)
    assert not out.exists()
    peer_models.make(out, lambda partial: partial.mkdir())
    assert [path.name for path in out.parent.iterdir()] == ["int4"]
    peer_models.make(out, broken)  # there already


def test_an_engine_without_tools_does_not_stop_the_next(
    peer_models: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    made: list[str] = []
    monkeypatch.setattr(peer_models, "openvino", lambda *_: _missing())
    monkeypatch.setattr(peer_models, "ctranslate2", lambda *_: made.append("ctranslate2"))
    line = ["peer_models.py", "checkpoint", str(tmp_path), "--bits", "8"]
    monkeypatch.setattr(sys, "argv", [*line, "--engines", "openvino,ctranslate2"])
    assert peer_models.main() == 1
    assert made == ["ctranslate2"]
    assert "openvino: no model" in capsys.readouterr().err


def _missing() -> None:
    raise FileNotFoundError("optimum-cli")
