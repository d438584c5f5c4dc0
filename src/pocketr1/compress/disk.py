"""When a job needs which weight file, and what that takes on the disk."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence

from pocketr1.bundle import BundleLayout
from pocketr1.checkpoint import Checkpoint, TensorInfo
from pocketr1.compress.source import all_files

__all__ = ["gives_way", "last_use", "peak_disk_bytes", "rest_bytes", "rest_header", "still_needed"]


def last_use(layout: BundleLayout, checkpoint: Checkpoint) -> dict[str, int]:
    """Return, for each weight file, the last segment made of it; -1: none."""
    last = {path.name: -1 for path in all_files(checkpoint)}
    for index, segment in enumerate(layout.segments):
        for part in segment.parts:
            tensor = checkpoint.tensors.get(layout.tensors[part.tensor].name)
            if tensor is not None:
                last[tensor.file.name] = index
    return last


def still_needed(
    layout: BundleLayout, checkpoint: Checkpoint, segment: int
) -> dict[str, list[TensorInfo]]:
    """Return, for each weight file, the tensors that a segment and those behind it need."""
    needed: dict[str, dict[str, TensorInfo]] = {}
    for each in layout.segments[segment:]:
        for part in each.parts:
            tensor = checkpoint.tensors.get(layout.tensors[part.tensor].name)
            if tensor is not None:
                needed.setdefault(tensor.file.name, {})[tensor.name] = tensor
    return {name: list(tensors.values()) for name, tensors in needed.items()}


def gives_way(rest: int, size: int) -> bool:
    """Tell whether a file of ``size`` bytes goes before another comes, its rest kept aside."""
    return rest <= size // 2


def rest_header(tensors: Sequence[TensorInfo]) -> bytes:
    """Return the head of a safetensors file that holds ``tensors``, one behind the other."""
    rows: dict[str, object] = {}
    end = 0
    for tensor in tensors:
        begin, end = end, end + tensor.nbytes
        rows[tensor.source_name] = {
            "dtype": tensor.dtype.upper(),
            "shape": list(tensor.shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(rows).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def rest_bytes(tensors: Sequence[TensorInfo]) -> int:
    """Return the size of that file."""
    return len(rest_header(tensors)) + sum(tensor.nbytes for tensor in tensors)


def peak_disk_bytes(
    layout: BundleLayout,
    checkpoint: Checkpoint,
    sizes: Mapping[str, int],
    *,
    finished: int = 0,
    here: Mapping[str, int] | None = None,
    rests: Collection[str] = (),
    discard: bool,
) -> int:
    """Return how many bytes more than now the disk holds at the job's fullest moment.

    Each weight file comes when the first segment needs it and, with ``discard``, goes after the
    last, or leaves its rest and goes before another comes.

    Args:
        layout: of the bundle.
        checkpoint: where its tensors come from.
        sizes: bytes of each weight file, by name.
        finished: segments that lie on the disk already.
        here: bytes of each weight file that do, by name; None: of none.
        rests: weight files of which only the rest is there; ``here`` counts that.
        discard: whether weight files are deleted.
    """
    held = dict(here or {})
    left = set(rests)
    last = last_use(layout, checkpoint)
    taken = layout.file_bytes - sum(segment.size for segment in layout.segments)  # headers
    peak = taken

    def bring(name: str, index: int) -> None:
        nonlocal taken, peak
        if name in left or held.get(name) == sizes[name]:
            return
        for other, tensors in still_needed(layout, checkpoint, index).items() if discard else ():
            rest = rest_bytes(tensors)
            if held.get(other) == sizes[other] and gives_way(rest, sizes[other]):
                beside = layout.segments[index].size  # parts of it may be there already
                peak = max(peak, taken + beside + rest)
                taken += rest - sizes[other]
                held[other] = rest
                left.add(other)
        taken += sizes[name] - held.get(name, 0)
        held[name] = sizes[name]

    def free(index: int) -> None:
        nonlocal taken
        if discard:
            taken -= sum(held.pop(name, 0) for name, use in last.items() if use == index)

    for index in range(finished):
        free(index)
    for index, segment in enumerate(layout.segments[finished:], finished):
        for part in segment.parts:
            tensor = checkpoint.tensors.get(layout.tensors[part.tensor].name)
            if tensor is not None:
                bring(tensor.file.name, index)
        taken += segment.size
        peak = max(peak, taken)
        free(index)
    for name, use in last.items():
        if use < 0:  # of no use, but its hash is on record
            bring(name, len(layout.segments))
    return max(peak, taken)
