"""GGUF's tensor types, decoded as llama.cpp's own package decodes them, and taken over exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pocketr1 import _core
from pocketr1.checkpoint.gguf.blocks import BY_NAME
from pocketr1.checkpoint.gguf.container import GgufTensor
from pocketr1.checkpoint.gguf.weights import GgufDecoder, rotated_rows
from pocketr1.errors import CheckpointError

GOLDEN = Path(__file__).parents[1] / "golden" / "gguf" / "blocks.npz"
if not GOLDEN.exists():
    pytest.skip("the source distribution comes without golden files", allow_module_level=True)
EXACT = [("Q8_0", "w8g32"), ("Q5_0", "w8g32"), ("IQ4_NL", "w8g32"), ("Q4_0", "w4g32z")]
TYPES = sorted(name for name, row in BY_NAME.items() if row.decode is not None)


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(GOLDEN) as file:
        return dict(file)


def stored(path: Path, name: str, blocks: np.ndarray, rows: int, **more: int) -> GgufDecoder:
    """A file that holds nothing but a tensor of these blocks."""
    path.write_bytes(blocks.tobytes())
    row = BY_NAME[name]
    shape = (rows, len(blocks) * row.block_size // rows)
    tensor = GgufTensor("some.weight", row.number, shape, 0, blocks.nbytes)
    return GgufDecoder(path, tensor, **more)


def test_every_type_the_guide_lists_is_read() -> None:
    plain = {"F32", "F16", "BF16"}
    assert {*TYPES, *plain} == {
        *plain,
        *("Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"),
        *("Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS"),
    }


@pytest.mark.parametrize("name", TYPES)
def test_blocks_decode_to_the_same_bits(
    golden: dict[str, np.ndarray], tmp_path: Path, name: str
) -> None:
    blocks, weights = golden[f"{name}.blocks"], golden[f"{name}.weights"]
    decoder = stored(tmp_path / "blocks", name, blocks, rows=4)
    rows = decoder.rows(0, 4)
    assert rows.dtype == np.float32 and decoder.dtype == "f32"
    assert np.array_equal(rows, weights.reshape(4, -1))
    assert np.array_equal(decoder.rows(1, 3), rows[1:3])


@pytest.mark.parametrize(("name", "weight_format"), EXACT)
def test_codes_and_scales_are_taken_over_exactly(
    golden: dict[str, np.ndarray], tmp_path: Path, name: str, weight_format: str
) -> None:
    blocks = golden[f"{name}.blocks"].copy()
    if name == "Q8_0":
        blocks[blocks == 0x80] = 0x81  # -128 is written by nobody
        scales = golden["Q8_0.blocks"][:, :2]
        blocks[:, :2] = scales
    decoder = stored(tmp_path / "blocks", name, blocks, rows=4)
    assert decoder.exact_format == weight_format
    codes, scales, zeros = decoder.codes(0, 4)
    assert (scales >= 0).all() and scales.dtype == np.float32
    part = _core.pack_rows(codes, scales, zeros, weight_format)
    weights = _core.dequantize_rows(part, weight_format, *codes.shape)
    assert np.array_equal(weights, decoder.rows(0, 4))


def test_a_scale_of_minus_zero_becomes_zero(tmp_path: Path) -> None:
    blocks = np.full((1, 34), 5, np.uint8)
    blocks[0, :2] = (0x00, 0x80)
    codes, scales, zeros = stored(tmp_path / "b", "Q8_0", blocks, rows=1).codes(0, 1)
    assert not np.signbit(scales).any()
    _core.pack_rows(codes, scales, zeros, "w8g32")


@pytest.mark.parametrize(
    ("name", "place", "content"),
    [("Q8_0", 5, [0x80]), ("Q8_0", 0, [0x00, 0x7C]), ("Q4_0", 0, [0x01, 0x7E])],
)
def test_codes_and_scales_that_no_quantizer_writes_are_refused(
    tmp_path: Path, name: str, place: int, content: list[int]
) -> None:
    blocks = np.ones((64, BY_NAME[name].block_bytes), np.uint8)
    blocks[40, place : place + len(content)] = content
    decoder = stored(tmp_path / "file.gguf", name, blocks, rows=8)
    decoder.codes(0, 4)
    with pytest.raises(CheckpointError) as caught:
        decoder.codes(4, 8)
    assert caught.value.code == "checkpoint-gguf-codes"
    assert caught.value.params["tensor"] == "some.weight"
    assert caught.value.params["rows"] == "4-7"


def test_rows_of_a_llama_s_heads_are_put_back_in_order(tmp_path: Path) -> None:
    heads, head_dim, columns = 3, 8, 32
    rows = np.random.default_rng(1).standard_normal((heads * head_dim, columns))
    ours = rows.astype("<f2")
    # llama.cpp's converter: (heads, 2, half) becomes (heads, half, 2).
    theirs = ours.reshape(heads, 2, head_dim // 2, columns).swapaxes(1, 2).reshape(ours.shape)
    path = tmp_path / "q"
    path.write_bytes(theirs.tobytes())
    tensor = GgufTensor("blk.0.attn_q.weight", BY_NAME["F16"].number, ours.shape, 0, ours.nbytes)
    decoder = GgufDecoder(path, tensor, head_dim)
    for begin, end in ((0, 24), (0, 1), (5, 9), (7, 8), (15, 24), (8, 16)):
        assert np.array_equal(decoder.rows(begin, end).view("<f2"), ours[begin:end])
    assert sorted(rotated_rows(0, 24, head_dim)) == list(range(24))


def test_a_file_that_became_shorter_is_an_error(
    golden: dict[str, np.ndarray], tmp_path: Path
) -> None:
    path = tmp_path / "cut.gguf"
    decoder = stored(path, "Q6_K", golden["Q6_K.blocks"], rows=4)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError) as caught:
        decoder.rows(3, 4)
    assert caught.value.code == "checkpoint-read"
