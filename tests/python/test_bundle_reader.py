"""The bundle reader trusts nothing: whatever is wrong comes back as an error that names it."""

from __future__ import annotations

import copy
import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bundle_fixture as fixture
import numpy as np
import pytest
from bundle_fixture import SHARD_0, SHARD_1, BundleFixture, refusal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pocketr1 import _core
from pocketr1.errors import BundleError

FILES = fixture.build().files()
PROPERTY = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def read_everything(bundle: _core.Bundle) -> int:
    """The bytes of all parts, each touched."""
    total = 0
    for name, _format, _shape, parts in bundle.tensors():
        for index, (_row, _rows, _shard, _offset, size) in enumerate(parts):
            data = bundle.part_bytes(name, index)
            assert data.size == size
            assert 0 <= int(data.sum()) <= 255 * size
            total += size
    return total


def try_to_read(path: Path) -> None:
    """Anything but a BundleError, a crash above all, is a failure."""
    try:
        bundle = _core.Bundle.open(str(path), False)
        read_everything(bundle)
        bundle.verify()
    except BundleError as error:
        assert str(error)


# --- what is right -----------------------------------------------------------------------------


@pytest.mark.parametrize("mmap", [True, False])
def test_a_valid_bundle_gives_every_part_as_it_was_written(tmp_path: Path, mmap: bool) -> None:
    made = fixture.build()
    bundle = _core.Bundle.open(str(fixture.write(made.files(), tmp_path)), mmap)
    tensors = {tensor.name: tensor for tensor in fixture.TENSORS}
    assert [(name, fmt, shape) for name, fmt, shape, _ in bundle.tensors()] == [
        (t.name, t.format, t.shape) for t in fixture.TENSORS
    ]
    for name, _, _, parts in bundle.tensors():
        assert [(row, rows) for row, rows, *_ in parts] == tensors[name].parts()
        for index, (row, _rows, shard, offset, size) in enumerate(parts):
            data = bundle.part_bytes(name, index)
            begin = offset - fixture.SEGMENT_ALIGNMENT
            assert bytes(data) == made.data[shard][begin : begin + size], (name, row)
            assert not data.flags.writeable
            assert data.ctypes.data % 64 == 0
    assert json.loads(bundle.metadata_json) == json.loads(made.files()["bundle.json"])
    assert json.loads(bundle.model_json) == made.metadata["model"]
    assert bundle.weight_bytes == read_everything(bundle)
    assert bundle.shards() == [(name, len(made.files()[name])) for name in (SHARD_0, SHARD_1)]
    assert len(bundle.segments()) == 6
    bundle.verify()


def test_an_array_outlives_its_bundle(tmp_path: Path) -> None:
    for mmap in (True, False):
        bundle = _core.Bundle.open(str(fixture.write(FILES, tmp_path)), mmap)
        data = bundle.part_bytes("head.weight", 0)
        copied = bytes(data)
        del bundle
        assert bytes(data) == copied


def test_an_unknown_tensor_or_part_is_a_python_error(tmp_path: Path) -> None:
    bundle = _core.Bundle.open(str(fixture.write(FILES, tmp_path)))
    with pytest.raises(KeyError):
        bundle.part_bytes("head.bias", 0)
    with pytest.raises(IndexError):
        bundle.part_bytes("head.weight", 1)


