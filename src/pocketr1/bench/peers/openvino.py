"""OpenVINO GenAI, through its own pipeline.

Settings: the latency hint, one stream, the threads asked for; activations quantized in groups of
128, as ours are and as its weights lie, which is faster than its own 32 (prefill by a third, decode
by a quarter); precision of K/V and of the rest as OpenVINO chooses. One prompt takes the paged
attention its ``LLMPipeline`` takes by default on x86, several the continuous batching it belongs
to.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from pocketr1.bench.peers.peer import LoadOptions, Times

__all__ = ["OpenVino", "files", "find", "open", "versions"]

_PROPERTIES = {
    "PERFORMANCE_HINT": "LATENCY",
    "NUM_STREAMS": "1",
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": "128",
}


def find(directory: Path) -> list[Path]:
    """Return the directories with an ``openvino_model.xml``."""
    return sorted(path.parent for path in directory.glob("**/openvino_model.xml"))


def files(model: Path) -> list[Path]:
    """Return the graph and the weights."""
    return [model / "openvino_model.xml", model / "openvino_model.bin"]


def versions() -> dict[str, str]:
    """Return the versions of OpenVINO and of GenAI."""
    import openvino_genai
    from openvino import get_version

    return {"openvino-genai": openvino_genai.__version__, "openvino": get_version()}


class OpenVino:
    """One pipeline."""

    def __init__(self, model: Path, options: LoadOptions) -> None:
        import openvino_genai as genai

        self._genai: Any = genai
        scheduler = genai.SchedulerConfig()
        # The whole prompt in one step, as the plain pipeline has it; nothing kept for a next one.
        scheduler.max_num_batched_tokens = max(options.context * options.sequences, 256)
        scheduler.max_num_seqs = options.sequences
        scheduler.cache_size = 0
        scheduler.enable_prefix_caching = False
        scheduler.dynamic_split_fuse = False
        properties = {**_PROPERTIES, "INFERENCE_NUM_THREADS": options.threads}
        self._pipe = genai.ContinuousBatchingPipeline(str(model), scheduler, "CPU", properties)
        self.weight_bytes = (model / "openvino_model.bin").stat().st_size
        self.vocab_size = _vocab_size(model)
        self.settings = {
            "hint": "LATENCY",
            "streams": "1",
            "activation group": _PROPERTIES["DYNAMIC_QUANTIZATION_GROUP_SIZE"],
            "cache of compiled models": "none",
            "kv": _chosen("KV_CACHE_PRECISION"),
            "activations": _chosen("INFERENCE_PRECISION_HINT"),
        }
        self._number = 0

    def generate(self, prompts: Sequence[Sequence[int]], tokens: int) -> Times:
        """Add all requests and step until they are done."""
        import numpy as np
        from openvino import Tensor

        config = self._genai.GenerationConfig()
        config.max_new_tokens = config.min_new_tokens = tokens
        config.ignore_eos = True
        config.do_sample = False
        inputs = [Tensor(np.array([prompt], dtype=np.int64)) for prompt in prompts]
        began = perf_counter()
        handles = []
        for ids in inputs:
            handles.append(self._pipe.add_request(self._number, ids, config))
            self._number += 1
        counts = [0] * len(prompts)
        first_s = None
        while self._pipe.has_non_finished_requests():
            self._pipe.step()
            for index, handle in enumerate(handles):
                while handle.can_read():
                    for output in handle.read().values():
                        counts[index] += len(output.generated_ids)
            if first_s is None and min(counts) > 0:
                first_s = perf_counter() - began
        whole = perf_counter() - began
        first_s = whole if first_s is None else first_s
        return Times(first_s, whole - first_s, tuple(counts))


def _chosen(name: str) -> str:
    """Return the type that the CPU plugin takes where nothing is asked for."""
    from openvino import Core

    return str(Core().get_property("CPU", name).get_type_name())


def _vocab_size(model: Path) -> int:
    import json

    config = json.loads((model / "config.json").read_text("utf-8"))
    return int(config["vocab_size"])


def open(model: Path, options: LoadOptions) -> OpenVino:
    """Load and compile a model that ``optimum-cli export openvino`` made."""
    return OpenVino(model, options)
