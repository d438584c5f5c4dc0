"""Hold our divergence and perplexity against llama.cpp's own tool, on Tiny R1.

    python benchmarks/llama_divergence.py --tools DIR --text FILE --work DIR [--window 128]

DIR holds ``llama-perplexity`` and ``llama-quantize``. Tiny R1 is exported as GGUF in F16, and
quantized to the types asked for. The tool computes the logits of each on the same windows, stores
them, and prints its figures with ``--kl-divergence``; our functions get the stored logits. Then our
own engine reads the same windows. Prints both side by side; ends with 1 where two figures differ by
more than 1% of the tool's (or by less than it prints).
"""

from __future__ import annotations

import argparse
import json
import math
import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import pocketr1
from pocketr1 import measure
from pocketr1.export import export_gguf

__all__ = ["Stored", "divergence_of", "read_logits", "write_gguf"]

ROOT = Path(__file__).parents[1]
TINY = ROOT / "models" / "tiny-r1"
TOLERANCE = 0.01

# What the tool prints, by our name: the pattern, its scale, and the last digit it shows.
FIGURES = {
    "reference_perplexity": (r"Mean PPL\(base\)\s*:\s*([\d.]+)", 1.0, 1e-6),
    "kld_mean": (r"Mean\s+KLD:\s*([-\d.]+)", 1.0, 1e-6),
    "kld_max": (r"Maximum KLD:\s*([-\d.]+)", 1.0, 1e-6),
    "kld_p99": (r"99\.0%\s+KLD:\s*([-\d.]+)", 1.0, 1e-6),
    # Its single precision makes divergences as small as -2e-6.
    "kld_median": (r"Median\s+KLD:\s*([-\d.]+)", 1.0, 2e-6),
    "rms_dp": (r"RMS Δp\s*:\s*([\d.]+)", 0.01, 1e-5),
    "top1_agreement": (r"Same top p\s*:\s*([\d.]+)", 0.01, 1e-5),
}


@dataclass(frozen=True)
class Stored:
    """Log probabilities that the tool stored: of the second half of every window.

    tokens: (windows, window); rows: uint16 with a scale and a least value of each, (windows, rows
    of a window, 4 + vocabulary).
    """

    tokens: NDArray[np.int32]
    rows: NDArray[np.uint16]

    def log_probabilities(self, window: int) -> NDArray[np.float32]:
        """Return the rows of one window, float32 of shape (rows, vocabulary)."""
        rows = np.ascontiguousarray(self.rows[window])
        head = rows[:, :4].copy().view(np.float32)  # scale, least
        return rows[:, 4:].astype(np.float32) * head[:, :1] + head[:, 1:2]

    def targets(self, window: int) -> NDArray[np.int32]:
        """Return the token that follows each of the rows."""
        size = self.tokens.shape[1]
        return self.tokens[window, size // 2 + 1 : size]


def read_logits(path: Path) -> Stored:
    """Read what ``llama-perplexity --kl-divergence-base`` wrote."""
    data = path.read_bytes()
    if data[:8] != b"_logits_":
        raise ValueError(f"{path} holds no logits")
    window, vocab, windows = struct.unpack_from("<Iii", data, 8)
    end = 20 + 4 * windows * window
    tokens = np.frombuffer(data[20:end], "<i4").reshape(windows, window)
    width = 2 * ((vocab + 1) // 2) + 4
    rows = np.frombuffer(data[end:], "<u2").reshape(windows, window - 1 - window // 2, width)
    return Stored(tokens, rows[:, :, : 4 + vocab])


def divergence_of(reference: Stored, model: Stored) -> dict[str, float]:
    """Return our figures from the logits of both."""

    def batches() -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]]]:
        for window in range(len(reference.tokens)):
            yield (
                reference.log_probabilities(window),
                model.log_probabilities(window),
                reference.targets(window),
            )

    compared = measure.compare_logits(batches())
    return {
        "perplexity": compared.model.value,
        "reference_perplexity": compared.reference.value,
        **compared.divergence.to_dict(),
    }


def write_gguf(source: Path, out: Path) -> None:
    """Write a checkpoint as GGUF in F16, vectors in F32."""
    export_gguf(source, out, "f16", overwrite=True)


def run_tool(
    tools: Path, model: Path, logits: Path, text: Path, window: int, more: list[str]
) -> str:
    """Run ``llama-perplexity`` and return what it prints."""
    command = [str(tools / "llama-perplexity"), "-m", str(model), "-c", str(window)]
    command += ["-b", str(window), "--kl-divergence-base", str(logits), "-fa", "off"]
    command += ["--no-warmup", "-ngl", "0", *more]
    if "--kl-divergence" not in more:
        command += ["-f", str(text)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr[-3000:]}")
    return done.stdout + done.stderr