@pytest.mark.parametrize("lead", [0, 64, 3])  # in the package: on a page, on a line, on neither
@pytest.mark.parametrize("mmap", [True, False])
def test_a_bundle_opens_from_descriptors_of_one_package(
    tmp_path: Path, lead: int, mmap: bool
) -> None:
    package, rows = bytearray(lead), []
    for name, content in FILES.items():
        rows.append((name, len(package), len(content)))
        package += content + bytes(-len(content) % 64)
    (tmp_path / "package").write_bytes(package)
    descriptor = os.open(tmp_path / "package", os.O_RDONLY)
    try:
        bundle = _core.Bundle.open_files([(n, descriptor, o, s) for n, o, s in rows], mmap)
        outside = [(n, descriptor, o, s + len(package)) for n, o, s in rows]
        with pytest.raises(BundleError, match="outside"):
            _core.Bundle.open_files(outside)
        with pytest.raises(BundleError, match="was not given"):
            _core.Bundle.open_files([(n, descriptor, o, s) for n, o, s in rows if n != SHARD_1])
    finally:
        os.close(descriptor)  # the bundle keeps its own
    plain = _core.Bundle.open(str(fixture.write(FILES, tmp_path / "plain")))
    for name, _, _, parts in plain.tensors():
        for part in range(len(parts)):
            data = bundle.part_bytes(name, part)
            assert np.array_equal(data, plain.part_bytes(name, part))
            assert data.ctypes.data % 64 == 0
    bundle.verify()


def test_verify_reports_progress_and_stops_when_told(tmp_path: Path) -> None:
    bundle = _core.Bundle.open(str(fixture.write(FILES, tmp_path)))
    seen: list[tuple[int, int]] = []
    bundle.verify(lambda done, total: seen.append((done, total)))
    assert seen[0][0] == 0 and seen[-1][0] == seen[-1][1]
    assert seen == sorted(seen)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bundle.verify(stop)


# --- truncation and noise ----------------------------------------------------------------------


def test_bundle_json_cut_at_any_byte_is_refused(tmp_path: Path) -> None:
    path = fixture.write(FILES, tmp_path)
    content = FILES["bundle.json"]
    for size in range(len(content)):
        os.truncate(path / "bundle.json", 0)
        (path / "bundle.json").write_bytes(content[:size])
        assert refusal(path).params["where"] == f"{path}/bundle.json"


@PROPERTY
@given(data=st.data())
def test_a_shard_cut_or_grown_at_any_byte_is_refused(tmp_path: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([SHARD_0, SHARD_1]))
    size = data.draw(st.integers(0, len(FILES[name]) + 100).filter(lambda n: n != len(FILES[name])))
    content = FILES[name][:size].ljust(size, b"x")
    path = fixture.write({**FILES, name: content}, tmp_path)
    assert refusal(path).params["where"] == f"{path}/{name}"
    # Nor does it help when bundle.json agrees about the size.
    rewritten = json.loads(FILES["bundle.json"])
    row = rewritten["shards"][int(name == SHARD_1)]
    row["size"], row["chunks"] = size, fixture.chunk_rows(content)
    fixture.write({"bundle.json": json.dumps(rewritten).encode()}, path)
    error = refusal(path)
    if size:
        assert error.params["where"].startswith(str(path))


@PROPERTY
@given(data=st.data())
def test_a_changed_byte_of_a_shard_never_passes_verification(
    tmp_path: Path, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from([SHARD_0, SHARD_1]))
    content = bytearray(FILES[name])
    header_end = content.index(b"   ")
    at = data.draw(st.one_of(st.integers(0, header_end), st.integers(0, len(content) - 1)))
    content[at] ^= data.draw(st.integers(1, 255))
    path = fixture.write({**FILES, name: bytes(content)}, tmp_path)
    with pytest.raises(BundleError) as caught:
        _core.Bundle.open(str(path)).verify()
    assert caught.value.params["where"] == f"{path}/{name}"


@PROPERTY
@given(data=st.data())
def test_a_changed_byte_of_bundle_json_never_crashes(tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(FILES["bundle.json"])
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try_to_read(fixture.write({**FILES, "bundle.json": bytes(content)}, tmp_path))


HOSTILE: list[Any] = [
    None, True, -1, 0, 1, 3, 15, 16, 17, 63, 64, 16_383, 16_384, 32_768, 32_000_001, 512_000_001,
    2**30, 2**30 + 1, 2**31, 2**32, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 16, 2**64, -(2**63),
    10**30, 0.5, 1e300, "", "x", "f32", "w4g32", "embed.weight", "../bundle.json", [], [0], {},
    {"x": 1},
]  # fmt: skip


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key) of every value below ``value``."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in items:
        yield value, key
        if isinstance(child, dict | list):
            yield from places(child)


