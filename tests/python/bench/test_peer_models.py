"""benchmarks/peer_models.py: models appear when they are whole, and are made once."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
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
        (partial / "half").write_text("a model")
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        peer_models.make(out, broken)
    assert list(out.parent.iterdir()) == []  # no half model keeps the disk full
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


def test_the_disk_is_looked_at_before_it_fills(
    peer_models: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.truncate(4 << 30)  # a hole: takes no disk
    usage = SimpleNamespace(free=5 << 30)
    monkeypatch.setattr(peer_models.shutil, "disk_usage", lambda _: usage)
    monkeypatch.setattr(peer_models, "run", lambda *_: pytest.fail("it was begun"))
    with pytest.raises(OSError, match=r"7\.0 GB of disk are needed, 5\.4 GB are free"):
        peer_models.llama_cpp(tmp_path, tmp_path / "out", 4, tmp_path)


_CONVERTER = """
from conversion.base import TextModel, gguf
if __name__ == "__main__":
    print(TextModel().get_vocab_base_pre(None))
    gguf.SpecialVocab().add_to_gguf(None)
"""
_CONVERSION = """
class TextModel:
    def get_vocab_base_pre(self, tokenizer):
        raise NotImplementedError("not recognized")
class gguf:
    class SpecialVocab:
        load_merges, merges = True, []
        def add_to_gguf(self, writer, quiet=False):
            print(self.merges)
"""


def test_llama_cpp_s_converter_takes_the_tokenizer_of_random_checkpoints(
    peer_models: Any, tmp_path: Path
) -> None:
    (tmp_path / "conversion").mkdir()
    (tmp_path / "conversion" / "base.py").write_text(_CONVERSION)
    converter = tmp_path / "convert_hf_to_gguf.py"
    converter.write_text(_CONVERTER)
    command = [sys.executable, "-X", "utf8", "-c", peer_models.CONVERT, str(converter)]
    done = subprocess.run(command, check=True, capture_output=True, encoding="utf-8")
    assert done.stdout.splitlines() == ["qwen2", "['ÿ ÿ']"]


def test_a_file_that_llama_cpp_does_not_load_is_no_model(
    peer_models: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "fake_peers"))
    monkeypatch.delitem(sys.modules, "llama_cpp", raising=False)
    peer_models.quantize(tmp_path / "f16", tmp_path / "q4_0.gguf", 2)
    with pytest.raises(OSError, match="cannot load"):
        peer_models.quantize(tmp_path / "f16", tmp_path / "broken.gguf", 2)
    sys.modules.pop("llama_cpp", None)


def _missing() -> None:
    raise FileNotFoundError("optimum-cli")