def judged(options: argparse.Namespace, model: Path, base: Path) -> str:
    """Return what the tool prints of a model beside stored logits; its log may lack the end."""
    for _ in range(5):
        printed = run_tool(
            options.tools, model, base, options.text, options.window, ["--kl-divergence"]
        )
        if all(re.search(pattern, printed) for pattern, _, _ in FIGURES.values()):
            return printed
    sys.exit(f"figures are missing in:\n{printed[-4000:]}")


def read_figure(pattern: str, printed: str) -> float:
    """Return the number that the pattern finds."""
    match = re.search(pattern, printed)
    assert match is not None, pattern
    return float(match[1])


def keep(path: Path, reference: Stored, model: Stored, figures: dict[str, float]) -> None:
    """Keep the stored logits of both and the tool's figures, for a test that needs no tool."""
    names = sorted(figures)
    np.savez_compressed(
        path,
        tokens=reference.tokens,
        reference=reference.rows,
        model=model.rows,
        names=np.array(names),
        figures=np.array([figures[name] for name in names]),
    )


def main() -> int:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tools", type=Path, required=True, help="directory of llama.cpp's tools")
    parser.add_argument("--text", type=Path, required=True, help="a text in UTF-8")
    parser.add_argument("--work", type=Path, required=True, help="directory for models and logits")
    parser.add_argument("--window", type=int, default=128)
    parser.add_argument("--windows", type=int, default=20, help="how many of them")
    parser.add_argument("--types", default="Q8_0,Q4_0", help="of llama.cpp")
    parser.add_argument(
        "--golden", type=Path, help="keep logits and figures of the last type there"
    )
    parser.add_argument("--json", type=Path, help="also write the figures there")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    full = options.work / "tiny-f16.gguf"
    write_gguf(TINY, full)
    chunks = ["--chunks", str(options.windows)]
    base = options.work / "f16.logits"
    exact = run_tool(options.tools, full, base, options.text, options.window, chunks)
    reference = read_logits(base)
    apart = 0
    document = {}
    for kind in options.types.split(","):
        model = options.work / f"tiny-{kind}.gguf"
        command = [options.tools / "llama-quantize", full, model, kind]
        subprocess.run(command, check=True, capture_output=True)
        own = options.work / f"{kind}.logits"
        run_tool(options.tools, model, own, options.text, options.window, chunks)
        printed = judged(options, model, base)
        # Stored logits end 16 nats below the best; against itself the tool reads them as we do.
        alone = judged(options, model, own)
        ours = divergence_of(reference, read_logits(own))
        theirs = {"perplexity": read_figure(FIGURES["reference_perplexity"][0], alone)}
        print(f"\n{kind}, {ours['tokens']} tokens         ours     llama.cpp    apart")
        for name, (pattern, scale, digit) in {"perplexity": ("", 1.0, 1e-6), **FIGURES}.items():
            if pattern:
                theirs[name] = read_figure(pattern, printed) * scale
            gap = abs(ours[name] - theirs[name])
            bad = gap > max(TOLERANCE * abs(theirs[name]), digit)
            apart += bad
            share = gap / abs(theirs[name]) if theirs[name] else math.inf if gap else 0.0
            mark = "  <-- more than 1%" if bad else ""
            print(f"  {name:22} {ours[name]:12.6f} {theirs[name]:12.6f} {share:8.3%}{mark}")
        document[kind] = {"ours": ours, "llama.cpp": theirs}
        if options.golden:
            keep(options.golden, reference, read_logits(own), theirs)
    with pocketr1.load(TINY) as engine:
        ids = reference.tokens.reshape(-1)
        value = measure.perplexity(engine, ids, reference.tokens.shape[1]).value
    final = re.search(r"Final estimate: PPL = ([\d.]+)", exact)
    theirs_value = float(final[1]) if final else math.nan
    share = abs(value / theirs_value - 1)
    apart += not share <= TOLERANCE
    print(f"\nperplexity, our engine {value:.6f}, llama.cpp F16 {theirs_value:.6f} {share:8.3%}")
    document["engines"] = {"ours": value, "llama.cpp": theirs_value}
    if options.json:
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    return 1 if apart else 0


if __name__ == "__main__":
    sys.exit(main())
