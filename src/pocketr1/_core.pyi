"""The compiled core of Pocket R1; use the pocketr1 package instead."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

class Model:
    @staticmethod
    def open_bundle(path: str, mmap: bool = True) -> Model: ...
    @staticmethod
    def open_checkpoint(
        spec_json: str,
        files: list[str],
        tensors: list[tuple[str, str, list[int], int, int]],
        mmap: bool = True,
    ) -> Model: ...
    @property
    def spec_json(self) -> str: ...
    @property
    def weight_bytes(self) -> int: ...
    def set_adapter(
        self, tensor: str, a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]
    ) -> None: ...
    def clear_adapter(self, tensor: str) -> None: ...

class Session:
    def __init__(
        self,
        model: Model,
        *,
        threads: int,
        max_context: int,
        kv_format: str = "f16",
        isa: str = "",
    ) -> None: ...
    @property
    def isa(self) -> str: ...
    @property
    def threads(self) -> int: ...
    @property
    def kv_bytes(self) -> int: ...
    @property
    def max_context(self) -> int: ...
    def create_sequence(self) -> int: ...
    def free_sequence(self, sequence: int) -> None: ...
    def length(self, sequence: int) -> int: ...
    def truncate(self, sequence: int, length: int) -> None: ...
    def step(
        self,
        sequence: npt.NDArray[np.int32],
        position: npt.NDArray[np.int32],
        token: npt.NDArray[np.int32],
        logits_for: npt.NDArray[np.int32],
        *,
        embeddings: npt.NDArray[np.float32] | None = None,
        hook: Callable[[str, npt.NDArray[np.float32]], None] | None = None,
    ) -> npt.NDArray[np.float32]: ...
    def cancel(self) -> None: ...
    def sample(
        self,
        logits: npt.NDArray[np.float32],
        history: npt.NDArray[np.int32],
        *,
        temperature: float,
        top_k: int,
        top_p: float,
        min_p: float,
        repetition_penalty: float,
        seed: int,
        index: int,
        position: int,
    ) -> int: ...
    def trace_kernels(self, on: bool) -> None: ...
    def kernels_run(self) -> list[str]: ...

class Bundle:
    @staticmethod
    def open(path: str, mmap: bool = True) -> Bundle: ...
    @property
    def metadata_json(self) -> str: ...
    def tensors(self) -> list[tuple[str, str, list[int], Any]]: ...
    def verify(self) -> None: ...

def isas() -> list[str]: ...
def safetensors_header(path: str) -> list[tuple[str, str, list[int], int, int]]: ...
def quantize_rows(
    rows: npt.NDArray[Any],
    dtype: str,
    format: str,
    threads: int = 1,
    name: str = "",
    first_row: int = 0,
) -> tuple[npt.NDArray[np.uint8], float, float, float]: ...
def unpack_rows(
    part: npt.NDArray[np.uint8], format: str, rows: int, cols: int
) -> tuple[npt.NDArray[Any], npt.NDArray[np.float32], npt.NDArray[np.uint8]]: ...
def pack_rows(
    codes: npt.NDArray[np.uint8],
    scales: npt.NDArray[np.float32],
    zeros: npt.NDArray[np.uint8],
    format: str,
) -> npt.NDArray[np.uint8]: ...
def dequantize_rows(
    part: npt.NDArray[np.uint8], format: str, rows: int, cols: int
) -> npt.NDArray[np.float32]: ...
def packed_size(format: str, rows: int, cols: int) -> tuple[int, int, int]: ...
