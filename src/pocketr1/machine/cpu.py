"""Cores and their kinds, which of them this process may use, and what they can do."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pocketr1.machine.arm_parts import CoreClass, arm_part
from pocketr1.machine.cgroup import cpu_quota
from pocketr1.machine.root import Root, integer, listed

__all__ = ["Cluster", "CoreKind", "Cpu", "find_cpu"]

#: ``uniform``: all cores of the machine are alike. x86 speaks of performance and efficiency.
CoreKind: TypeAlias = CoreClass | Literal["performance", "efficiency", "uniform", "unknown"]

_DEVICES = "sys/devices/system/cpu"
_SLOW: tuple[CoreKind, ...] = ("little", "efficiency")
# Below this share of the fastest core's capacity, a core of unknown make counts as little.
_LITTLE_CAPACITY = 0.5


@dataclass(frozen=True)
class Cluster:
    """Cores that are alike."""

    kind: CoreKind
    name: str | None  # "Cortex-A715"; of x86 the processor's name
    cpus: tuple[int, ...]  # logical CPUs
    max_mhz: int | None
    capacity: int | None  # the kernel's measure: the fastest core of the machine has 1024


@dataclass(frozen=True)
class Cpu:
    """``None`` is unknown."""

    architecture: str | None  # "x86_64", "aarch64"
    model: str | None
    clusters: tuple[Cluster, ...]  # fastest first
    logical: int | None  # CPUs that are on
    cores: int | None  # physical ones; two logical CPUs of one core share its arithmetic
    allowed: tuple[int, ...] | None  # the process's affinity
    quota: float | None  # CPUs' worth of time a control group grants
    features: tuple[str, ...]  # as the kernel spells them
    last_cache_bytes: int | None  # of the largest cache

    @property
    def usable(self) -> int | None:
        """How many threads can run at once: the affinity's CPUs, or the quota rounded up."""
        cpus = self.logical if self.allowed is None else len(self.allowed)
        if cpus is None or self.quota is None:
            return cpus
        return max(1, min(cpus, math.ceil(self.quota)))

    @property
    def fast(self) -> int | None:
        """How many of the usable CPUs are no little or efficiency cores; all where none is."""
        if self.usable is None:
            return None
        fast = self.fast_cpus
        if self.allowed is not None:
            fast = fast.intersection(self.allowed)
        return min(len(fast), self.usable) or self.usable

    @property
    def fast_cpus(self) -> frozenset[int]:
        """The CPUs that are no little or efficiency cores, whether allowed or not."""
        return frozenset(cpu for c in self.clusters if c.kind not in _SLOW for cpu in c.cpus)


def find_cpu(root: Root) -> Cpu:
    """Read ``/proc/cpuinfo`` and ``/sys/devices/system/cpu``."""
    common, each = _cpuinfo(root)
    architecture = _architecture(root, common)
    on = _logical(root, tuple(each))
    allowed = listed(root.fields("proc/self/status").get("Cpus_allowed_list"))
    if allowed is not None and on is not None:
        # The kernel lists CPUs that are off or were never there, too.
        allowed = tuple(cpu for cpu in allowed if cpu in on) or None
    flags = common.get("flags") or common.get("Features") or ""
    return Cpu(
        architecture=architecture,
        model=_model(root, common, architecture),
        clusters=_clusters(root, on or (), each, architecture, common.get("model name")),
        logical=None if on is None else len(on),
        cores=_physical(root, on or ()),
        allowed=allowed,
        quota=cpu_quota(root),
        features=tuple(dict.fromkeys(flags.split())),
        last_cache_bytes=_last_cache(root),
    )


def _cpuinfo(root: Root) -> tuple[dict[str, str], dict[int, dict[str, str]]]:
    """Return the first value of every key, and the keys of each processor."""
    common: dict[str, str] = {}
    each: dict[int, dict[str, str]] = {}
    current: dict[str, str] = {}
    for line in root.lines("proc/cpuinfo"):
        key, colon, value = (part.strip() for part in line.partition(":"))
        if not colon:
            continue
        number = integer(value, 0, 1 << 16) if key == "processor" else None
        if number is not None:
            current = each.setdefault(number, {})
        current.setdefault(key, value)
        common.setdefault(key, value)
    return common, each


def _architecture(root: Root, common: Mapping[str, str]) -> str | None:
    if root.is_real:
        return platform.machine() or None
    if "CPU implementer" in common or "CPU architecture" in common:
        return "aarch64" if "asimd" in common.get("Features", "").split() else "arm"
    if "vendor_id" in common:
        return "x86_64" if "lm" in common.get("flags", "").split() else "x86"
    return None


def _model(root: Root, common: Mapping[str, str], architecture: str | None) -> str | None:
    """x86 names its processor; an Arm system on a chip is named by its kernel, if at all."""
    keys = ("model name", "Hardware") if architecture != "aarch64" else ("Hardware",)
    named = next((common[key] for key in keys if common.get(key)), None)
    if named is not None:
        return named
    family = root.text("sys/devices/soc0/family")
    machine = root.text("sys/devices/soc0/machine")
    return " ".join(filter(None, (family, machine))) or None


