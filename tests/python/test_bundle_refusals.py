"""Each thing the bundle reader refuses, by name, before it reads a weight."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bundle_fixture as fixture
import pytest
from bundle_fixture import SHARD_0, SHARD_1, BundleFixture, refusal

from pocketr1 import _core

FILES = fixture.build().files()

Edit = Callable[[BundleFixture], None]


def part(made: BundleFixture, segment: int, index: int = 0) -> Any:
    return made.metadata["segments"][segment]["parts"][index]


def tensor(made: BundleFixture, name: str) -> Any:
    return next(row for row in made.metadata["tensors"] if row["name"] == name)


def put(container: Any, key: Any, value: Any) -> None:
    container[key] = value


def rename(header: Any, old: str, new: str) -> None:
    header[new] = header.pop(old)


def become_padding(header: Any, name: str) -> None:
    entry = header["padding.99"] = header.pop(name)
    begin, end = entry["data_offsets"]
    entry["shape"] = [end - begin]


def swap(header: Any, one: str, other: str) -> None:
    header[one], header[other] = header[other], header[one]


def overlay_segment(made: BundleFixture) -> None:
    """The second segment of the embedding is laid over the first."""
    made.metadata["segments"][1]["offset"] = part(made, 1)["offset"] = 16_384


JSON_EDITS: dict[str, tuple[Edit, str, str]] = {
    # name: (edit, code, what the reason says)
    "foreign format": (lambda m: put(m.metadata, "format", "gguf"), "bundle-foreign", "format"),
    "no format": (lambda m: m.metadata.pop("format"), "bundle-foreign", "format"),
    "newer version": (lambda m: put(m.metadata, "version", 2), "bundle-version", "version 2"),
    "no model": (lambda m: m.metadata.pop("model"), "bundle-invalid", 'has no "model"'),
    "model is a list": (lambda m: put(m.metadata, "model", []), "bundle-invalid", "model"),
    "unknown encoding": (
        lambda m: put(m.fix_shards()[1]["chunks"][0], "encoding", "zstd"),
        "bundle-encoding",
        '"zstd" of blocks/00001.safetensors',
    ),
    "one chunk too many": (
        lambda m: m.fix_shards()[0]["chunks"].append(m.fix_shards()[0]["chunks"][0]),
        "bundle-invalid",
        "has 1 chunks, not 2",
    ),
    "short hash": (
        lambda m: put(m.fix_shards()[0]["chunks"][0], "sha256", "ab"),
        "bundle-invalid",
        "shards[0].chunks[0].sha256",
    ),
    "shard outside blocks": (
        lambda m: put(m.fix_shards()[0], "file", "00000.safetensors"),
        "bundle-invalid",
        "must lie in blocks/",
    ),
    "shard listed twice": (
        lambda m: put(m.fix_shards()[1], "file", SHARD_0),
        "bundle-invalid",
        f'"{SHARD_0}" is listed twice',
    ),
    "shard too large": (
        lambda m: put(m.fix_shards()[0], "size", 512_000_001),
        "bundle-invalid",
        "at most 512000000 bytes",
    ),
    "unknown field of a part": (
        lambda m: put(part(m, 0), "stride", 2),
        "bundle-invalid",
        'unknown key "stride"',
    ),
    "segment of no shard": (
        lambda m: put(m.metadata["segments"][0], "shard", 2),
        "bundle-invalid",
        "segments[0].shard: there is no such shard",
    ),
    "segment off its boundary": (
        lambda m: put(m.metadata["segments"][0], "offset", 16_448),
        "bundle-invalid",
        "segments[0].offset: must be a multiple of 16384",
    ),
    "segment too large": (
        lambda m: put(m.metadata["segments"][0], "size", 32_000_001),
        "bundle-invalid",
        "segments[0].size: must be in 1..32000000",
    ),
    "segment that leaves its shard": (
        lambda m: put(m.metadata["segments"][5], "size", 40_000),
        "bundle-invalid",
        "segments[5]: leaves its shard",
    ),
    "segment whose end overflows": (
        lambda m: put(m.metadata["segments"][5], "offset", 2**63 - 16_384),
        "bundle-invalid",
        "segments[5]: leaves its shard",
    ),
    "segments that overlap": (
        overlay_segment,
        "bundle-invalid",
        "segments[1]: overlaps segments[0]",
    ),
    "segment without parts": (
        lambda m: put(m.metadata["segments"][0], "parts", []),
        "bundle-invalid",
        "a segment without parts",
    ),
    "segment of two layers": (
        lambda m: put(m.metadata["segments"][2]["parts"][1], "tensor", "layers.1.up.weight"),
        "bundle-invalid",
        'tensor "layers.1.up.weight": a segment holds tensors of one layer only',
    ),
    "part of an unknown tensor": (
        lambda m: put(part(m, 0), "tensor", "embed.bias"),
        "bundle-invalid",
        'tensor "embed.bias" is not among the tensors',
    ),
    "part behind a gap": (
        lambda m: put(part(m, 1), "row", 48),
        "bundle-invalid",
        'tensor "embed.weight": the part must begin at row 32',
    ),
    "part off a tile": (
        lambda m: (put(part(m, 0), "rows", 30), put(part(m, 1), "row", 30)),
        "bundle-invalid",
        'tensor "embed.weight": row 30 is no multiple of 16',
    ),
    "part of too many rows": (
        lambda m: put(part(m, 1), "rows", 9),
        "bundle-invalid",
        'tensor "embed.weight": 9 rows from row 32 of 40',
    ),
    "part of no rows": (
        lambda m: put(part(m, 1), "rows", 0),
        "bundle-invalid",
        'tensor "embed.weight": 0 rows',
    ),
    "parts that end early": (
        lambda m: put(part(m, 1), "rows", 7),
        "bundle-invalid",
        'tensor "embed.weight": its parts cover 39 of 40 rows',
    ),
    "part off its boundary": (
        lambda m: put(part(m, 2, 1), "offset", part(m, 2, 1)["offset"] + 32),
        "bundle-invalid",
        'tensor "layers.0.q.weight": offset',
    ),
    "parts that overlap": (
        lambda m: put(part(m, 2, 1), "offset", part(m, 2, 0)["offset"]),
        "bundle-invalid",
        'tensor "layers.0.q.weight": offset 49152 overlaps',
    ),
    "part that leaves its segment": (
        lambda m: put(part(m, 2, 3), "offset", part(m, 2, 3)["offset"] + 64),
        "bundle-invalid",
        'tensor "layers.0.k.bias": its 68 bytes at offset',
    ),
    "tensor without parts": (
        lambda m: m.metadata["tensors"].append(
            {"name": "layers.0.o.weight", "format": "w4g32", "shape": [40, 40]}
        ),
        "bundle-invalid",
        'tensor "layers.0.o.weight": its parts cover 0 of 40 rows',
    ),
    "tensor listed twice": (
        lambda m: m.metadata["tensors"].append(dict(m.metadata["tensors"][0])),
        "bundle-invalid",
        'tensor "embed.weight" is listed twice',
    ),
    "unknown weight format": (
        lambda m: put(tensor(m, "head.weight"), "format", "w5g32"),
        "bundle-invalid",
        'tensor "head.weight": unknown format "w5g32"',
    ),
    "packed vector": (
        lambda m: put(tensor(m, "final_norm.weight"), "format", "w4g32"),
        "bundle-invalid",
        'tensor "final_norm.weight": a vector must have format f32',
    ),
    "shape that overflows": (
        lambda m: put(tensor(m, "head.weight"), "shape", [2**40, 2**40]),
        "bundle-invalid",
        'tensor "head.weight": a dimension of 1099511627776',
    ),
    "shape of zero": (
        lambda m: put(tensor(m, "head.weight"), "shape", [40, 0]),
        "bundle-invalid",
        'tensor "head.weight": a dimension of 0',
    ),
    "shape of three dimensions": (
        lambda m: put(tensor(m, "head.weight"), "shape", [40, 40, 1]),
        "bundle-invalid",
        'tensor "head.weight": must have one or two dimensions',
    ),
}


@pytest.mark.parametrize("name", JSON_EDITS)
def test_bundle_json_is_refused_for(name: str, tmp_path: Path) -> None:
    edit, code, reason = JSON_EDITS[name]
    made = fixture.build()
    edit(made)
    error = refusal(fixture.write(made.files(), tmp_path))
    assert error.code == code
    assert error.params["where"] == f"{tmp_path}/bundle.json"
    assert reason in str(error.params["reason"])


HEADER_EDITS: dict[str, tuple[Edit, str]] = {
    # name: (edit of the second shard, what the reason says)
    "a tensor bundle.json does not list": (
        lambda m: rename(m.headers[1], "padding.0", "layers.9.q.weight"),
        'lists "layers.9.q.weight", which bundle.json does not',
    ),
    "a missing array": (
        lambda m: become_padding(m.headers[1], "layers.1.down.weight@16.zeros"),
        'tensor "layers.1.down.weight": its header lacks "layers.1.down.weight@16.zeros"',
    ),
    "another type": (
        lambda m: put(m.headers[1]["layers.1.up.weight"], "dtype", "F16"),
        'tensor "layers.1.up.weight": the header\'s entry "layers.1.up.weight" has type F16',
    ),
    "another shape": (
        lambda m: put(m.headers[1]["layers.1.up.weight"], "shape", [40, 9]),
        'tensor "layers.1.up.weight": the header\'s entry "layers.1.up.weight" has another shape',
    ),
    "arrays that changed places": (
        lambda m: swap(
            m.headers[1], "layers.1.down.weight@0.codes", "layers.1.down.weight@16.codes"
        ),
        'entry "layers.1.down.weight@16.codes" begins at byte 16384, bundle.json says 32768',
    ),
    "padding of another type": (
        lambda m: put(m.headers[1]["padding.0"], "dtype", "I8"),
        'lists "padding.0", which bundle.json does not',
    ),
    "a size that is not its shape's": (
        lambda m: put(m.headers[1]["final_norm.weight"], "shape", [41]),
        "final_norm.weight.data_offsets: span 160 bytes, but type and shape need 164",
    ),
    "offsets outside the file": (
        lambda m: put(m.headers[1]["final_norm.weight"], "data_offsets", [2**62, 2**62 + 160]),
        "final_norm.weight.data_offsets: must be in order and within the file",
    ),
    "arrays that overlap": (
        lambda m: put(m.headers[1]["final_norm.weight"], "data_offsets", [0, 160]),
        "overlaps the one before it",
    ),
    "a shape that overflows": (
        lambda m: put(m.headers[1]["final_norm.weight"], "shape", [2**62, 2**62]),
        "final_norm.weight.shape: its product does not fit in 63 bits",
    ),
}


@pytest.mark.parametrize("name", HEADER_EDITS)
def test_a_shard_header_is_refused_for(name: str, tmp_path: Path) -> None:
    edit, reason = HEADER_EDITS[name]
    made = fixture.build()
    edit(made)
    error = refusal(fixture.write(made.files(), tmp_path))
    assert error.code == "bundle-invalid"
    assert reason in str(error.params["reason"])
    assert str(error.params["where"]).endswith((SHARD_1, "bundle.json"))


def test_a_duplicate_key_is_refused_in_both_kinds_of_file(tmp_path: Path) -> None:
    twice = FILES["bundle.json"].replace(b'"version": 1', b'"version": 1, "version": 1')
    path = fixture.write({**FILES, "bundle.json": twice}, tmp_path)
    assert "duplicate key" in str(refusal(path).params["reason"])

    made = fixture.build()
    rename(made.headers[0], "padding.0", "padding.1x")
    content = made.shard_files()[0].replace(b'"padding.1x"', b'"padding.1" ')
    rewritten = made.files()
    metadata = json.loads(rewritten["bundle.json"])
    metadata["shards"][0]["chunks"] = fixture.chunk_rows(content)
    rewritten |= {SHARD_0: content, "bundle.json": json.dumps(metadata).encode()}
    error = refusal(fixture.write(rewritten, tmp_path))
    assert error.params["where"] == f"{tmp_path}/{SHARD_0}"
    assert 'duplicate key "padding.1"' in str(error.params["reason"])


@pytest.mark.parametrize("length", [2**26 + 1, 2**40, 2**63, 2**64 - 1])
def test_a_huge_header_is_refused_before_it_is_read(tmp_path: Path, length: int) -> None:
    content = struct.pack("<Q", length) + FILES[SHARD_0][8:]
    error = refusal(fixture.write({**FILES, SHARD_0: content}, tmp_path))
    assert error.params["where"] == f"{tmp_path}/{SHARD_0}"
    assert f"claims {length} bytes" in str(error.params["reason"])


def test_a_huge_bundle_json_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = fixture.write(FILES, tmp_path)
    os.truncate(path / "bundle.json", 2**40)  # sparse
    error = refusal(path)
    assert f"it has {2**40} bytes" in str(error.params["reason"])


# --- paths -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd", "blocks/../../secret", "blocks/./00000.safetensors", "blocks//x", "blocks/",
        "blocks/..", "../blocks/00000.safetensors", "blocks/a\0b", "blocks/absent.safetensors",
    ],
)  # fmt: skip
def test_a_shard_path_must_stay_inside_and_exist(tmp_path: Path, name: str) -> None:
    made = fixture.build()
    made.fix_shards()[0]["file"] = name
    (tmp_path / "secret").write_bytes(FILES[SHARD_0])
    error = refusal(fixture.write(made.files(), tmp_path / "bundle"))
    assert error.code in ("bundle-invalid", "bundle-unreadable")


@pytest.mark.parametrize("name", ["bundle.json", SHARD_0, "blocks"])
def test_a_symbolic_link_inside_a_bundle_is_refused(tmp_path: Path, name: str) -> None:
    path = fixture.write(FILES, tmp_path / "bundle")
    (path / name).rename(tmp_path / "elsewhere")
    (path / name).symlink_to(tmp_path / "elsewhere")
    error = refusal(path)
    assert error.code == "bundle-unreadable"
    assert "symbolic link" in str(error.params["reason"])
    assert str(error.params["where"]).startswith(f"{path}/{name}")


def test_a_link_to_the_whole_bundle_is_fine(tmp_path: Path) -> None:
    fixture.write(FILES, tmp_path / "bundle")
    (tmp_path / "link").symlink_to("bundle")
    _core.Bundle.open(str(tmp_path / "link")).verify()


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    path = fixture.write(FILES, tmp_path / "bundle")
    (path / SHARD_0).unlink()
    os.mkfifo(path / SHARD_0)
    assert "not a regular file" in str(refusal(path).params["reason"])
    for place in ("absent", "bundle/bundle.json"):
        assert refusal(tmp_path / place).code == "bundle-unreadable"
