"""Would a table of 16 levels do better than 16 even steps, at the same size?

    python benchmarks/table_grid.py --work DIR
    python benchmarks/table_grid.py --pages        the kept figures into the decision about it

quantizes Tiny R1 and its outlier twin to 4 bits with a scale in f16 for each group, in our even
steps and in tables of levels: NF4 (Dettmers et al., QLoRA, 2023, section 3), llama.cpp's IQ4_NL,
and one fitted to each matrix by weighted k-means (Kim et al., SqueezeLLM, 2023, section 4.1). All
levels are rounded to int8, so that products stay of int8. Only the levels differ: the same searched
scales, of either sign for tables, channels equalized and errors fed back alike, and all is run in
float32, so that nothing but weights is rounded. Measured are the outputs' squared error on the
calibration text, relative to the outputs (mean over matrices), and the KL divergence over the right
replies to 300 held-out problems and over their prompts, of which the model is far less sure; what
it is beside that of even steps, with a bootstrap over problems.
Writes DIR/table_grid.json; ``figures/table_grid.json``, copied from there, is what is shown.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from calibration import TINY, exchanges, held_out, page_with
from level_grids import EITHER, EVEN, FITTED, NAMES, Array, quantized, random_weights
from numpy.typing import NDArray

from pocketr1 import checkpoint, measure
from pocketr1.bundle.files import write_file
from pocketr1.compress.calibration import Sample
from pocketr1.compress.distance import Sequences, embedded
from pocketr1.compress.equalize import READERS, equalize_layer, equalize_norm, key_factors
from pocketr1.compress.gptq import Feedback
from pocketr1.compress.gram import Gram, GramObserver, scaled
from pocketr1.compress.partial_model import PartialModel, Place, checkpoint_places
from tiny_r1.outliers import write_twin
from tiny_r1.problem import Problem
from tiny_r1.sample import training_problem

SAMPLES = 512
REPLIES = 300
THREADS = 2
KEPT = Path(__file__).parent / "figures" / "table_grid.json"
PAGE = Path(__file__).parents[1] / "docs" / "adr" / "0015-looked-up-levels.md"
MARK = "<!-- figures: table grid -->"


def samples(path: Path, problems: Iterable[Problem]) -> list[Sample]:
    """Return problems and the right replies to them."""
    return [Sample(each.ids, each.reasoning) for each in exchanges(path, problems)]


class Model:
    """A checkpoint in float32, its calibrated twin, and what is measured on."""

    def __init__(self, path: Path, work: Path) -> None:
        self.source = checkpoint.open(path)
        self.work, self.spec = work, self.source.spec
        self.zeros = work / "zeros"
        self.zeros.write_bytes(bytes(4 * self.spec.hidden_size))
        random = Random(11)
        self.text = Sequences.of(samples(path, (training_problem(random) for _ in range(SAMPLES))))
        replies = samples(path, held_out(REPLIES))
        self.replies = Sequences.of(replies, prompts=True)
        self.parts = Sequences.of(replies).counted, np.arange(len(self.replies.ids)) >= 0
        self.parts[1][self.parts[0]] = False
        self.plain = {
            name: checkpoint.as_float32(self.source.read_rows(name), tensor.dtype)
            for name, tensor in self.source.tensors.items()
        }
        self.fitted = dict(self.plain)
        self.grams: dict[str, Array] = {}
        self.feedback: dict[str, Feedback] = {}
        self._calibrate()
        self._reference: list[Array] = []
        self.measure(self.plain)

    def _run(self, places: dict[str, Place], text: Sequences) -> PartialModel:
        layers = range(len(self.spec.layers))
        longest = max(text.lengths)
        options: dict[str, Any] = {"zeros": self.zeros, "threads": THREADS, "longest": longest}
        return PartialModel(self.spec, places, layers, head=True, **options)

    def _calibrate(self) -> None:
        states = embedded(self.source, self.text.ids)
        observer, left = GramObserver(), np.empty_like(states)
        model = self._run(checkpoint_places(self.source), self.text)
        model.forward(states, self.text.lengths, visit=observer, out=left)
        for number, layer in enumerate(self.spec.layers):
            prefix = f"layers.{number}."
            grams = {reads: observer.grams[f"{prefix}{reads}.weight"].take() for reads in READERS}
            tensors = {n[len(prefix) :]: t for n, t in self.plain.items() if n.startswith(prefix)}
            formats = dict.fromkeys(tensors, "w4g64")
            energies = {reads: gram.diagonal().copy() for reads, gram in grams.items()}
            keys = key_factors(tensors, grams["q"], layer, self.spec.head_dim)
            factors = equalize_layer(tensors, formats, energies, layer, keys, THREADS)
            factors.apply(tensors, layer)
            self.fitted.update({prefix + name: tensor for name, tensor in tensors.items()})
            for reads, readers in READERS.items():
                for reader in readers:
                    self.grams[f"{prefix}{reader}.weight"] = grams[reads]
                scaled(grams[reads], factors.inputs[reads])
        gain, head = self.plain["final_norm.weight"], self.plain["head.weight"]
        mean = np.square(left).mean(axis=1, keepdims=True)
        gram = Gram(self.spec.hidden_size)
        gram.add(left / np.sqrt(mean + self.spec.rms_norm_eps) * gain)
        matrix = gram.take()
        _, channels = equalize_norm(head, "w4g64", matrix.diagonal().copy(), THREADS)
        self.grams["head.weight"] = scaled(matrix, channels)
        self.fitted |= {"final_norm.weight": gain / channels, "head.weight": head * channels}
        self.feedback = {name: Feedback.of(gram) for name, gram in self.grams.items()}

    def measure(self, tensors: dict[str, Array]) -> NDArray[np.float64]:
        """Return sums over the tokens of each reply, and of each prompt, (2, replies).

        The first call is the original's.
        """
        places, offset = {}, 0
        file = self.work / "weights"
        with file.open("wb") as out:
            for name, tensor in tensors.items():
                places[name] = Place("f32", tensor.shape, file, offset)
                offset += out.write(np.ascontiguousarray(tensor, np.float32).tobytes())
        states = tensors["embed.weight"][self.replies.ids]
        first, found = not self._reference, np.zeros(len(self.replies.ids))
        steps = self._run(places, self.replies).logits(states, self.replies.lengths)
        for number, (rows, logits) in enumerate(steps):
            counted = np.flatnonzero(self.replies.counted[rows])
            if first:
                self._reference.append(logits[counted].copy())
            found[rows.start + counted] = measure.kl_divergence(
                self._reference[number], logits[counted]
            )
        begins = np.cumsum([0, *self.replies.lengths[:-1]])
        return np.stack([np.add.reduceat(found * part, begins) for part in self.parts])

    def row(self, name: str, group: int, fed: bool) -> tuple[dict[str, Any], NDArray[np.float64]]:
        """Quantize and measure."""
        tensors = dict(self.fitted if fed else self.plain)
        losses = []
        for each, weights in tensors.items():
            if weights.ndim == 2:
                tensors[each] = quantized(
                    weights, name, group, self.feedback.get(each) if fed else None
                )
            if fed and each in self.grams:
                error, gram = weights - tensors[each], self.grams[each]
                losses.append(
                    float(np.sum(error @ gram * error) / np.sum(weights @ gram * weights))
                )
        sums = self.measure(tensors)
        figures = {"levels": name, "group": group, "feedback": fed}
        figures["output_error"] = float(np.mean(losses)) if fed else None
        for part, label, of in zip(self.parts, ("kld", "prompt_kld"), sums, strict=True):
            figures[label] = float(of.sum() / (part & self.replies.counted).sum())
        return figures, sums


SETTINGS = [
    *((name, 64, True) for name in (*NAMES, EITHER)),
    *((name, 64, False) for name in NAMES),
    *((name, group, True) for group in (128, 32) for name in (EVEN, "IQ4_NL", FITTED)),
]


def beside(sums: NDArray[np.float64], even: NDArray[np.float64]) -> list[float]:
    """Return the 95% interval of a divergence over that of even steps, drawing replies anew."""
    drawn = np.random.default_rng(0).integers(0, len(sums), (4000, len(sums)))
    ratios = sums[drawn].sum(1) / even[drawn].sum(1)
    return [float(each) for each in np.quantile(ratios, (0.025, 0.975))]


def measured(path: Path, work: Path) -> list[dict[str, Any]]:
    """Measure all settings on one model, or read what was measured before."""
    work.mkdir(parents=True, exist_ok=True)
    kept = work / "rows.json"
    if kept.exists():
        done: list[dict[str, Any]] = json.loads(kept.read_text("utf-8"))
        return done
    model, rows = Model(path, work), []
    even: dict[tuple[int, bool], tuple[dict[str, Any], NDArray[np.float64]]] = {}
    for name, group, fed in SETTINGS:
        row, sums = model.row(name, group, fed)
        base, base_sums = even.setdefault((group, fed), (row, sums))
        for key, these, those in zip(("kld", "prompt_kld"), sums, base_sums, strict=True):
            row[f"{key}_ratio"] = [row[key] / base[key], *beside(these, those)]
        rows.append(row)
        print(path.name, json.dumps(row), file=sys.stderr, flush=True)
    write_file(kept, json.dumps(rows).encode())
    return rows


def table(found: dict[str, list[dict[str, Any]]]) -> str:
    """Return the figures as a Markdown table."""
    lines = ["| model | group | rounding | levels | output error | KL, replies | KL, prompts |"]
    lines.append("|---|---|---|---|---|---|---|")
    for model, rows in found.items():
        for row in rows:
            cells = [model, str(row["group"])]
            cells += ["error fed back" if row["feedback"] else "to nearest", row["levels"]]
            cells.append("" if row["output_error"] is None else f"{row['output_error']:.5f}")
            for key in ("kld", "prompt_kld"):
                ratio, low, high = row[f"{key}_ratio"]
                beside_even = (
                    "" if row["levels"] == EVEN else f": {ratio:.2f} ({low:.2f} … {high:.2f})"
                )
                cells.append(f"{row[key]:.5f}{beside_even}")
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def pages() -> dict[Path, str]:
    """Return the decision with the kept figures in its place."""
    return {PAGE: page_with(PAGE, MARK, table(json.loads(KEPT.read_text("utf-8"))["models"]))}


def main() -> None:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(description="Measure grids of 16 levels.")
    parser.add_argument("--work", type=Path, help="where models and figures go")
    parser.add_argument("--pages", action="store_true", help="the kept figures into the decision")
    options = parser.parse_args()
    if options.pages:
        PAGE.write_text(pages()[PAGE], "utf-8")
        return
    if options.work is None:
        parser.error("--work or --pages")
    options.work.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {"random": random_weights(), "models": {}}
    for row in found["random"]:
        print(json.dumps(row), file=sys.stderr, flush=True)
    twin = options.work / "twin"
    if not twin.exists():
        write_twin(TINY, twin)
    for name, path in (("Tiny R1", TINY), ("outlier twin", twin)):
        found["models"][name] = measured(path, options.work / f"made-{path.name}")
    document = json.dumps(found, indent=1)
    (options.work / "table_grid.json").write_text(document + "\n", "utf-8")
    print(table(found["models"]))


if __name__ == "__main__":
    main()
