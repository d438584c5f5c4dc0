"""Compress Tiny R1 and answer the demo's problems; print what must be the same on every machine.

Lines on stdout: hashes of the bundles' files, of logits, and the answers. The instruction set goes
to stderr. scripts/test-arm64 compares the lines of an emulated arm64 with those of this machine.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path

import pocketr1
from pocketr1.compress import Quantizer

MODEL = Path(__file__).parents[1] / "models" / "tiny-r1"
PROBLEMS = (
    "Mia has 35 cards. Mia buys 4 bags with 12 cards each. Mia gives 18 to Leo. "
    "How many cards does Mia have now?",
    "一支钢笔12元，一本笔记本7元。小明买了3支钢笔和5本笔记本。小明一共要付多少元？",
)
FORMATS = ((16, 128), (8, 128), (4, 32))


def main() -> None:
    """Print the lines."""
    with tempfile.TemporaryDirectory() as directory:
        for bits, group_size in FORMATS:
            out = Path(directory) / f"int{bits}"
            Quantizer(MODEL, output_path=out, bits=bits, group_size=group_size).run()
            for file in sorted((out / "blocks").iterdir()):
                print(bits, file.name, hashlib.sha256(file.read_bytes()).hexdigest())
            for kv_format in ("f16", "int8"):
                with pocketr1.load(out, kv_format=kv_format) as engine:
                    print(engine.isa, engine.threads, file=sys.stderr)
                    ids = [(7 * i * i + 3) % engine.vocab_size for i in range(300)]
                    digest = hashlib.sha256(engine.logits(ids).tobytes()).hexdigest()
                    print(bits, kv_format, "logits", digest)
                    for seed, problem in enumerate(PROBLEMS):
                        sampling = pocketr1.Sampling(seed=seed)
                        reply = pocketr1.Chat(engine).send(
                            problem, max_tokens=300, sampling=sampling
                        )
                        print(bits, kv_format, reply.reasoning, reply.answer)


if __name__ == "__main__":
    main()
