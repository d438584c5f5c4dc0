"""What this process has of its machine: CPUs, memory, storage.

Everything is read through a :class:`Root`, a directory that stands for ``/``, and whatever is
absent, unreadable or nonsense is ``None``.
"""

from __future__ import annotations

from pocketr1.machine.affinity import cpu_list, default_threads, fast_cpus, pin, pinned
from pocketr1.machine.cpu import Cluster, Cpu, find_cpu
from pocketr1.machine.directories import cache_directory
from pocketr1.machine.frequency import current_mhz
from pocketr1.machine.memory import Memory, find_memory
from pocketr1.machine.process import peak_rss_bytes, usable_cpus
from pocketr1.machine.root import Root
from pocketr1.machine.storage import StorageSpeed, measure_storage

__all__ = [
    "Cluster",
    "Cpu",
    "Memory",
    "Root",
    "StorageSpeed",
    "cache_directory",
    "cpu_list",
    "current_mhz",
    "default_threads",
    "fast_cpus",
    "find_cpu",
    "find_memory",
    "measure_storage",
    "peak_rss_bytes",
    "pin",
    "pinned",
    "usable_cpus",
]
