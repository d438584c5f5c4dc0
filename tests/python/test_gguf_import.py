"""A GGUF file is made into a bundle once, found again, and made anew where anything differs."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from compress_support import files
from gguf_files import gguf_name, q8_0, read_safetensors, write_tiny

import pocketr1
from pocketr1 import bundle
from pocketr1.cli.app import main
from pocketr1.compress import KEEP, Quantizer, cache_directory, find_or_import
from pocketr1.engine import locate
from pocketr1.errors import CheckpointError, UsageError

TINY = locate("tiny").path


@pytest.fixture(scope="session")
def tiny_tensors() -> dict[str, np.ndarray]:
    """Tiny R1's weights by GGUF's names, float32."""
    weights = read_safetensors(TINY / "model.safetensors")
    return {gguf_name(name): array for name, array in weights.items()}


@pytest.fixture(scope="session")
def tiny_q8(tmp_path_factory: pytest.TempPathFactory, tiny_tensors: dict[str, np.ndarray]) -> Path:
    return write_tiny(tmp_path_factory.mktemp("gguf") / "tiny q8.gguf", tiny_tensors)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POCKETR1_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_codes_and_scales_of_q8_0_are_in_the_bundle(
    tiny_q8: Path, tiny_tensors: dict[str, np.ndarray]
) -> None:
    place = pocketr1.import_gguf(tiny_q8)
    unpacked = bundle.unpack(place, "layers.2.down.weight")
    assert unpacked.format == "w8g32"
    raw = np.frombuffer(q8_0(tiny_tensors["blk.2.ffn_down.weight"]), np.uint8).reshape(-1, 34)
    assert np.array_equal(unpacked.codes, raw[:, 2:].view(np.int8).reshape(256, 768))
    scales = np.ascontiguousarray(raw[:, :2]).view("<f2").astype(np.float32)
    assert np.array_equal(unpacked.scales, scales.reshape(256, 24))
    report = bundle.inspect(place)
    assert all(tensor.relative_rms == 0 for tensor in report.tensors)
    assert {tensor.format for tensor in report.tensors} == {"w8g32", "f32"}


def test_a_bundle_of_gguf_answers_as_the_same_rounding_of_the_checkpoint(
    tmp_path: Path, tiny_q8: Path
) -> None:
    Quantizer(TINY, output_path=tmp_path / "w8", bits=8, group_size=32).run()
    with (
        pocketr1.load(pocketr1.import_gguf(tiny_q8)) as ours,
        pocketr1.load(tmp_path / "w8") as theirs,
    ):
        prompt = "Tom has 7 apples and buys 5 more. How many has he?"
        answers = [
            pocketr1.Chat(engine, sampling=pocketr1.Sampling(temperature=0.0)).send(
                prompt, max_tokens=200
            )
            for engine in (ours, theirs)
        ]
    assert answers[0].answer == answers[1].answer and "\\boxed" in answers[0].answer


def test_the_second_time_it_is_found(tiny_q8: Path, own_cache: Path) -> None:
    first = find_or_import(tiny_q8)
    before = files(own_cache)
    second = find_or_import(tiny_q8)
    assert first.report is not None and second.report is None
    assert second.path == first.path and first.path.parent == own_cache / "gguf"
    assert files(own_cache) == before
    assert first.path.name.startswith("tiny_q8-")


def test_what_no_format_holds_gets_8_bits(
    tmp_path: Path, tiny_tensors: dict[str, np.ndarray]
) -> None:
    path = write_tiny(tmp_path / "mixed.gguf", tiny_tensors, last="Q4_1")
    found = find_or_import(path)
    assert found.report is not None
    by_name = {tensor.name: tensor for tensor in found.report.bundle.tensors}
    assert by_name["head.weight"].format == "w8g32"
    assert 0 < (by_name["head.weight"].relative_rms or 0) < 0.01
    assert by_name["layers.0.q.weight"].relative_rms == 0


def test_another_time_size_or_header_is_another_bundle(tmp_path: Path, tiny_q8: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(tiny_q8.read_bytes())
    first = pocketr1.import_gguf(path)
    os.utime(path, ns=(1, 1))
    assert pocketr1.import_gguf(path) != first


def test_a_damaged_bundle_is_made_again(tiny_q8: Path) -> None:
    place = pocketr1.import_gguf(tiny_q8)
    shard = next((place / "blocks").iterdir())
    shard.write_bytes(shard.read_bytes()[:-1])
    again = find_or_import(tiny_q8)
    assert again.report is not None and again.path == place
    bundle.inspect(place, verify=True)


def test_a_stopped_import_goes_on_and_leaves_nothing_behind(tiny_q8: Path, own_cache: Path) -> None:
    def stop(progress: object) -> None:
        if getattr(progress, "stage", "") == "compress" and getattr(progress, "done", 0) > 2e6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pocketr1.import_gguf(tiny_q8, progress=stop)
    assert [path.suffix for path in (own_cache / "gguf").iterdir()] == [".partial"]
    found = find_or_import(tiny_q8)
    assert found.report is not None
    assert list((own_cache / "gguf").iterdir()) == [found.path]


def test_a_file_that_changes_meanwhile_gives_no_bundle(tmp_path: Path, tiny_q8: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(tiny_q8.read_bytes())

    def touch(progress: object) -> None:
        os.utime(path, ns=(5, 5))

    with pytest.raises(CheckpointError) as caught:
        pocketr1.import_gguf(path, progress=touch)
    assert caught.value.code == "checkpoint-changed"
    assert find_or_import(path).report is not None


def test_the_cache_is_where_one_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, own_cache: Path
) -> None:
    assert cache_directory("here") == Path("here")
    assert cache_directory() == own_cache
    monkeypatch.delenv("POCKETR1_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_directory() == tmp_path / "xdg" / "pocketr1"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_directory() == tmp_path / "home" / ".cache" / "pocketr1"


def test_run_answers_from_the_file_and_says_where_the_bundle_lies(
    tiny_q8: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "elsewhere"
    question = ["run", str(tiny_q8), "What is 3 + 4?", "--temperature", "0", "--cache", str(place)]
    assert main(question) == 0
    first = capsys.readouterr()
    assert "\\boxed{" in first.out
    assert f"{place}/gguf/tiny_q8-" in first.err and "nothing was lost" in first.err
    assert main(question) == 0
    second = capsys.readouterr()
    assert second.out == first.out and "kept in" not in second.err


@pytest.mark.parametrize(
    "line",
    [
        ["bench", "--prompt-tokens", "8", "--gen-tokens", "4", "--repeat", "1"],
        ["compress", "-o", "OUT", "--gate-task", "tiny", "--gate-limit", "4", "--max-drop", "100"],
    ],
    ids=["bench", "compress"],
)
def test_bench_and_a_gate_keep_the_bundle_where_one_says(
    tiny_q8: Path, tmp_path: Path, own_cache: Path, line: list[str]
) -> None:
    place = tmp_path / "elsewhere"
    words = [str(tmp_path / "out") if word == "OUT" else word for word in line]
    assert main([words[0], str(tiny_q8), *words[1:], "--cache", str(place)]) == 0
    assert [path.name.startswith("tiny_q8-") for path in (place / "gguf").iterdir()] == [True]
    assert not own_cache.exists()


def test_a_malformed_file_is_an_error_of_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + bytes(100))
    for command in (["run", "hello"], ["inspect"], ["compress", "-o", str(tmp_path / "out")]):
        assert main([command[0], str(tmp_path / "bad.gguf"), *command[1:]]) == 1
        assert "error[checkpoint-gguf-invalid]" in capsys.readouterr().err


def test_only_gguf_is_imported(tmp_path: Path) -> None:
    for path in (TINY / "model.safetensors", TINY, tmp_path / "nothing"):
        with pytest.raises(CheckpointError) as caught:
            pocketr1.import_gguf(path)
        assert caught.value.code in ("checkpoint-gguf-invalid", "checkpoint-read")


def test_compress_takes_a_gguf_file_with_any_bits(
    tmp_path: Path, tiny_q8: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = str(tiny_q8)
    assert main(["compress", source, "-o", str(tmp_path / "w4"), "--bits", "4"]) == 0
    assert bundle.unpack(tmp_path / "w4", "layers.0.q.weight").format == "w4g128"
    assert main(["compress", source, "-o", str(tmp_path / "keep"), "--bits", "keep"]) == 0
    assert bundle.unpack(tmp_path / "keep", "layers.0.q.weight").format == "w8g32"
    assert main(["compress", source, "-o", str(tmp_path / "x"), "--bits", "keep", "--dry-run"]) == 0
    assert main(["compress", source, "-o", str(tmp_path / "x"), "--bits", "most"]) == 2
    assert "--bits" in capsys.readouterr().err


def test_keep_leaves_a_checkpoint_as_it_is_and_lets_the_ends_differ(tmp_path: Path) -> None:
    Quantizer(TINY, output_path=tmp_path / "kept", bits=KEEP, head_bits=4, group_size=64).run()
    report = bundle.inspect(tmp_path / "kept")
    formats = {tensor.name: tensor.format for tensor in report.tensors}
    assert formats["layers.0.q.weight"] == "bf16" and formats["head.weight"] == "w4g64"
    assert report.plan == {"method": "keep", "head_bits": 4, "group_size": 64}
    with pytest.raises(UsageError):
        Quantizer(TINY, output_path=tmp_path / "no", bits=8, head_bits=KEEP)  # type: ignore[arg-type]
