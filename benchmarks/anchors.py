"""What is known of the other engines elsewhere, to tell a run in which one was badly served.

Decoding is held to the bandwidth of memory in the same run and prefill to its int8 peak, so that a
faster or slower machine expects more or less of every engine.
"""

from __future__ import annotations

from typing import Any

from shapes import SHAPES

__all__ = ["check", "label", "shape_of"]

# Decode and prefill of 512 tokens, tok/s, on 2 cores of a Xeon with AVX-512 VNNI that read 22 GB/s
# and did 600 G int8 multiply-accumulates/s, 2026-11-22. A run in which a peer does worse for its
# machine gave it bad settings, or a bad moment.
_READ, _PRODUCTS = 22e9, 600e9
_ANCHORS = {
    "r1-distill-qwen-1.5b": {
        "llama.cpp q4_0": (14.0, 58),
        "llama.cpp q4_k_m": (13.8, 73),
        "llama.cpp q8_0": (8.4, 40),
        "openvino int4": (14.3, 115),
        "openvino int8": (10.0, 147),
        "ctranslate2 int8": (9.2, 150),
    },
    "r1-distill-qwen-7b": {"llama.cpp q4_0": (3.6, 13.1)},
}
_MAY_LACK = 0.10


def shape_of(report: dict[str, Any]) -> str | None:
    """Return the published shape that was measured, by the products its layers need."""
    products = ((report.get("roofline") or {}).get("demand") or {}).get("products")
    return next((name for name, config in SHAPES.items() if _products(config) == products), None)


def _products(config: dict[str, Any]) -> int:
    """Return the multiply-accumulates of a token in the linear layers, without the head."""
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    width = config.get("head_dim", hidden // heads)
    attention = 2 * hidden * width * (heads + config["num_key_value_heads"])
    feed_forward = 3 * hidden * config["intermediate_size"]
    return int(config["num_hidden_layers"] * (attention + feed_forward))


def label(engine: dict[str, Any], shape: str | None = None) -> str:
    """Return the name of a column: engine and model, without the name of the shape."""
    model = engine["model"].removesuffix(".gguf")
    if shape is not None and model != shape:
        model = model.removeprefix(f"{shape}-")
    also = f" K/V {engine['kv_format']}" if engine.get("kv_format") else ""
    return f"{engine['engine']} {model}{also}"


def check(report: dict[str, Any]) -> tuple[list[str], bool]:
    """Return a line for each figure with an anchor, and whether the run may stand.

    It may where nothing is known of an engine, or of the shape; a line says so.
    """
    roofline, lines, stands = report["roofline"], [], True
    if roofline is None:
        return ["there are no limits of the machine in this result: use --roofline"], False
    shape = shape_of(report)
    anchors = _ANCHORS.get(shape or "", {})
    limits = (roofline["read_bytes_s"], _READ), (roofline["products_s"], _PRODUCTS)
    for engine in report["engines"]:
        if engine["engine"] == "pocketr1":
            continue
        name = label(engine, shape)
        if name not in anchors:
            lines.append(f"{name}  no anchor for {shape or 'this shape'}")
            continue
        for figure, known, (here, there) in zip(
            ("decode_tok_s", "prefill_tok_s"), anchors[name], limits, strict=True
        ):
            if figure not in engine["figures"] or here is None:
                continue
            share = engine["figures"][figure]["median"] / here / (known / there)
            enough = share >= 1 - _MAY_LACK
            stands &= enough
            verdict = "" if enough else "  below its anchor"
            lines.append(f"{name}  {figure}  {share:.2f} of its anchor{verdict}")
    return lines, stands
