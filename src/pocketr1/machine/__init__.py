"""What this process has of its machine: CPUs, memory, storage, temperatures, power.

Everything is read through a :class:`Root`, a directory that stands for ``/``, and whatever is
absent, unreadable or nonsense is ``None``.
"""

from __future__ import annotations

from pocketr1.machine.affinity import cpu_list, default_threads, fast_cpus, pin, pinned
from pocketr1.machine.android import is_android
from pocketr1.machine.cpu import Cluster, Cpu, find_cpu
from pocketr1.machine.directories import cache_directory, data_directory, state_directory
from pocketr1.machine.frequency import current_mhz
from pocketr1.machine.memory import Memory, find_memory
from pocketr1.machine.power import Battery, Power, find_battery, find_power
from pocketr1.machine.pressure import Headroom, find_headroom
from pocketr1.machine.process import peak_rss_bytes, rss_bytes, usable_cpus
from pocketr1.machine.root import Root
from pocketr1.machine.size import parse_size
from pocketr1.machine.storage import StorageSpeed, measure_storage
from pocketr1.machine.thermal import Thermal, ThermalZone, find_thermal, watched

__all__ = [
    "Battery",
    "Cluster",
    "Cpu",
    "Headroom",
    "Memory",
    "Power",
    "Root",
    "StorageSpeed",
    "Thermal",
    "ThermalZone",
    "cache_directory",
    "cpu_list",
    "current_mhz",
    "data_directory",
    "default_threads",
    "fast_cpus",
    "find_battery",
    "find_cpu",
    "find_headroom",
    "find_memory",
    "find_power",
    "find_thermal",
    "is_android",
    "measure_storage",
    "parse_size",
    "peak_rss_bytes",
    "pin",
    "pinned",
    "rss_bytes",
    "state_directory",
    "usable_cpus",
    "watched",
]
