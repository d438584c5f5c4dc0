"""What distilling brings to bundles that were rounded plainly and to calibrated ones.

    OMP_NUM_THREADS=1 python benchmarks/distillation.py --work DIR

needs PyTorch. Compresses Tiny R1 as ``calibration.py`` does, distills each bundle with the same
prompts, and measures the KL divergence of both from the original over the right replies to
held-out problems. Prints a table and writes DIR/distillation.json. What is in DIR already is
measured as it is.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from calibration import SAMPLES, TINY, exchanges, held_out, write_prompts

import pocketr1
from pocketr1 import measure
from pocketr1.compress import DEFAULTS, Quantizer
from pocketr1.compress.distill import Distiller
from pocketr1.errors import CompressionError

REPLIES = 300
PLANS: dict[str, dict[str, Any]] = {
    "4 bits, groups of 64": {"bits": 4, "group_size": 64},
    "3 bits, groups of 64": {"bits": 3, "group_size": 64},
    "2 bits, groups of 32": {"bits": 2, "group_size": 32},
}


def divergence(bundle: Path, replies: list[measure.Exchange]) -> float:
    """Return the mean KL divergence from the original, in nats a token."""
    with pocketr1.load(TINY) as reference, pocketr1.load(bundle) as model:
        compared = measure.compare_exchanges(reference, model, replies).comparison(1)
    assert compared is not None
    mean: float = compared.divergence.to_dict()["kld_mean"]
    return mean


def measured(work: Path, epochs: int, threads: int | None) -> list[dict[str, Any]]:
    """Compress, distill and measure in every way."""
    prompts = work / "prompts.jsonl"
    write_prompts(prompts)
    text = {"calibration_data": prompts, "calibration_samples": SAMPLES}
    replies = exchanges(TINY, held_out(REPLIES))
    rows = []
    for number, (name, options) in enumerate(PLANS.items()):
        for way in ("rounded", "calibrated"):
            made = work / f"{number}-{way}"
            if not made.exists():
                chosen = {**options, **text} if way == "calibrated" else options
                Quantizer(TINY, output_path=made, threads=threads, **chosen).run()
            out = work / f"{number}-{way}-distilled"
            row: dict[str, Any] = {
                "name": f"{name}, {way}",
                "bits_per_weight": pocketr1.inspect(made).bits_per_weight,
                "kld_mean": divergence(made, replies),
            }
            try:
                if not out.exists():
                    Distiller(made, TINY, out, epochs=epochs, threads=threads, **text).run()
                row["distilled"] = divergence(out, replies)
                row["gate"] = json.loads((out / "bundle.json").read_text("utf-8"))["distilled"][
                    "kld"
                ]
            except CompressionError as error:
                if error.code != "distill-no-gain":
                    raise
                row["distilled"] = None
                row["gate"] = {key: float(str(error.params[key])) for key in ("before", "after")}
            rows.append(row)
            print(json.dumps(row), file=sys.stderr, flush=True)
    return rows


def main() -> None:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(description="Measure what distilling brings.")
    parser.add_argument("--work", type=Path, required=True, help="where bundles and figures go")
    parser.add_argument("--epochs", type=int, default=DEFAULTS.distill_epochs)
    parser.add_argument("--threads", type=int, default=1, help="of training and of the engine")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    rows = measured(options.work, options.epochs, options.threads)
    document = json.dumps({"samples": SAMPLES, "epochs": options.epochs, "rows": rows}, indent=1)
    (options.work / "distillation.json").write_text(document + "\n", "utf-8")
    print("| weights | bits per weight | KL divergence | distilled |\n|---|---|---|---|")
    for row in rows:
        after = "no gain" if row["distilled"] is None else f"{row['distilled']:.5f}"
        print(f"| {row['name']} | {row['bits_per_weight']:.2f} | {row['kld_mean']:.5f} | {after} |")


if __name__ == "__main__":
    main()
