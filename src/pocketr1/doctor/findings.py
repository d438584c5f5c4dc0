"""Everything that was found out about a device."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pocketr1.bundle.files import existing_parent
from pocketr1.doctor.kernels import Kernels, choose_kernels
from pocketr1.doctor.speed import MemorySpeed
from pocketr1.doctor.system import System, find_system
from pocketr1.machine import (
    Battery,
    Cpu,
    Memory,
    Root,
    StorageSpeed,
    Thermal,
    find_battery,
    find_cpu,
    find_memory,
    find_thermal,
)

__all__ = ["Findings", "Storage", "find"]


@dataclass(frozen=True)
class Storage:
    """Where a model would go; ``None`` is unknown."""

    path: str
    filesystem: str | None  # "ext4", "f2fs"
    free: int | None  # bytes a user may still write
    speed: StorageSpeed | None = None


@dataclass(frozen=True)
class Findings:
    """What :func:`pocketr1.doctor.advise` decides on."""

    system: System
    cpu: Cpu
    kernels: Kernels
    memory: Memory
    storage: Storage
    thermal: Thermal
    battery: Battery | None
    load: float | None  # programs that wanted a CPU, on average over the last minute
    speed: MemorySpeed | None = None


def find(
    path: str | os.PathLike[str] = ".",
    *,
    root: Root | None = None,
    environment: Mapping[str, str] | None = None,
) -> Findings:
    """Read what the system says; nothing is measured and nothing written.

    path: where a model would be stored; a directory that does not exist yet counts as its parent.
    root: stands for ``/``. environment: stands for the variables of this process.
    """
    from pocketr1 import _core

    root = root or Root()
    environment = os.environ if environment is None else environment
    cpu = find_cpu(root)
    return Findings(
        system=find_system(root, environment),
        cpu=cpu,
        kernels=choose_kernels(cpu, _core.isas(), environment),
        memory=find_memory(root),
        storage=_storage(root, Path(path)),
        thermal=find_thermal(root),
        battery=find_battery(root),
        load=_load(root),
    )


def _storage(root: Root, path: Path) -> Storage:
    directory = existing_parent(path.absolute())
    try:
        status = os.statvfs(directory)
        free = status.f_bavail * status.f_frsize
    except OSError:
        free = None
    return Storage(str(directory), _filesystem(root, directory), free)


def _filesystem(root: Root, directory: Path) -> str | None:
    """Return the type of the mount that ``directory`` lies in: the longest path, listed last."""
    kind, depth = None, -1
    for line in root.lines("proc/self/mounts") or root.lines("proc/mounts"):
        words = line.split(" ")
        if len(words) < 3:
            continue
        mount = Path(words[1].replace("\\040", " "))
        if len(mount.parts) >= depth and (mount == directory or mount in directory.parents):
            kind, depth = words[2], len(mount.parts)
    return kind


def _load(root: Root) -> float | None:
    words = (root.text("proc/loadavg") or "").split()
    try:
        load = float(words[0])
    except (IndexError, ValueError):
        return None
    return load if 0 <= load < 1e6 else None
