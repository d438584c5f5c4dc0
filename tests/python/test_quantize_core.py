"""The loops of compression: searched scales, tiles, and the laws they keep."""

from __future__ import annotations

import numpy as np
import pytest
import quantize_reference as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketr1 import _core
from pocketr1.errors import CompressionError, PocketR1Error

TILE_FORMATS = [f"w8g{g}" for g in (32, 64, 128)] + [
    f"w{b}g{g}{z}" for b in (4, 3, 2) for g in (32, 64, 128) for z in ("", "z")
]


def to_bf16(weights: np.ndarray) -> np.ndarray:
    """Truncate float32 to bf16 bits."""
    return (weights.view(np.uint32) >> 16).astype(np.uint16)


def bf16_values(bits: np.ndarray) -> np.ndarray:
    """The float32 values of bf16 bits."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


@st.composite
def weight_matrices(draw: st.DrawFn) -> np.ndarray:
    """Matrices of any odd shape whose rows differ in size, with outliers, zeros and ties."""
    rows = draw(st.integers(1, 37))
    cols = draw(st.integers(1, 300))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    kind = draw(st.sampled_from(["gauss", "laplace", "one-sided", "ties", "tiny", "wide"]))
    if kind == "ties":
        w = rng.integers(-20, 20, (rows, cols)).astype(np.float32) * np.float32(0.5)
    elif kind == "one-sided":
        w = rng.random((rows, cols)) + 0.25
    elif kind == "laplace":
        w = rng.laplace(size=(rows, cols))
    else:
        w = rng.standard_normal((rows, cols))
    if kind == "tiny":
        w = w * 1e-6
    if kind == "wide":
        w = w * np.exp(rng.uniform(-12, 9, (rows, 1)))  # a scale stays below 65504
    if draw(st.booleans()):
        w[rng.random((rows, cols)) < 0.3] = 0.0
    return np.ascontiguousarray(w, np.float32)


@pytest.mark.isa
@settings(max_examples=60, deadline=None)
@given(weights=weight_matrices(), name=st.sampled_from(TILE_FORMATS))
def test_bytes_equal_the_numpy_reference(weights: np.ndarray, name: str) -> None:
    part = _core.quantize_rows(weights, "f32", name)[0]
    assert part.tobytes() == reference.pack(reference.quantize(weights, name), name)


@settings(max_examples=60, deadline=None)
@given(weights=weight_matrices(), name=st.sampled_from(TILE_FORMATS))
def test_unpack_gives_back_what_was_packed(weights: np.ndarray, name: str) -> None:
    want = reference.quantize(weights, name)
    part = _core.pack_rows(want.codes.view(np.uint8), want.scales, want.zeros, name)
    codes, scales, zeros = _core.unpack_rows(part, name, *weights.shape)
    assert codes.dtype == want.codes.dtype
    assert (codes == want.codes).all() and (scales == want.scales).all()
    assert (zeros == want.zeros).all()
    values = _core.dequantize_rows(part, name, *weights.shape)
    assert (values == want.dequantize(reference.parse_format(name)[1])).all()


@settings(max_examples=60, deadline=None)
@given(weights=weight_matrices(), name=st.sampled_from(TILE_FORMATS))
def test_every_weight_in_range_lands_within_half_a_step(weights: np.ndarray, name: str) -> None:
    bits, group, _ = reference.parse_format(name)
    part = _core.quantize_rows(weights, "f32", name)[0]
    codes, scales, _zeros = _core.unpack_rows(part, name, *weights.shape)
    values = _core.dequantize_rows(part, name, *weights.shape)
    index = np.arange(weights.shape[1]) // group
    step = np.abs(scales[:, index].astype(np.float64))
    least, most = (-127, 127) if bits == 8 else (0, 2**bits - 1)
    inside = (codes > least) & (codes < most)
    error = np.abs(weights.astype(np.float64) - values)
    # w / scale carries two float32 roundings (1 / scale and the product) of at most 128 steps
    # before it is rounded to a code, the dequantized product one more: 3 * 128 * 2**-24 steps.
    assert (error[inside] <= step[inside] * (0.5 + 3 * 128 * 2.0**-24)).all()


@settings(max_examples=40, deadline=None)
@given(weights=weight_matrices(), name=st.sampled_from(TILE_FORMATS))
def test_the_search_never_does_worse_than_the_largest_weight_s_scale(
    weights: np.ndarray, name: str
) -> None:
    bits, group, with_zeros = reference.parse_format(name)
    cols = weights.shape[1]
    values = _core.dequantize_rows(
        _core.quantize_rows(weights, "f32", name)[0], name, *weights.shape
    )
    for begin in range(0, cols, group):
        w = weights[:, begin : begin + group].astype(np.float64)
        low, high = np.minimum(w.min(1), 0), np.maximum(w.max(1), 0)
        top, half = 2**bits - 1, 2 ** (bits - 1)
        if with_zeros:
            scale = (high - low) / top
        elif bits == 8:
            scale = np.maximum(high, -low) / 127
        else:
            scale = np.maximum(high / (half - 1), -low / half)
        scale = scale.astype(np.float32).astype(np.float16).astype(np.float64)[:, None]
        safe = np.where(scale > 0, scale, 1)
        zero = np.clip(np.rint(-low[:, None] / safe), 0, top) if with_zeros else half
        least, most = (-127, 127) if bits == 8 else (-zero, top - zero)
        plain = ((w - np.clip(np.rint(w / safe), least, most) * scale) ** 2).sum(1)
        searched = ((w - values[:, begin : begin + group]) ** 2).sum(1)
        # Both were compared as float32 sums of up to 128 terms: 128 * 2**-24 relative, twice.
        assert (searched <= plain * (1 + 2**-15) + 1e-30).all()


@pytest.mark.parametrize("name", TILE_FORMATS)
def test_the_search_lowers_the_error_of_gaussian_weights(name: str) -> None:
    rng = np.random.default_rng(7)
    weights = rng.standard_normal((64, 512)).astype(np.float32)
    bits, group, with_zeros = reference.parse_format(name)
    grouped = weights.reshape(64, -1, group)
    if with_zeros:
        scale = (grouped.max(-1) - grouped.min(-1)) / (2**bits - 1)
    else:
        scale = np.abs(grouped).max(-1) / (2 ** (bits - 1) - 1)
    plain = (scale.astype(np.float64) ** 2 / 12).repeat(group, axis=1).mean()
    sum_sq_error = _core.quantize_rows(weights, "f32", name)[1]
    assert sum_sq_error / weights.size < 0.97 * plain


@pytest.mark.parametrize("name", TILE_FORMATS)
def test_padding_stands_for_weight_zero(name: str) -> None:
    bits, group, with_zeros = reference.parse_format(name)
    weights = np.random.default_rng(3).random((19, 70)).astype(np.float32) + 1
    part = _core.quantize_rows(weights, "f32", name)[0]
    cols = -(-70 // group) * group
    codes, scales, zeros = _core.unpack_rows(part, name, 32, cols)
    values = _core.dequantize_rows(part, name, 32, cols)
    assert (scales[19:] == 0).all()
    assert (values[19:] == 0).all() and (values[:, 70:] == 0).all()
    steps = codes.astype(int) - zeros.astype(int).repeat(group, axis=1)
    assert (steps[:19, 70:] == 0).all() and (steps[19:] == 0).all()
    if bits < 8 and not with_zeros:
        assert (codes[19:] == 2 ** (bits - 1)).all()


@pytest.mark.parametrize("name", ["w8g128", "w4g64", "w4g32z", "w3g64", "w2g32z"])
def test_every_source_type_gives_the_same_part(name: str) -> None:
    rng = np.random.default_rng(5)
    bits = to_bf16((rng.standard_normal((33, 200)) * 0.02).astype(np.float32))
    values = bf16_values(bits)
    want = _core.quantize_rows(values, "f32", name)
    assert _core.quantize_rows(bits, "bf16", name)[0].tobytes() == want[0].tobytes()
    halves = values.astype(np.float16)
    from_f16 = _core.quantize_rows(halves.view(np.uint16), "f16", name)
    again = _core.quantize_rows(halves.astype(np.float32), "f32", name)
    assert from_f16[0].tobytes() == again[0].tobytes() and from_f16[1:] == again[1:]


def test_every_f16_value_is_read_exactly() -> None:
    every = np.arange(65536, dtype=np.uint16)
    finite = every[np.isfinite(every.view(np.float16))]
    want = finite.view(np.float16).astype(np.float32)
    part = _core.quantize_rows(finite, "f16", "f32")[0]
    assert part.tobytes() == want.tobytes()
    # One value per row and group: the largest code, 127, is its scale's; 8 bits keep its sign.
    one = np.zeros((len(finite), 32), np.uint16)
    one[:, 0] = finite
    f16 = _core.quantize_rows(one, "f16", "w8g32")[0]
    f32 = _core.quantize_rows(np.pad(want[:, None], ((0, 0), (0, 31))), "f32", "w8g32")[0]
    assert f16.tobytes() == f32.tobytes()


@pytest.mark.parametrize("name", TILE_FORMATS)
def test_threads_do_not_change_a_bit(name: str) -> None:
    weights = np.random.default_rng(11).standard_normal((201, 333)).astype(np.float32)
    one = _core.quantize_rows(weights, "f32", name, 1)
    for threads in (2, 3, 16):
        many = _core.quantize_rows(weights, "f32", name, threads)
        assert many[0].tobytes() == one[0].tobytes() and many[1:] == one[1:]


@pytest.mark.isa
@pytest.mark.parametrize("name", TILE_FORMATS)
def test_every_instruction_set_gives_the_same_bytes_and_errors(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(17)
    scales = np.exp(rng.uniform(-14, 9, (83, 1)))
    weights = (rng.standard_t(4, (83, 777)) * scales).astype(np.float32)
    made = []
    for isa in _core.isas():
        monkeypatch.setenv("POCKETR1_ISA", isa)
        made.append(_core.quantize_rows(weights, "f32", name, 2))
    assert all(one[0].tobytes() == made[0][0].tobytes() for one in made)
    assert all(one[1:] == made[0][1:] for one in made)


@pytest.mark.isa
def test_an_instruction_set_that_cannot_be_had_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weights = np.ones((16, 32), np.float32)
    for isa in {"avx2", "avx512_vnni", "neon_dotprod", "neon_i8mm", "neon", "AVX2"} - set(
        _core.isas()
    ):
        monkeypatch.setenv("POCKETR1_ISA", isa)
        with pytest.raises(PocketR1Error) as caught:
            _core.quantize_rows(weights, "f32", "w8g32")
        assert caught.value.code == "isa-unsupported" and "POCKETR1_ISA" in caught.value.what


def test_the_measured_error_is_the_real_one() -> None:
    rng = np.random.default_rng(23)
    weights = (rng.standard_normal((50, 300)) * 0.02).astype(np.float32)
    for name in TILE_FORMATS:
        part, sum_sq_error, sum_sq, max_abs = _core.quantize_rows(weights, "f32", name)
        codes, scales, zeros = _core.unpack_rows(part, name, 50, 300)
        group = reference.parse_format(name)[1]
        index = np.arange(300) // group
        steps = codes.astype(np.float64) - zeros.astype(np.float64)[:, index]
        error = weights - steps * scales.astype(np.float64)[:, index]
        assert sum_sq_error == pytest.approx((error**2).sum(), rel=1e-12)
        assert sum_sq == pytest.approx((weights.astype(np.float64) ** 2).sum(), rel=1e-12)
        assert max_abs == np.abs(error).max()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["w8g64", "w4g32", "w4g128z", "w3g32", "w2g64", "f32", "f16"])
def test_a_value_that_is_not_finite_names_tensor_and_row(bad: float, name: str) -> None:
    weights = np.ones((40, 100), np.float32)
    weights[21, 99] = bad
    with pytest.raises(CompressionError) as caught:
        _core.quantize_rows(weights, "f32", name, 1, "layers.3.q.weight", 4096)
    assert caught.value.code == "quantize-not-finite"
    assert "layers.3.q.weight" in caught.value.what and "row 4117" in caught.value.what


def test_weights_beyond_f16_are_refused() -> None:
    weights = np.full((2, 32), 65504.0 * 127, np.float32)
    assert _core.quantize_rows(weights, "f32", "w8g32")[3] == 0.0
    weights[1, 3] = 65504.0 * 128
    with pytest.raises(CompressionError) as caught:
        _core.quantize_rows(weights, "f32", "w8g32", 1, "head.weight")
    assert caught.value.code == "quantize-too-large" and "row 1" in caught.value.what
    with pytest.raises(CompressionError, match=r"head\.weight"):
        _core.quantize_rows(np.full(3, 65520.0, np.float32), "f32", "f16", 1, "head.weight")
    kept = _core.quantize_rows(np.full(3, 65519.0, np.float32), "f32", "f16")[0]
    assert (kept.view(np.float16) == 65504).all()


@pytest.mark.isa
def test_row_major_formats_keep_or_convert_the_elements() -> None:
    values = np.array([[1.0, -2.5, 6e-8, 1e-8], [0.1, 65504.0, -0.0, 3.0]], np.float32)
    part, sum_sq_error, _, max_abs = _core.quantize_rows(values, "f32", "f16")
    halves = values.astype(np.float16)
    assert part.tobytes() == halves.tobytes()
    errors = values.astype(np.float64) - halves
    assert sum_sq_error == (errors**2).sum() and max_abs == np.abs(errors).max()
    bits = to_bf16(values)
    assert _core.quantize_rows(bits, "bf16", "bf16")[0].tobytes() == bits.tobytes()
    as_f32 = _core.quantize_rows(bits, "bf16", "f32")[0]
    assert as_f32.tobytes() == bf16_values(bits).tobytes()
    assert (_core.dequantize_rows(part, "f16", 2, 4) == halves.astype(np.float32)).all()


@pytest.mark.parametrize(
    ("dtype", "name"), [("f32", "bf16"), ("f16", "bf16"), ("bf16", "f16"), ("f64", "f32")]
)
def test_a_conversion_nobody_asked_for_is_refused(dtype: str, name: str) -> None:
    rows = np.ones((2, 4), np.float32 if dtype == "f32" else np.uint16)
    with pytest.raises(CompressionError) as caught:
        _core.quantize_rows(rows, dtype, name)
    assert caught.value.code == "quantize-unsupported"


def test_parts_and_arrays_of_a_wrong_shape_are_refused() -> None:
    part = _core.quantize_rows(np.ones((16, 32), np.float32), "f32", "w4g32")[0]
    for rows, cols in ((17, 32), (16, 33), (0, 32), (2**31, 2**31)):
        with pytest.raises(PocketR1Error):
            _core.unpack_rows(part, "w4g32", rows, cols)
    codes = np.full((2, 32), 8, np.uint8)
    good = np.ones((2, 1), np.float32)
    eight = np.full((2, 1), 8, np.uint8)
    assert len(_core.pack_rows(codes, good, eight, "w4g32")) == len(part)
    for scale in (-1.0, np.nan, np.inf, 65520.0):
        with pytest.raises(CompressionError, match="scale"):
            _core.pack_rows(codes, np.float32([[1], [scale]]), eight, "w4g32")
    with pytest.raises(CompressionError, match="code"):
        _core.pack_rows(codes * 2, good, eight, "w4g32")
    with pytest.raises(CompressionError, match="zero point"):
        _core.pack_rows(codes, good, eight * 2, "w4g32z")
    with pytest.raises(CompressionError, match="code"):
        _core.pack_rows(np.full((2, 32), 0x80, np.uint8), good, eight * 0, "w8g32")
    for bits in (3, 2):
        centre = np.full((2, 1), 2 ** (bits - 1), np.uint8)
        top = np.full((2, 32), 2**bits - 1, np.uint8)
        for name, scale in ((f"w{bits}g32", -good), (f"w{bits}g32z", good)):
            assert len(_core.pack_rows(top, scale, centre, name)) == 16 * 4 * bits + 32 + 16 * (
                name[-1] == "z"
            )
            with pytest.raises(CompressionError, match="code"):
                _core.pack_rows(top + 1, scale, centre, name)
        with pytest.raises(CompressionError, match="scale"):
            _core.pack_rows(top, -good, centre, f"w{bits}g32z")
        with pytest.raises(CompressionError, match="zero point"):
            _core.pack_rows(top, good, centre * 2, f"w{bits}g32z")
        with pytest.raises(CompressionError, match="zero point"):
            _core.pack_rows(top, good, centre + 1, f"w{bits}g32")


@pytest.mark.isa
def test_the_figures_of_a_known_group() -> None:
    # Hand-checked: largest weight 7 and least -8 make scale 1 exact, so every code is the weight.
    weights = (np.arange(32) % 16 - 8).astype(np.float32)[None]
    part, sum_sq_error, _, _ = _core.quantize_rows(weights, "f32", "w4g32")
    codes, scales, _ = _core.unpack_rows(part, "w4g32", 1, 32)
    assert sum_sq_error == 0 and scales[0, 0] == 1
    assert (codes[0] == np.arange(32) % 16).all()
    # Row 0 holds bytes 0..3 of each tile: inputs 0..3 low, 4..7 high.
    assert part[:4].tolist() == [0x40, 0x51, 0x62, 0x73]
    assert part.tobytes() == reference.pack(reference.quantize(weights, "w4g32"), "w4g32")


@pytest.mark.isa
def test_the_figures_of_known_groups_in_3_and_2_bits() -> None:
    # Hand-checked: weights that are codes of scale 1, up to the side that reaches further.
    three = (np.arange(32) // 4 - 4).astype(np.float32)[None]  # -4..3, four of each
    part = _core.quantize_rows(three, "f32", "w3g32")[0]
    codes, scales, zeros = _core.unpack_rows(part, "w3g32", 1, 32)
    assert scales[0, 0] == 1 and zeros[0, 0] == 4 and (codes[0] == np.arange(32) // 4).all()
    # Inputs 24..27 have code 6, 28..31 code 7: the bits 110 and above them 111, two to a tile.
    assert part[:4].tolist() == [0b10_001_000] * 4
    assert part[64:68].tolist() == [0b11_011_010] * 4
    assert part[128:132].tolist() == [0b11_101_100] * 4
    # The mirror image has a negative scale, so that 4 can be had.
    part = _core.quantize_rows(-three, "f32", "w3g32")[0]
    again, scales, _ = _core.unpack_rows(part, "w3g32", 1, 32)
    assert scales[0, 0] == -1 and (again == codes).all()
    assert (_core.dequantize_rows(part, "w3g32", 1, 32) == -three).all()

    two = (np.arange(32) // 4 % 4 - 1).astype(np.float32)[None]  # -1..2
    part = _core.quantize_rows(two, "f32", "w2g32")[0]
    codes, scales, zeros = _core.unpack_rows(part, "w2g32", 1, 32)
    assert (
        scales[0, 0] == -1 and zeros[0, 0] == 2 and (codes[0] == 3 - np.arange(32) // 4 % 4).all()
    )
    assert part[:4].tolist() == part[64:68].tolist() == [0b00_01_10_11] * 4
    assert (_core.dequantize_rows(part, "w2g32", 1, 32) == two).all()
