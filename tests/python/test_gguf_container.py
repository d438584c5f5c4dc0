"""GGUF headers: read as written, and refused where they are malformed, before memory is taken."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf_files import (
    ARRAY,
    BOOL,
    F32,
    F64,
    I8,
    I64,
    STRING,
    U8,
    U32,
    U64,
    entry,
    head,
    padded,
    string,
    tensor_info,
    write_gguf,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pocketr1 import checkpoint
from pocketr1.checkpoint.gguf.container import read_header, shown
from pocketr1.errors import PocketR1Error

HUGE = 2**64 - 1
ARCHITECTURE = ("general.architecture", STRING, "qwen2")


def refused(path: Path, data: bytes) -> str:
    """Return the reason a file of these bytes is refused for."""
    path.write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(PocketR1Error) as caught:
            read_header(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20, "memory was taken for what the file only claims"
    assert caught.value.code == "checkpoint-gguf-invalid"
    assert str(path) in caught.value.what
    return str(caught.value.params["reason"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.gguf"


def test_metadata_and_tensors_are_read_as_written(path: Path) -> None:
    entries: list[Any] = [
        ARCHITECTURE,
        ("a.flag", BOOL, True),
        ("a.small", I8, -5),
        ("a.large", U64, HUGE),
        ("a.negative", I64, -(2**63)),
        ("a.number", F64, 0.1),
        ("a.names", ARRAY, (STRING, ["x", "", "你好"])),
        ("a.bytes", ARRAY, (U8, [1, 2, 255])),
        ("a.none", ARRAY, (F32, [])),
    ]
    matrix = np.arange(64, dtype="<f4").reshape(2, 32)
    tensors = {
        "vector": (0, (3,), b"abcdefghijkl"),
        "matrix": (0, (2, 32), matrix.tobytes()),
        "blocks": (8, (1, 32), bytes(34)),
    }
    for version in (2, 3):
        write_gguf(path, entries, tensors, version)
        file = read_header(path)
        assert file.version == version
        assert file.metadata["general.architecture"] == b"qwen2"
        assert file.metadata["a.flag"] is True
        assert (file.metadata["a.small"], file.metadata["a.large"]) == (-5, HUGE)
        assert (file.metadata["a.negative"], file.metadata["a.number"]) == (-(2**63), 0.1)
        assert file.metadata["a.names"] == [b"x", b"", "你好".encode()]
        assert np.array_equal(file.metadata["a.bytes"], [1, 2, 255])
        assert len(file.metadata["a.none"]) == 0
        assert list(file.tensors) == ["vector", "matrix", "blocks"]
        placed = file.tensors["matrix"]
        assert (placed.shape, placed.nbytes) == ((2, 32), 256)
        assert path.read_bytes()[placed.offset :][:256] == matrix.tobytes()
        assert file.tensors["blocks"].nbytes == 34


def test_an_alignment_of_its_own_is_kept(path: Path) -> None:
    info = tensor_info("t", [4], 0, 128)
    header = head(1, 1) + entry("general.alignment", U32, 128) + info
    path.write_bytes(padded(header, 128) + bytes(128) + b"0123456789abcdef")
    placed = read_header(path).tensors["t"]
    assert path.read_bytes()[placed.offset :] == b"0123456789abcdef"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "too short"),
        (b"GGUF", "too short"),
        (b"GGML" + bytes(40), 'does not begin with "GGUF"'),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0) + bytes(8), "big-endian"),
        (head(0, 0, version=1) + bytes(8), "version 1"),
        (head(0, 0, version=4) + bytes(8), "version 4"),
        (head(HUGE, 0) + bytes(64), "the tensors are said to be 18446744073709551615"),
        (head(0, HUGE) + bytes(64), "the metadata entries are said to be 18446744073709551615"),
        (head(0, 2) + entry("a", U8, 1) + bytes(3), "metadata"),
        (head(0, 1) + entry("a", U32, 1)[:-1], "ends within the value of a"),
        (head(0, 1) + struct.pack("<Q", HUGE) + bytes(64), "is said to be 18446744073709551615"),
        (head(0, 1) + string("k") + struct.pack("<IQ", STRING, HUGE) + bytes(64), "bytes long"),
        (head(0, 1) + string("") + struct.pack("<I", U8) + bytes(64), "is empty"),
        (head(0, 1) + string(b"\xff\xfe") + struct.pack("<I", U8) + bytes(64), "not UTF-8"),
        (head(0, 1) + string("k") + struct.pack("<I", 13) + bytes(64), "unknown type 13"),
        (head(0, 1) + string("k") + struct.pack("<I", HUGE >> 32) + bytes(64), "unknown type"),
        (head(0, 1) + string("k") + struct.pack("<IB", BOOL, 2) + bytes(64), "truth value of 2"),
        (head(0, 2) + entry("k", U8, 1) + entry("k", U8, 2) + bytes(64), "occurs twice: k"),
        (
            head(0, 1) + string("k") + struct.pack("<IIQ", ARRAY, ARRAY, 1) + bytes(64),
            "an array of arrays",
        ),
        (
            head(0, 1) + string("k") + struct.pack("<IIQ", ARRAY, U64, 1 << 61) + bytes(64),
            "said to be 2305843009213693952",
        ),
        (
            head(0, 1) + string("k") + struct.pack("<IIQ", ARRAY, STRING, HUGE) + bytes(64),
            "strings of the value of k are said",
        ),
        (
            head(0, 1) + string("k") + struct.pack("<IIQ", ARRAY, 99, 3) + bytes(64),
            "unknown type 99",
        ),
        (head(0, 1) + entry("general.alignment", U32, 24) + bytes(64), "power of two"),
        (head(0, 1) + entry("general.alignment", U32, 0) + bytes(64), "power of two"),
        (head(0, 1) + entry("general.alignment", STRING, "32") + bytes(64), "power of two"),
    ],
)
def test_malformed_metadata_is_refused(path: Path, data: bytes, reason: str) -> None:
    assert reason in refused(path, data)


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        (tensor_info("t", [], 0, 0), "has 0 dimensions"),
        (tensor_info("t", [1] * 5, 0, 0), "has 5 dimensions"),
        (string("t") + struct.pack("<IQ", 0xFFFFFFFF, 1), "has 4294967295 dimensions"),
        (tensor_info("t", [0], 0, 0), "a dimension of 0"),
        (tensor_info("t", [HUGE], 0, 0), "a dimension of 18446744073709551615"),
        (tensor_info("t", [1 << 30, 1 << 30, 1 << 30], 0, 0), "ends at byte"),
        (tensor_info("t", [33], 8, 0), "rows of 33 weights, which Q8_0 cannot hold"),
        (tensor_info("t", [32], 14, 0), "which Q6_K cannot hold"),
        (tensor_info("t", [4], 0, 31), "no multiple of 32"),
        (tensor_info("t", [4], 0, HUGE - 31), "ends at byte"),
        (tensor_info("t", [4], 0, 1 << 40), "ends at byte"),
        (tensor_info("t", [4], 99, 1 << 40), "ends at byte"),
        (tensor_info("t", [1 << 20], 0, 0), "ends at byte"),
        (tensor_info(b"\xff", [4], 0, 0), "not UTF-8"),
    ],
)
def test_malformed_tensors_are_refused(path: Path, info: bytes, reason: str) -> None:
    data = padded(head(1, 0) + info) + bytes(256)
    assert reason in refused(path, data)


def test_tensors_of_one_name_or_one_place_are_refused(path: Path) -> None:
    twice = tensor_info("t", [4], 0, 0) + tensor_info("t", [4], 0, 32)
    assert "occurs twice: t" in refused(path, padded(head(2, 0) + twice) + bytes(256))
    shared = tensor_info("a", [16], 0, 0) + tensor_info("b", [4], 0, 32)
    assert "share bytes" in refused(path, padded(head(2, 0) + shared) + bytes(256))


def test_a_file_cut_anywhere_in_its_header_is_refused(path: Path) -> None:
    entries: list[Any] = [ARCHITECTURE, ("a.names", ARRAY, (STRING, ["one", "two"]))]
    write_gguf(path, entries, {"t": (0, (2, 4), bytes(32))})
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(PocketR1Error) as caught:
            read_header(path)
        assert caught.value.code == "checkpoint-gguf-invalid", length


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_header_with_bytes_changed_is_read_or_refused(path: Path, data: st.DataObject) -> None:
    entries: list[Any] = [
        ARCHITECTURE,
        ("qwen2.block_count", U32, 1),
        ("tokenizer.ggml.tokens", ARRAY, (STRING, ["a", "b"])),
        ("tokenizer.ggml.token_type", ARRAY, (U32, [1, 1])),
    ]
    write_gguf(path, entries, {"token_embd.weight": (8, (2, 32), bytes(68))})
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        opened = checkpoint.open(path)
    except PocketR1Error as error:
        assert error.what and error.mend
    else:  # no key that matters was hit, which a model of no layers cannot be
        raise AssertionError(opened)


def test_names_are_shown_without_what_a_terminal_would_obey() -> None:
    assert shown("\x1b[31mred\n") == "\\x1b[31mred\\n"
    assert shown(b"\xff\x00") == "\\\\xff\\x00"
    assert shown("思考") == "思考"
    assert len(shown("x" * 5000)) <= 100