@settings(PROPERTY, max_examples=600)
@given(data=st.data())
def test_any_value_of_bundle_json_may_be_hostile(tmp_path: Path, data: st.DataObject) -> None:
    metadata = json.loads(FILES["bundle.json"])
    for _ in range(data.draw(st.integers(1, 2))):
        container, key = data.draw(st.sampled_from(list(places(metadata))))
        what = data.draw(st.sampled_from(["replace", "remove", "repeat"]))
        if what == "replace":
            # A copy: the second draw may change what the first put in.
            container[key] = copy.deepcopy(data.draw(st.sampled_from(HOSTILE)))
        elif what == "remove":
            del container[key]
        elif isinstance(container, list):
            container.insert(key, copy.deepcopy(container[key]))
    try_to_read(fixture.write({**FILES, "bundle.json": json.dumps(metadata).encode()}, tmp_path))


@settings(PROPERTY, max_examples=400)
@given(data=st.data())
def test_any_value_of_a_shard_header_may_be_hostile(tmp_path: Path, data: st.DataObject) -> None:
    made = fixture.build()
    header = made.headers[data.draw(st.integers(0, 1))]
    container, key = data.draw(st.sampled_from(list(places(header))))
    if data.draw(st.booleans()):
        container[key] = data.draw(st.sampled_from(HOSTILE))
    else:
        del container[key]
    try_to_read(fixture.write(made.files(), tmp_path))


# --- values ------------------------------------------------------------------------------------


def entry_offset(made: BundleFixture, shard: int, name: str) -> int:
    offset: int = made.headers[shard][name]["data_offsets"][0]
    return offset


@pytest.mark.parametrize("half", [0x7C00, 0x7E00, 0x7C01, 0xFC00, 0xFE00, 0xBC00, 0x8000])
def test_a_scale_that_is_not_finite_or_negative_is_refused_when_read(
    tmp_path: Path, half: int
) -> None:
    made = fixture.build()
    # Rows 16..31 of the tensor have groups of 128 of 136 inputs: entry 20 is group 1, row 4 of 16.
    at = entry_offset(made, 1, "layers.1.down.weight@16.scales") + 2 * 20
    struct.pack_into("<H", made.data[1], at, half)
    path = fixture.write(made.files(), tmp_path)
    _core.Bundle.open(str(path)).part_bytes("layers.1.down.weight", 1)  # mapped: not looked at
    for read in (
        lambda: _core.Bundle.open(str(path), False).part_bytes("layers.1.down.weight", 1),
        lambda: _core.Bundle.open(str(path)).verify(),
    ):
        with pytest.raises(BundleError) as caught:
            read()
        assert caught.value.code == "bundle-scales"
        assert caught.value.params["where"] == f"{path}/{SHARD_1}"
        assert 'tensor "layers.1.down.weight": ' in str(caught.value.params["reason"])
        assert str(caught.value.params["reason"]).endswith("row 20, group 1")


def test_the_largest_and_smallest_scales_are_fine(tmp_path: Path) -> None:
    made = fixture.build()
    at = entry_offset(made, 1, "layers.1.down.weight@16.scales")
    struct.pack_into("<HHH", made.data[1], at, 0x7BFF, 0x0001, 0x0000)
    _core.Bundle.open(str(fixture.write(made.files(), tmp_path))).verify()


