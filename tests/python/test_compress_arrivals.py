"""Weight files that arrive while the job runs: the same bundle, no file twice, within the bound."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from checkpoint_files import TINY, random_tensors, tiny_shapes, write_checkpoint
from compress_support import compress, files, kill_after

from pocketr1 import _core
from pocketr1.bundle import layout
from pocketr1.compress import Progress, Quantizer
from pocketr1.errors import CompressionError

CONFIG = {**TINY, "num_hidden_layers": 4, "vocab_size": 900}
NAMES = list(tiny_shapes(CONFIG))
# A layer that spans two shards, a shard whose last tensor is needed at the very end.
SHARDS = [NAMES[:12], [*NAMES[12:30], NAMES[-1]], NAMES[30:-1]]


def _layer(name: str) -> int:
    return int(name.split(".")[2]) if "layers" in name else 99 * (name != NAMES[0]) - 1


# As transformers writes them: a layer's norms come behind its matrices, and so in the file after
# them, where the layer is cut. The bundle asks for a layer's norm first.
WRITTEN = sorted(NAMES, key=lambda name: (_layer(name), "norm" in name, NAMES.index(name)))
IN_ORDER = [WRITTEN[:19], WRITTEN[19:32], WRITTEN[32:]]


QWEN_7B = {
    **TINY,
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_attention_heads": 28,
    "num_hidden_layers": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
}


class Copies:
    """Arrivals from a directory on this machine; nothing of the network is needed to test them."""

    def __init__(self, published: Path, directory: Path) -> None:
        self.published, self.directory = published, directory
        self.headers = directory / "headers"
        self.fetched: list[str] = []
        if self.headers.exists():  # a pull that goes on
            return
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


@pytest.fixture(params=[SHARDS, IN_ORDER], ids=["mixed", "in order"])
def published(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    write_checkpoint(tmp_path / "hub", CONFIG, random_tensors(tiny_shapes(CONFIG)), request.param)
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


@pytest.mark.parametrize("published", [IN_ORDER], indirect=True, ids=["in order"])
def test_a_layer_across_two_files_does_not_keep_both(tmp_path: Path, copies: Copies) -> None:
    """What is left of the first is kept in a safetensors file of its own."""
    whole: set[tuple[str, ...]] = set()
    rests: dict[str, int] = {}

    def look(_: Progress) -> None:
        whole.add(tuple(sorted(path.name for path in copies.directory.glob("*.safetensors"))))
        for path in (tmp_path / "out.partial/rest").glob("*.safetensors"):
            rests[path.name] = len(_core.safetensors_header(str(path)))

    run(copies, tmp_path / "out", progress=look)

    assert max(map(len, whole)) == 1
    assert sorted(rests) == sorted(path.name for path in copies.published.glob("*.safetensors"))[:2]
    assert all(0 < tensors < 12 for tensors in rests.values())


@pytest.mark.parametrize("published", [IN_ORDER], indirect=True, ids=["in order"])
def test_killed_at_any_change_to_the_disk_it_resumes(
    tmp_path: Path, published: Path, copies: Copies
) -> None:
    compress(published, tmp_path / "whole")
    copies.fetch(copies.directory / min(path.name for path in copies.headers.iterdir()))
    for count in range(1, 5000, 11):
        case = tmp_path / f"case{count}"
        shutil.copytree(copies.directory, case / "source")
        again = Copies(published, case / "source")
        killed = kill_after(count, lambda c=again, o=case / "out": run(c, o))
        run(again, case / "out", overwrite=True)

        assert files(case / "out") == files(tmp_path / "whole")
        assert [path.name for path in sorted(case.iterdir())] == ["out", "source"]
        assert not list(again.directory.glob("*.safetensors"))
        shutil.rmtree(case)
        if not killed:
            assert count > 200
            return
    raise AssertionError("the job never ended")


def stop_at_a_rest(copies: Copies, output: Path) -> Path:
    """Stop a job when there is a rest; return the directory that holds it."""
    rests = output.with_name(output.name + ".partial") / "rest"

    def progress(_: Progress) -> None:
        if any(rests.glob("*.safetensors")):
            raise StopError

    with pytest.raises(StopError):
        run(copies, output, progress=progress)
    return rests


def test_a_job_with_a_rest_is_not_taken_up_without_arrivals(
    tmp_path: Path, published: Path, copies: Copies
) -> None:
    compress(published, tmp_path / "whole")
    rests = stop_at_a_rest(copies, tmp_path / "out")
    kept = files(rests)

    for discard in (False, True):
        with pytest.raises(CompressionError) as caught:
            compress(copies.directory, tmp_path / "out", discard_source=discard)
        assert caught.value.code == "compress-job-arrivals"
        assert files(rests) == kept

    run(copies, tmp_path / "out")
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def test_what_a_kill_left_of_a_rest_does_not_count_against_the_disk(
    tmp_path: Path, copies: Copies
) -> None:
    rests = stop_at_a_rest(copies, tmp_path / "out")
    (rests / "model-00009-of-00009.safetensors.new").write_bytes(bytes(1000))
    (rests / "model-00009-of-00009.safetensors").write_bytes(bytes(1000))
    seen: list[list[str]] = []

    def look(_: Progress) -> None:
        seen.append(sorted(path.name for path in rests.iterdir()))

    run(copies, tmp_path / "out", progress=look)

    assert seen and not any("00009" in name for names in seen for name in names)


def test_a_rest_that_was_deleted_is_made_good_by_its_file(
    tmp_path: Path, published: Path, copies: Copies
) -> None:
    compress(published, tmp_path / "whole")
    shutil.rmtree(stop_at_a_rest(copies, tmp_path / "out"))

    run(copies, tmp_path / "out")

    assert files(tmp_path / "out") == files(tmp_path / "whole")
    assert not list(copies.directory.glob("*.safetensors"))


def test_the_disk_never_holds_more_than_was_said(tmp_path: Path, copies: Copies) -> None:
    most = 0

    def look(_: Progress) -> None:
        nonlocal most
        made = [*(tmp_path / "out.partial/bundle/blocks").glob("*")]
        came = [*copies.directory.glob("*.safetensors")]
        kept = [*(tmp_path / "out.partial/rest").glob("*")]
        most = max(most, sum(path.stat().st_size for path in [*made, *came, *kept]))

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


def test_the_7b_in_its_two_files_takes_11_gb_at_4_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Published: 8.6 and 6.6 GB; layer 15 or 16 lies in both. Only the headers are written."""
    monkeypatch.undo()
    shapes = tiny_shapes(QWEN_7B)
    written = sorted(shapes, key=lambda name: (_layer(name), "norm" in name))
    headers = tmp_path / "headers"
    headers.mkdir()
    weight_map, first = {}, 8.61e9
    entries: dict[str, dict[str, Any]] = {}
    for name in written:
        size = 2 * math.prod(shapes[name])
        first -= size
        file = f"model-0000{1 if first > 0 else 2}-of-000002.safetensors"
        rows = entries.setdefault(file, {})
        begin = max((row["data_offsets"][1] for row in rows.values()), default=0)
        rows[name] = {
            "dtype": "BF16",
            "shape": shapes[name],
            "data_offsets": [begin, begin + size],
        }
        weight_map[name] = file
    for file, rows in entries.items():
        text = json.dumps(rows).encode()
        with (headers / file).open("wb") as out:
            out.write(len(text).to_bytes(8, "little") + text)
            out.truncate(8 + len(text) + max(row["data_offsets"][1] for row in rows.values()))
    (tmp_path / "config.json").write_text(json.dumps(QWEN_7B))
    (tmp_path / "tokenizer.json").write_text("{}")
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    copies = Copies(tmp_path, tmp_path)

    said = {}
    for bits in (4, 8):
        quantizer = Quantizer(
            tmp_path, output_path=tmp_path / "out", bits=bits, group_size=64, arrivals=copies,
            discard_source=True,
        )  # fmt: skip
        said[bits], _ = quantizer.disk_needed()

    assert any("layers.16." in n for n in entries[min(entries)])
    assert any("layers.16." in n for n in entries[max(entries)])
    assert 8.61e9 < said[4] < 11e9
    assert said[8] < 15e9


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
