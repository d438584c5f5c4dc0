"""Weight files that arrive while the job runs: the same bundle, no file twice, within the bound."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from checkpoint_files import TINY, random_tensors, tiny_shapes, write_checkpoint
from compress_support import compress, files

from pocketr1.bundle import layout
from pocketr1.compress import Progress, Quantizer
from pocketr1.errors import CompressionError

CONFIG = {**TINY, "num_hidden_layers": 4, "vocab_size": 900}
NAMES = list(tiny_shapes(CONFIG))
# A layer that spans two shards, a shard whose last tensor is needed at the very end.
SHARDS = [NAMES[:12], [*NAMES[12:30], NAMES[-1]], NAMES[30:-1]]


class Copies:
    """Arrivals from a directory on this machine; nothing of the network is needed to test them."""

    def __init__(self, published: Path, directory: Path) -> None:
        self.published, self.directory = published, directory
        self.headers = directory / "headers"
        self.fetched: list[str] = []
        self.headers.mkdir(parents=True)
        for path in published.iterdir():
            if path.suffix == ".safetensors":
                shutil.copyfile(path, self.headers / path.name)
            else:
                shutil.copyfile(path, directory / path.name)

    def fetch(self, path: Path) -> None:
        self.fetched.append(path.name)
        shutil.copyfile(self.published / path.name, path)

    def here(self, path: Path) -> int:
        part = path.with_name(path.name + ".part")
        return part.stat().st_size if part.exists() else 0


class StopError(Exception):
    """Raised by a progress callback."""


@pytest.fixture(autouse=True)
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several segments in each of several shards."""
    monkeypatch.setattr(layout, "SEGMENT_LIMIT", 4000)
    monkeypatch.setattr(layout, "SHARD_LIMIT", 80_000)


@pytest.fixture
def published(tmp_path: Path) -> Path:
    write_checkpoint(tmp_path / "hub", CONFIG, random_tensors(tiny_shapes(CONFIG)), SHARDS)
    (tmp_path / "hub/tokenizer.json").write_text("{}")
    return tmp_path / "hub"


@pytest.fixture
def copies(tmp_path: Path, published: Path) -> Copies:
    return Copies(published, tmp_path / "source")


def run(copies: Copies, output: Path, **options: Any) -> Any:
    return compress(copies.directory, output, arrivals=copies, discard_source=True, **options)


def stop_at(tensor: str) -> Callable[[Progress], None]:
    def progress(step: Progress) -> None:
        if step.tensor == tensor:
            raise StopError

    return progress


def disk(free: int) -> Callable[[object], Any]:
    usage = shutil.disk_usage("/")
    return lambda _: usage._replace(free=free)


@pytest.mark.parametrize("there", [[], [1], [0, 2]])
def test_the_bundle_is_that_of_the_whole_checkpoint(
    tmp_path: Path, published: Path, copies: Copies, there: list[int]
) -> None:
    compress(published, tmp_path / "whole")
    shards = sorted(path.name for path in published.glob("*.safetensors"))
    for number in there:
        copies.fetch(copies.directory / shards[number])

    run(copies, tmp_path / "out")

    assert files(tmp_path / "out") == files(tmp_path / "whole")
    assert sorted(copies.fetched) == shards
    assert not list(copies.directory.glob("*.safetensors"))


@pytest.mark.parametrize("tensor", ["layers.0.up.weight", "layers.3.k.weight", "head.weight"])
def test_a_stopped_job_fetches_no_file_again_that_it_had_discarded(
    tmp_path: Path, published: Path, copies: Copies, tensor: str
) -> None:
    compress(published, tmp_path / "whole")
    with pytest.raises(StopError):
        run(copies, tmp_path / "out", progress=stop_at(tensor))

    made = run(copies, tmp_path / "out")

    assert made.resumed_segments > 0
    assert files(tmp_path / "out") == files(tmp_path / "whole")
    assert len(copies.fetched) == len(set(copies.fetched)) == len(SHARDS)


def test_the_disk_never_holds_more_than_was_said(tmp_path: Path, copies: Copies) -> None:
    most = 0

    def look(_: Progress) -> None:
        nonlocal most
        made = [*(tmp_path / "out.partial/bundle/blocks").glob("*")]
        came = [*copies.directory.glob("*.safetensors")]
        most = max(most, sum(path.stat().st_size for path in [*made, *came]))

    quantizer = Quantizer(
        copies.directory,
        output_path=tmp_path / "out",
        bits=4,
        group_size=32,
        arrivals=copies,
        discard_source=True,
        progress=look,
    )
    said, _ = quantizer.disk_needed()
    quantizer.run()

    whole = sum(path.stat().st_size for path in copies.published.glob("*.safetensors"))
    assert 0.8 * said < most <= said < whole + sum(map(len, files(tmp_path / "out").values()))


def test_a_disk_that_cannot_hold_it_is_refused_before_a_file_comes(
    tmp_path: Path, copies: Copies, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"arrivals": copies, "discard_source": True, "bits": 4, "group_size": 32}
    quantizer = Quantizer(copies.directory, output_path=tmp_path / "out", **options)
    said, _ = quantizer.disk_needed()

    monkeypatch.setattr(shutil, "disk_usage", disk(said - 1))
    with pytest.raises(CompressionError) as caught:
        quantizer.run()

    assert caught.value.code == "compress-disk-space"
    assert copies.fetched == []
    monkeypatch.setattr(shutil, "disk_usage", disk(said))
    quantizer.run()


@pytest.mark.parametrize("there", ["a file", "most of a file"])
def test_what_lies_on_the_disk_already_is_not_asked_for_again(
    tmp_path: Path, copies: Copies, monkeypatch: pytest.MonkeyPatch, there: str
) -> None:
    options = {"arrivals": copies, "discard_source": True, "bits": 4, "group_size": 32}
    quantizer = Quantizer(copies.directory, output_path=tmp_path / "out", **options)
    said, _ = quantizer.disk_needed()
    name = min(path.name for path in copies.headers.iterdir())
    size = (copies.headers / name).stat().st_size
    if there == "a file":
        copies.fetch(copies.directory / name)
    else:
        size = size * 9 // 10
        (copies.directory / f"{name}.part").write_bytes(bytes(size))

    monkeypatch.setattr(shutil, "disk_usage", disk(said - size))
    quantizer.run()  # and not refused: a disk that held it before holds it still

    assert len(set(copies.fetched)) == len(SHARDS)
