"""The work of a job that rounds to nearest, as the writer of a bundle asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pocketr1 import _core, checkpoint
from pocketr1.bundle import BundleWriter, Part, PartError, Segment, TensorPlan
from pocketr1.bundle.layout import group_size
from pocketr1.compress.discard import Discarder
from pocketr1.compress.progress import Progress
from pocketr1.compress.source import rows_per_slab

if TYPE_CHECKING:
    from pocketr1.compress.quantizer import Quantizer

__all__ = ["RoundedWork"]

_ITEM_BYTES = {"f32": 4, "f16": 2, "bf16": 2}


class RoundedWork:
    """Turns rows of the source into the bytes of parts."""

    def __init__(
        self,
        quantizer: Quantizer,
        writer: BundleWriter,
        source: checkpoint.Checkpoint,
        discarder: Discarder | None,
    ) -> None:
        self._quantizer = quantizer
        self._writer = writer
        self._discarder = discarder
        self._tensors = writer.layout.tensors
        self._source = source
        segments = writer.layout.segments
        sizes = [self._source_bytes(segment) for segment in segments]
        self._done = sum(sizes[: writer.finished])
        self._total = sum(sizes)

    def parts(self, segment: Segment) -> Iterator[tuple[NDArray[np.uint8], PartError]]:
        """Yield bytes and error of each part of a segment."""
        for part in segment.parts:
            yield self._part(part)

    def _source_bytes(self, segment: Segment) -> int:
        size = 0
        for part in segment.parts:
            tensor = self._source.tensors.get(self._tensors[part.tensor].name)
            if tensor is not None:
                size += tensor.nbytes // tensor.shape[0] * part.rows
        return size

    def _part(self, part: Part) -> tuple[NDArray[np.uint8], PartError]:
        plan = self._tensors[part.tensor]
        tensor = self._source.tensors[plan.name]
        if self._quantizer._arrivals is not None and not tensor.file.exists():
            if self._discarder is not None:
                self._source = self._discarder.make_room(self._source)
            self._quantizer._bring(self._writer, tensor.file)
        row_bytes = tensor.nbytes // tensor.shape[0]
        slab_rows = rows_per_slab(
            max(row_bytes, plan.cols * _ITEM_BYTES[tensor.dtype])
            if tensor.decoder is None
            else max(row_bytes, 16 * plan.cols)
        )
        end = part.row + part.rows
        data: NDArray[np.uint8] | None = None
        filled = [0, part.codes, part.codes + part.scales]
        sums = [0.0, 0.0, 0.0]
        for begin in range(part.row, end, slab_rows):
            stop = min(begin + slab_rows, end)
            slab, wrong, all_, largest = self._slab(plan, begin, stop)
            sums = [sums[0] + wrong, sums[1] + all_, max(sums[2], largest)]
            if stop - begin == part.rows:
                data = slab
            else:
                if data is None:
                    data = np.empty(part.size, np.uint8)
                self._place(plan, slab, stop - begin, data, filled)
            self._done += row_bytes * (stop - begin)
            self._quantizer._tell(Progress("compress", self._done, self._total, plan.name))
        assert data is not None
        return data, PartError(*sums)

    def _slab(
        self, plan: TensorPlan, begin: int, end: int
    ) -> tuple[NDArray[np.uint8], float, float, float]:
        """Return the bytes of some rows, and what ``_core.quantize_rows`` says of their errors."""
        tensor = self._source.tensors[plan.name]
        decoder = tensor.decoder
        if decoder is not None and decoder.exact_format == plan.format and group_size(plan.format):
            return _core.pack_rows(*decoder.codes(begin, end), plan.format), 0.0, 0.0, 0.0
        return _core.quantize_rows(
            self._source.read_rows(plan.name, begin, end),
            tensor.dtype,
            plan.format,
            self._quantizer.threads,
            plan.name,
            begin,
        )

    def _place(
        self,
        plan: TensorPlan,
        slab: NDArray[np.uint8],
        rows: int,
        data: NDArray[np.uint8],
        filled: list[int],
    ) -> None:
        """Put a slab's codes, scales and zero points behind those of the slabs before it."""
        at = 0
        for array, size in enumerate(_core.packed_size(plan.format, rows, plan.cols)):
            data[filled[array] : filled[array] + size] = slab[at : at + size]
            filled[array] += size
            at += size
