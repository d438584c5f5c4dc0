"""llama.cpp, through the C functions that llama-cpp-python binds.

Settings: memory-mapped file, weights repacked while loading, batches of 512 tokens of which 128 are
computed at a time (2,048 tokens gain a tenth over 512 at a time), flash attention where llama.cpp
chooses it, K/V in f16: on a CPU its fastest; K/V in q8_0 halves its prefill of 2,048 tokens.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from pocketr1.bench.peers.peer import LoadOptions, Times

__all__ = ["LlamaCpp", "files", "find", "open", "versions"]

_BATCH = 512  # tokens of one llama_decode
_AT_ONCE = 128  # tokens of it that are computed together
_FEATURES = ("AVX2", "AVX_VNNI", "AVX512", "AVX512_VNNI", "AVX512_BF16", "AMX_INT8", "NEON")
_MORE_FEATURES = ("DOTPROD", "MATMUL_INT8", "SVE", "REPACK", "LLAMAFILE", "OPENMP", "KLEIDIAI")


def find(directory: Path) -> list[Path]:
    """Return the GGUF files in ``directory`` and its ``llama.cpp``."""
    return sorted({*directory.glob("*.gguf"), *directory.glob("llama.cpp/*.gguf")})


def files(model: Path) -> list[Path]:
    """Return the one file."""
    return [model]


def versions() -> dict[str, str]:
    """Return the binding's version, which fixes llama.cpp's."""
    import llama_cpp

    return {"llama-cpp-python": llama_cpp.__version__}


class LlamaCpp:
    """One model and its context."""

    def __init__(self, model: Path, options: LoadOptions) -> None:
        import llama_cpp as api

        self._api: Any = api
        self._mute = api.llama_log_callback(lambda _level, _text, _data: None)
        api.llama_log_set(self._mute, ctypes.c_void_p(0))
        api.llama_backend_init()
        loading = api.llama_model_default_params()
        loading.n_gpu_layers = 0
        self._model = api.llama_model_load_from_file(str(model).encode(), loading)
        if not self._model:
            raise ValueError(f"{model.name} cannot be loaded")
        self._sequences = options.sequences
        # Without one cache for all, the context is cut into equal parts of a multiple of 256.
        each = -(-options.context // 256) * 256
        setting = api.llama_context_default_params()
        setting.n_ctx = each * options.sequences
        setting.n_batch, setting.n_ubatch = _BATCH, _AT_ONCE
        setting.n_seq_max = options.sequences
        setting.n_threads = setting.n_threads_batch = options.threads
        setting.no_perf = True
        self._context = api.llama_init_from_model(self._model, setting)
        if not self._context:
            raise ValueError(f"{model.name} has no room for a context of {options.context} tokens")
        self._batch = api.llama_batch_init(_BATCH, 0, 1)
        self.weight_bytes = int(api.llama_model_size(self._model))
        self.vocab_size = int(api.llama_vocab_n_tokens(api.llama_model_get_vocab(self._model)))
        repack = "on" if loading.use_extra_bufts else "off"
        self.settings = {
            "n_batch": str(_BATCH),
            "n_ubatch": str(_AT_ONCE),
            "repack": repack,
            "kv": "f16",
            "built with": self._features(),
        }

    def generate(self, prompts: Sequence[Sequence[int]], tokens: int) -> Times:
        """Fill every prompt's cache, then take one step for all of them at a time."""
        api = self._api
        api.llama_memory_clear(api.llama_get_memory(self._context), False)
        began = perf_counter()
        rows = [
            (token, place, sequence, place == len(prompt) - 1)
            for sequence, prompt in enumerate(prompts)
            for place, token in enumerate(prompt)
        ]
        last: dict[int, int] = {}
        for start in range(0, len(rows), _BATCH):
            last |= self._step(rows[start : start + _BATCH])
        first_s = perf_counter() - began
        for step in range(tokens - 1):
            following = [
                (last[sequence], len(prompt) + step, sequence, True)
                for sequence, prompt in enumerate(prompts)
            ]
            last = self._step(following)
        decode_s = perf_counter() - began - first_s
        return Times(first_s, decode_s, tuple(tokens for _ in prompts))

    def _step(self, rows: Sequence[tuple[int, int, int, bool]]) -> dict[int, int]:
        """Compute (token, position, sequence, wanted); return the likeliest next of each wanted."""
        api, batch = self._api, self._batch
        for index, (token, position, sequence, wanted) in enumerate(rows):
            batch.token[index] = token
            batch.pos[index] = position
            batch.n_seq_id[index] = 1
            batch.seq_id[index][0] = sequence
            batch.logits[index] = wanted
        batch.n_tokens = len(rows)
        status = api.llama_decode(self._context, batch)
        if status != 0:
            raise ValueError(f"llama_decode returned {status}")
        return dict(self._likeliest(rows))

    def _likeliest(self, rows: Sequence[tuple[int, int, int, bool]]) -> Iterable[tuple[int, int]]:
        import numpy as np

        for index, (_, _, sequence, wanted) in enumerate(rows):
            if wanted:
                logits = self._api.llama_get_logits_ith(self._context, index)
                row = np.ctypeslib.as_array(logits, (self.vocab_size,))
                yield sequence, int(row.argmax())

    def _features(self) -> str:
        """Return what the library says it was built with and this CPU has."""
        text: str = self._api.llama_print_system_info().decode()
        on = {
            part.split("=")[0].split(":")[-1].strip() for part in text.split("|") if "= 1" in part
        }
        return " ".join(name for name in (*_FEATURES, *_MORE_FEATURES) if name in on)


def open(model: Path, options: LoadOptions) -> LlamaCpp:
    """Load a GGUF file."""
    return LlamaCpp(model, options)