@pytest.mark.parametrize("bits", [3, 2])
def test_a_scale_of_2_or_3_bits_may_be_negative_unless_there_are_zero_points(
    bits: int, tmp_path: Path
) -> None:
    name = "layers.1.down.weight"
    made = fixture.build(formats={name: f"w{bits}g32", "layers.0.k.weight": f"w{bits}g64z"})
    at = entry_offset(made, 1, f"{name}@16.scales")
    struct.pack_into("<HHH", made.data[1], at, 0xFBFF, 0xBC00, 0x8000)
    path = fixture.write(made.files(), tmp_path / "fine")
    _core.Bundle.open(str(path)).verify()
    codes, scales, zeros = _core.unpack_rows(
        _core.Bundle.open(str(path), False).part_bytes(name, 1), f"w{bits}g32", 16, 136
    )
    assert scales[:3, 0].tolist() == [-65504.0, -1.0, 0.0] and (zeros == 2 ** (bits - 1)).all()
    assert codes.max() == 2**bits - 1
    for place, value, says in (
        (f"{name}@16.scales", 0xFC00, "a scale that is not finite at row 16, group 0"),
        ("layers.0.k.weight.scales", 0xBC00, "a negative scale at row 0, group 0"),
        ("layers.0.k.weight.zeros", 2**bits, f"zero point {2**bits} at row 0, group 0"),
    ):
        made = fixture.build(formats={name: f"w{bits}g32", "layers.0.k.weight": f"w{bits}g64z"})
        shard = 1 if name in place else 0
        layout = "<B" if place.endswith("zeros") else "<H"
        struct.pack_into(layout, made.data[shard], entry_offset(made, shard, place), value)
        bad = fixture.write(made.files(), tmp_path / place)
        with pytest.raises(BundleError) as caught:
            _core.Bundle.open(str(bad)).verify()
        assert caught.value.code == "bundle-scales" and says in caught.value.what


def test_a_zero_point_above_15_and_a_code_of_minus_128_are_refused(tmp_path: Path) -> None:
    for shard, name, value, code in [
        (0, "layers.0.k.weight.zeros", 16, "bundle-scales"),
        (0, "layers.0.q.weight.codes", 0x80, "bundle-codes"),
    ]:
        made = fixture.build()
        made.data[shard][entry_offset(made, shard, name) + 5] = value
        path = fixture.write(made.files(), tmp_path)
        owner = name.rsplit(".", 1)[0]
        for read in (
            lambda path=path, owner=owner: _core.Bundle.open(str(path), False).part_bytes(owner, 0),
            lambda path=path: _core.Bundle.open(str(path)).verify(),
        ):
            with pytest.raises(BundleError) as caught:
                read()
            assert caught.value.code == code
            assert f'tensor "{owner}"' in str(caught.value.params["reason"])


def test_a_flipped_weight_is_found_by_its_hash_and_named(tmp_path: Path) -> None:
    made = fixture.build()
    files = made.files()
    content = bytearray(files[SHARD_1])
    content[16_384 + entry_offset(made, 1, "head.weight")] ^= 1
    path = fixture.write({**files, SHARD_1: bytes(content)}, tmp_path)
    bundle = _core.Bundle.open(str(path))
    with pytest.raises(BundleError) as caught:
        bundle.verify()
    assert caught.value.code == "bundle-hash"
    assert caught.value.params["where"] == f"{path}/{SHARD_1}"
    assert str(caught.value.params["reason"]).startswith(
        'bytes 0 to 52544, with tensor "layers.1.down.weight", "layers.1.up.weight" and 2 more, '
    )


@pytest.mark.parametrize("content", [b'{"version": "1.1"}', b"{}"])
def test_verify_finds_another_tokenizer(tmp_path: Path, content: bytes) -> None:
    path = fixture.write({**FILES, "tokenizer.json": content}, tmp_path)
    with pytest.raises(BundleError) as caught:
        _core.Bundle.open(str(path)).verify()
    assert caught.value.code == "bundle-hash"
    assert caught.value.params["where"] == f"{path}/tokenizer.json"
