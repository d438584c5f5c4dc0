"""Where a bundle's bytes go: known from names, formats and shapes alone."""

from __future__ import annotations

import json
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pocketr1.arch import LayerSpec, ModelSpec, RopeSpec, expected_tensors
from pocketr1.bundle import TensorPlan, plan_layout
from pocketr1.bundle.layout import SEGMENT_LIMIT, SHARD_LIMIT
from pocketr1.errors import BundleError

FORMATS = ["f16", "bf16", "f32"] + [f"w8g{g}" for g in (32, 64, 128)]
FORMATS += [f"w{b}g{g}{z}" for b in (4, 3, 2) for g in (32, 64, 128) for z in ("", "z")]


def model(layers: int, hidden: int, ffn: int, vocab: int) -> ModelSpec:
    """A model of an exact shape, with a head of its own."""
    return ModelSpec(
        architecture="qwen2",
        hidden_size=hidden,
        vocab_size=vocab,
        head_dim=128,
        rms_norm_eps=1e-6,
        max_positions=131072,
        tied_embeddings=False,
        attention_bias=True,
        output_bias=False,
        mlp_bias=False,
        qk_norm=False,
        rope=RopeSpec((1.0,) * 64, 1.0),
        layers=(LayerSpec(hidden // 128, 2, ffn),) * layers,
        bos_token_id=None,
        eos_token_ids=(1,),
    )


@st.composite
def tensor_lists(draw: st.DrawFn) -> list[TensorPlan]:
    """Tensors of several layers, some larger than a segment."""
    tensors = [TensorPlan("embed.weight", "w8g64", (draw(st.integers(1, 50_000)), 2048))]
    for layer in range(draw(st.integers(1, 4))):
        for index in range(draw(st.integers(1, 5))):
            name = f"layers.{layer}.t{index}.weight"
            if draw(st.booleans()):
                tensors.append(TensorPlan(name, "f32", (draw(st.integers(1, 9000)),)))
            else:
                rows, cols = draw(st.integers(1, 12_000)), draw(st.integers(1, 9000))
                tensors.append(TensorPlan(name, draw(st.sampled_from(FORMATS)), (rows, cols)))
    tensors.append(TensorPlan("final_norm.weight", "f32", (2048,)))
    return tensors


def check(tensors: list[TensorPlan]) -> None:
    """Every rule of docs/reference/bundle-format.md on shards, segments and parts."""
    layout = plan_layout(tensors)
    covered = [0] * len(tensors)
    order: list[int] = []
    filled = {index: len(shard.header) for index, shard in enumerate(layout.shards)}
    for segment in layout.segments:
        assert segment.offset % 16_384 == 0 and 0 < segment.size <= 32_000_000
        assert segment.offset >= filled[segment.shard]
        assert segment.parts[0].offset == segment.offset
        layers = {tensors[p.tensor].name.split(".")[1] if tensors[p.tensor].name[0] == "l" else ""
                  for p in segment.parts}  # fmt: skip
        assert len(layers) == 1
        end = segment.offset
        for part in segment.parts:
            assert part.offset % 64 == 0 and end <= part.offset
            assert part.row % 16 == 0 and part.row == covered[part.tensor] and part.rows > 0
            covered[part.tensor] += part.rows
            order.append(part.tensor)
            end = part.offset + part.size
        assert end == segment.offset + segment.size
        filled[segment.shard] = end
    assert covered == [tensor.rows for tensor in tensors]
    assert order == sorted(order)
    for index, shard in enumerate(layout.shards):
        assert shard.size == filled[index] <= 512_000_000
        (length,) = struct.unpack("<Q", shard.header[:8])
        assert 8 + length == len(shard.header) and len(shard.header) % 16_384 == 0
        header = json.loads(shard.header[8:])
        del header["__metadata__"]
        at = 0
        for entry in header.values():
            assert entry["data_offsets"][0] == at
            at = entry["data_offsets"][1]
        assert len(shard.header) + at == shard.size


@settings(max_examples=60, deadline=None)
@given(tensors=tensor_lists())
def test_every_rule_of_the_format_holds(tensors: list[TensorPlan]) -> None:
    check(tensors)


@pytest.mark.parametrize(
    ("layers", "hidden", "ffn", "vocab"),
    [(28, 1536, 8960, 151936), (28, 3584, 18944, 152064), (64, 5120, 27648, 152064)],
    ids=["1.5b", "7b", "32b"],
)
@pytest.mark.parametrize("matrix", ["w8g128", "w4g64z", "bf16"])
def test_published_shapes_fit_their_shards_and_segments(
    layers: int, hidden: int, ffn: int, vocab: int, matrix: str
) -> None:
    shapes = expected_tensors(model(layers, hidden, ffn, vocab))
    tensors = [TensorPlan(n, matrix if len(s) == 2 else "f32", s) for n, s in shapes.items()]
    check(tensors)
    layout = plan_layout(tensors)
    # Shards are filled: only the last may have room for another segment.
    assert all(s.size > SHARD_LIMIT - SEGMENT_LIMIT - 1_000_000 for s in layout.shards[:-1])


def test_a_large_tensor_is_cut_evenly_at_16_rows() -> None:
    layout = plan_layout([TensorPlan("head.weight", "w8g128", (151_936, 1536))])
    rows = [segment.parts[0].rows for segment in layout.segments]
    assert sum(rows) == 151_936 and max(rows) - min(rows) <= 16
    header = json.loads(layout.shards[0].header[8:])
    assert {f"head.weight@0.{a}" for a in ("codes", "scales")} <= header.keys()


def test_rows_that_exceed_a_segment_are_refused() -> None:
    for shape in ((64, 1_000_000), (9_000_000,)):
        with pytest.raises(BundleError) as caught:
            plan_layout([TensorPlan("layers.0.q.weight", "f32", shape)])
        assert caught.value.code == "bundle-tensor-too-wide"