def _logical(root: Root, listed_by_cpuinfo: tuple[int, ...]) -> tuple[int, ...] | None:
    online = listed(root.text(f"{_DEVICES}/online"))
    if online:
        return online
    numbers = (integer(name[3:], 0, 1 << 16) for name in root.names(_DEVICES, "cpu"))
    present = tuple(number for number in numbers if number is not None)
    return present or listed_by_cpuinfo or None


def _physical(root: Root, cpus: tuple[int, ...]) -> int | None:
    """Count the sets of CPUs that share a core."""
    cores: set[object] = set()
    for cpu in cpus:
        topology = f"{_DEVICES}/cpu{cpu}/topology"
        siblings = listed(root.text(f"{topology}/core_cpus_list")) or listed(
            root.text(f"{topology}/thread_siblings_list")
        )
        if siblings is None or cpu not in siblings:
            return None
        cores.add(siblings)
    return len(cores) or None


def _last_cache(root: Root) -> int | None:
    sizes: list[int] = []
    for name in root.names(f"{_DEVICES}/cpu0/cache", "index"):
        text = root.text(f"{_DEVICES}/cpu0/cache/{name}/size") or ""
        unit = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}.get(text[-1:])
        size = integer(text[:-1] if unit else text, 1, 1 << 32)
        if size is not None:
            sizes.append(size * (unit or 1))
    return max((size for size in sizes if size < 1 << 34), default=None)


def _clusters(
    root: Root,
    cpus: tuple[int, ...],
    each: Mapping[int, Mapping[str, str]],
    architecture: str | None,
    name: str | None,
) -> tuple[Cluster, ...]:
    """Put CPUs of one make and one speed together, fastest first."""
    if architecture in ("x86_64", "x86"):
        return _x86_clusters(root, cpus, name)
    alike: dict[tuple[object, ...], list[int]] = {}
    for cpu in cpus:
        key = (_part(root, cpu, each.get(cpu, {})), _capacity(root, cpu), _max_mhz(root, cpu))
        alike.setdefault(key, []).append(cpu)
    found = []
    for members in alike.values():
        cpu = members[0]
        part, kind = arm_part(*_part(root, cpu, each.get(cpu, {})))
        found.append(
            Cluster(
                kind or "unknown", part, tuple(members), _max_mhz(root, cpu), _capacity(root, cpu)
            )
        )
    return _kinds(found)


def _kinds(clusters: list[Cluster]) -> tuple[Cluster, ...]:
    """Order clusters by speed; name the kind of those whose make is not known by their capacity."""
    if len(clusters) == 1:
        only = clusters[0]
        return (Cluster("uniform", only.name, only.cpus, only.max_mhz, only.capacity),)
    most = max((c.capacity or 0 for c in clusters), default=0)
    order = {"prime": 0, "big": 1, "unknown": 2, "little": 3}
    named = []
    for cluster in clusters:
        kind = cluster.kind
        if kind == "unknown" and cluster.capacity and most:
            kind = "little" if cluster.capacity < _LITTLE_CAPACITY * most else "big"
        named.append(Cluster(kind, cluster.name, cluster.cpus, cluster.max_mhz, cluster.capacity))
    return tuple(
        sorted(named, key=lambda c: (order.get(c.kind, 2), -(c.capacity or 0), -(c.max_mhz or 0)))
    )


def _x86_clusters(root: Root, cpus: tuple[int, ...], name: str | None) -> tuple[Cluster, ...]:
    """Intel's hybrid processors list their two kinds of cores as performance-counter devices."""
    kinds: tuple[tuple[CoreKind, str], ...] = (
        ("performance", "cpu_core"),
        ("efficiency", "cpu_atom"),
    )
    found = []
    for kind, device in kinds:
        members = listed(root.text(f"sys/devices/{device}/cpus")) or ()
        found.append((kind, tuple(cpu for cpu in members if cpu in cpus)))
    hybrid = [(kind, members) for kind, members in found if members]
    if len(hybrid) < 2:
        hybrid = [("uniform", cpus)] if cpus else []
    return tuple(
        Cluster(kind, name, members, _max_mhz(root, members[0]), _capacity(root, members[0]))
        for kind, members in hybrid
    )


def _part(root: Root, cpu: int, keys: Mapping[str, str]) -> tuple[int | None, int | None]:
    """Return implementer and part; from the MIDR register where cpuinfo leaves the core out."""
    implementer = integer(keys.get("CPU implementer"), 0, 0xFF, 16)
    part = integer(keys.get("CPU part"), 0, 0xFFF, 16)
    if implementer is not None and part is not None:
        return implementer, part
    register = root.text(f"{_DEVICES}/cpu{cpu}/regs/identification/midr_el1")
    midr = integer(register, 0, (1 << 64) - 1, 16)
    return (None, None) if midr is None else (midr >> 24 & 0xFF, midr >> 4 & 0xFFF)


def _capacity(root: Root, cpu: int) -> int | None:
    return root.integer(f"{_DEVICES}/cpu{cpu}/cpu_capacity", 1, 1024)


def _max_mhz(root: Root, cpu: int) -> int | None:
    kilohertz = root.integer(f"{_DEVICES}/cpu{cpu}/cpufreq/cpuinfo_max_freq", 1, 1 << 24)
    return None if kilohertz is None else kilohertz // 1000
