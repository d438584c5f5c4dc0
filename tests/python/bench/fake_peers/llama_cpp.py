"""Stands in for llama-cpp-python: a vocabulary of 8, where token t is followed by t + 1."""

from __future__ import annotations

import ctypes
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

__version__ = "0.fake"

_VOCABULARY = 2048


def llama_log_callback(function: Any) -> Any:
    """Return what the real one would wrap."""
    return function


def llama_log_set(function: Any, data: Any) -> None:
    """Take the logger."""


def llama_backend_init() -> None:
    """Nothing to prepare."""


def llama_model_default_params() -> Any:
    """Return the parameters that are read or set."""
    return SimpleNamespace(n_gpu_layers=-1, use_extra_bufts=True)


def llama_model_load_from_file(path: bytes, params: Any) -> str | None:
    """Return a model unless its name says that it is broken."""
    return None if b"broken" in path else path.decode()


def llama_model_free(model: str) -> None:
    """Let go of it."""


def llama_model_quantize_default_params() -> Any:
    """Return a structure that can be passed by reference."""

    class Parameters(ctypes.Structure):
        _fields_ = [("ftype", ctypes.c_int)]

    return Parameters()


def llama_model_quantize(source: bytes, out: bytes, params: Any) -> int:
    """Write no file; 0 is success."""
    return 0


def llama_context_default_params() -> Any:
    """Return an empty set of parameters."""
    return SimpleNamespace()


def llama_init_from_model(model: str, params: Any) -> Any:
    """Return the context, which is its parameters, and write them down."""
    _note({"context": vars(params)})
    return params


def llama_batch_init(tokens: int, embd: int, sequences: int) -> Any:
    """Return a batch of plain lists."""
    return SimpleNamespace(
        token=[0] * tokens,
        pos=[0] * tokens,
        n_seq_id=[0] * tokens,
        seq_id=[[0] for _ in range(tokens)],
        logits=[False] * tokens,
        n_tokens=0,
    )


def llama_model_size(model: str) -> int:
    """Return the bytes of the tensors."""
    return 1_000_000


def llama_model_get_vocab(model: str) -> str:
    """Return the vocabulary."""
    return model


def llama_vocab_n_tokens(vocab: str) -> int:
    """Return its size."""
    return _VOCABULARY


def llama_print_system_info() -> bytes:
    """Return what was compiled in."""
    return b"CPU : SSE3 = 1 | AVX2 = 1 | AVX512 = 0 | OPENMP = 1 | REPACK = 1 | "


def llama_get_memory(context: Any) -> Any:
    """Return the cache."""
    return context


def llama_memory_clear(memory: Any, data: bool) -> None:
    """Forget all sequences."""
    memory.lengths = {}


def llama_decode(context: Any, batch: Any) -> int:
    """Check that every position follows the one before, and remember the logits."""
    context.last = []
    for index in range(batch.n_tokens):
        sequence, position = batch.seq_id[index][0], batch.pos[index]
        if position != context.lengths.get(sequence, 0) or sequence >= context.n_seq_max:
            return 1
        context.lengths[sequence] = position + 1
        context.last.append((batch.token[index], batch.logits[index]))
    _note({"tokens": batch.n_tokens, "wanted": sum(wanted for _, wanted in context.last)})
    return 0


def llama_get_logits_ith(context: Any, index: int) -> Any:
    """Return a row in which the next token is the likeliest."""
    token, wanted = context.last[index]
    assert wanted
    row = (ctypes.c_float * _VOCABULARY)()
    row[(token + 1) % _VOCABULARY] = 1.0
    return ctypes.cast(row, ctypes.POINTER(ctypes.c_float))


def _note(call: dict[str, Any]) -> None:
    with Path(os.environ["FAKE_PEER_LOG"]).open("a") as file:
        print(json.dumps(call), file=file)
