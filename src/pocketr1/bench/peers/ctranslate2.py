"""CTranslate2's generator.

Settings: int8 with float activations quantized on the fly, one replica with the threads asked for.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from pocketr1.bench.peers.peer import LoadOptions, Times

__all__ = ["CTranslate2", "files", "find", "open", "versions"]


def find(directory: Path) -> list[Path]:
    """Return the directories with a ``model.bin`` and a vocabulary."""
    found = (path.parent for path in directory.glob("**/model.bin"))
    return sorted(path for path in found if (path / "vocabulary.json").is_file())


def files(model: Path) -> list[Path]:
    """Return the weights and the vocabulary."""
    return [model / "model.bin", model / "vocabulary.json"]


def versions() -> dict[str, str]:
    """Return CTranslate2's version."""
    import ctranslate2

    return {"ctranslate2": ctranslate2.__version__}


class CTranslate2:
    """One generator."""

    def __init__(self, model: Path, options: LoadOptions) -> None:
        import ctranslate2

        self._generator: Any = ctranslate2.Generator(
            str(model), device="cpu", compute_type="int8", intra_threads=options.threads
        )
        # The format has no other section of weight: names and shapes take some kilobytes.
        self.weight_bytes = (model / "model.bin").stat().st_size
        self._tokens: list[str] = json.loads((model / "vocabulary.json").read_text("utf-8"))
        self.vocab_size = len(self._tokens)
        compute = str(self._generator.compute_type)
        # It keeps K/V in the type that its activations have between products.
        kv = {"int8_float32": "f32", "int8_bfloat16": "bf16", "int8_float16": "f16"}.get(compute)
        self.settings = {"compute type": compute, **({} if kv is None else {"kv": kv})}

    def generate(self, prompts: Sequence[Sequence[int]], tokens: int) -> Times:
        """Generate greedily; a callback tells when each token is there."""
        counts = [0] * len(prompts)
        began = perf_counter()
        first_s = last_s = 0.0

        def count(step: Any) -> bool:
            nonlocal first_s, last_s
            counts[step.batch_id] += 1
            last_s = perf_counter() - began
            if not first_s and min(counts):
                first_s = last_s
            return False

        self._generator.generate_batch(
            [[self._tokens[token] for token in prompt] for prompt in prompts],
            max_length=tokens,
            min_length=tokens,  # keeps end-of-text out until then
            sampling_topk=1,
            include_prompt_in_result=False,
            callback=count,
        )
        return Times(first_s, last_s - first_s, tuple(counts))


def open(model: Path, options: LoadOptions) -> CTranslate2:
    """Load a model that CTranslate2's converter made."""
    return CTranslate2(model, options)
