"""Trees that stand for ``/`` on devices of several kinds: what their kernels and systems say."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pocketr1.machine import Root

CPU = "sys/devices/system/cpu"
DIRECTORY = "<a directory: reading it fails, whoever reads>"


@dataclass(frozen=True)
class Device:
    """Files by their path, and the variables of the process."""

    files: dict[str, str]
    environment: dict[str, str] = field(default_factory=dict)

    def write(self, directory: Path) -> Root:
        """Write the tree below ``directory``."""
        for name, text in self.files.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if text == DIRECTORY:
                path.mkdir()
            else:
                path.write_bytes(text.encode("utf-8", "surrogateescape"))
        return Root(directory)


def arm_cpus(cores: list[tuple[str, int, int]], features: str) -> dict[str, str]:
    """Return cpuinfo and /sys of cores given as (part, capacity, kilohertz)."""
    files = {f"{CPU}/online": f"0-{len(cores) - 1}\n"}
    blocks = []
    for cpu, (part, capacity, kilohertz) in enumerate(cores):
        blocks.append(
            f"processor\t: {cpu}\nBogoMIPS\t: 38.40\nFeatures\t: {features}\n"
            f"CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x1\n"
            f"CPU part\t: {part}\nCPU revision\t: 1\n"
        )
        files[f"{CPU}/cpu{cpu}/cpu_capacity"] = f"{capacity}\n"
        files[f"{CPU}/cpu{cpu}/cpufreq/cpuinfo_max_freq"] = f"{kilohertz}\n"
        files[f"{CPU}/cpu{cpu}/topology/thread_siblings_list"] = f"{cpu}\n"
    files["proc/cpuinfo"] = "\n".join(blocks)
    return files


def x86_cpus(name: str, siblings: list[str], flags: str) -> dict[str, str]:
    """Return cpuinfo and /sys of CPUs that share cores as ``siblings`` says."""
    files = {f"{CPU}/online": f"0-{len(siblings) - 1}\n", f"{CPU}/cpu0/cache/index3/size": "18432K"}
    blocks = []
    for cpu, shared in enumerate(siblings):
        blocks.append(
            f"processor\t: {cpu}\nvendor_id\t: GenuineIntel\nmodel name\t: {name}\n"
            f"flags\t\t: fpu lm {flags}\n"
        )
        files[f"{CPU}/cpu{cpu}/topology/thread_siblings_list"] = f"{shared}\n"
    files["proc/cpuinfo"] = "\n".join(blocks)
    return files


def meminfo(total_mb: int, available_mb: int, swap_mb: int = 0) -> str:
    return (
        f"MemTotal:       {total_mb * 1024} kB\nMemFree:          200000 kB\n"
        f"MemAvailable:   {available_mb * 1024} kB\nCached:           900000 kB\n"
        f"SwapTotal:      {swap_mb * 1024} kB\nSwapFree:       {swap_mb * 512} kB\n"
    )


_ARM_FEATURES = "fp asimd evtstrm aes crc32 atomics fphp asimdhp asimddp"

#: A Xiaomi 13 in Termux, inside proot-distro's Debian: one X3, four middle cores of two kinds,
#: three little ones. Sensors are listed, and may not be read.
PHONE = Device(
    {
        **arm_cpus(
            [
                *[("0xd46", 325, 2016000)] * 3,
                *[("0xd4d", 828, 2803200)] * 2,
                *[("0xd47", 828, 2803200)] * 2,
                ("0xd4e", 1024, 3187200),
            ],
            f"{_ARM_FEATURES} sve i8mm bf16 sve2",
        ),
        "proc/self/status": "Name:\tpython3\nTracerPid:\t4711\nCpus_allowed_list:\t0-7\n",
        "proc/4711/comm": "proot\n",
        "proc/meminfo": meminfo(11200, 5600, 8192),
        "proc/swaps": "Filename\tType\tSize\tUsed\tPriority\n"
        "/dev/block/zram0                        partition\t8388604\t0\t-2\n",
        "proc/loadavg": "0.42 0.50 0.61 1/1200 4800\n",
        "proc/sys/kernel/osrelease": "6.2.1-PRoot-Distro\n",
        "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian"\n',
        "system/build.prop": "ro.build.version.release=14\nro.product.manufacturer=Xiaomi\n"
        "ro.product.model=2211133C\nro.soc.model=SM8550\n",
        "sys/class/thermal/thermal_zone0/type": "aoss-0\n",
        "sys/class/thermal/thermal_zone0/temp": DIRECTORY,
        "sys/class/thermal/thermal_zone1/type": "cpu-1-0\n",
        "sys/class/thermal/thermal_zone1/temp": DIRECTORY,
    },
    {
        "ANDROID_ROOT": "/system",
        "TERMUX_VERSION": "0.118.0",
        "PREFIX": "/data/data/com.termux/files/usr",
    },
)

RASPBERRY_PI_5 = Device(
    {
        **arm_cpus([("0xd0b", 1024, 2400000)] * 4, _ARM_FEATURES),
        "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
        "proc/self/status": "TracerPid:\t0\nCpus_allowed_list:\t0-3\n",
        "proc/meminfo": meminfo(8060, 7200, 200),
        "proc/swaps": "Filename Type Size Used Priority\n/var/swap file 204796 0 -2\n",
        "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
        "sys/class/thermal/thermal_zone0/temp": "48300\n",
        "etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
    }
)

#: Four performance cores of two threads each and eight efficiency cores.
LAPTOP = Device(
    {
        **x86_cpus(
            "12th Gen Intel(R) Core(TM) i7-1260P",
            [*(s for s in ("0-1", "2-3", "4-5", "6-7") for _ in (0, 1)), *map(str, range(8, 16))],
            "avx2 fma avx_vnni",
        ),
        "sys/devices/cpu_core/cpus": "0-7\n",
        "sys/devices/cpu_atom/cpus": "8-15\n",
        "proc/self/status": "TracerPid:\t0\nCpus_allowed_list:\t0-15\n",
        "proc/meminfo": meminfo(15700, 9800, 2048),
        "sys/class/dmi/id/product_name": "ThinkPad X1\n",
        "sys/class/thermal/thermal_zone0/type": "x86_pkg_temp\n",
        "sys/class/thermal/thermal_zone0/temp": "61000\n",
        "sys/class/thermal/thermal_zone1/type": "broken\n",
        "sys/class/thermal/thermal_zone1/temp": "-274000\n",
        "sys/class/power_supply/AC/type": "Mains\n",
        "sys/class/power_supply/BAT0/type": "Battery\n",
        "sys/class/power_supply/BAT0/capacity": "83\n",
        "sys/class/power_supply/BAT0/status": "Discharging\n",
    }
)

_SERVER = {
    **x86_cpus("AMD EPYC 9B14", [f"{n},{n + 4}" for n in (0, 1, 2, 3)] * 2, "avx2 avx512_vnni"),
    "proc/meminfo": meminfo(64000, 60000),
    "proc/self/status": "TracerPid:\t0\nCpus_allowed_list:\t0-127\n",
}

#: 2 GB and 1.5 CPUs of a server, under version 2 of control groups.
CONTAINER = Device(
    {
        **_SERVER,
        ".dockerenv": "",
        "proc/self/cgroup": "0::/\n",
        "sys/fs/cgroup/cpu.max": "150000 100000\n",
        "sys/fs/cgroup/memory.max": "2147483648\n",
        "sys/fs/cgroup/memory.current": "536870912\n",
        "sys/fs/cgroup/memory.stat": "anon 400000000\nfile 130000000\ninactive_file 104857600\n",
    }
)

#: 4 GB and 2 CPUs under version 1; the path is the host's and does not exist below the mount.
CONTAINER_V1 = Device(
    {
        **_SERVER,
        "proc/1/cgroup": "5:memory:/docker/8d1c\n",
        "proc/self/cgroup": "5:memory:/docker/8d1c\n4:cpu,cpuacct:/docker/8d1c\n1:name=systemd:/\n",
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "200000\n",
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "4294967296\n",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": "1073741824\n",
        "sys/fs/cgroup/memory/memory.stat": "cache 9\ntotal_inactive_file 73741824\n",
    }
)

WSL2 = Device(
    {
        **x86_cpus("AMD Ryzen 7 7840U", ["0-1", "0-1", "2-3", "2-3"], "avx2"),
        "proc/version": "Linux version 5.15.153.1-microsoft-standard-WSL2 (root@941d701f84f1)\n",
        "proc/sys/kernel/osrelease": "5.15.153.1-microsoft-standard-WSL2\n",
        "proc/meminfo": meminfo(7800, 7000, 2048),
        "etc/os-release": 'NAME="Ubuntu"\nPRETTY_NAME="Ubuntu 22.04.4 LTS"\n',
    }
)

#: A phone of 2022 that lets programs read its sensors, as Android 13 lays them out: zones of the
#: chip, the board and the skin in thousandths, one in tenths, one in degrees, some that measure
#: nothing; running on its battery.
READABLE_PHONE = Device(
    {
        "proc/meminfo": meminfo(7600, 2900, 4096),
        "proc/pressure/memory": "some avg10=0.40 avg60=0.10 avg300=0.02 total=1923\n"
        "full avg10=0.00 avg60=0.00 avg300=0.00 total=310\n",
        **{
            f"sys/class/thermal/thermal_zone{number}/{name}": value
            for number, (kind, temp) in enumerate(
                [
                    ("cpu-0-0-usr", "57800"),
                    ("gpuss-0-usr", "0"),
                    ("skin-msm-therm-usr", "41200"),
                    ("quiet-therm-usr", "39"),
                    ("battery", "345"),
                    ("pa-therm1", "-273000"),
                    ("modem-0", "2147483648"),
                    ("xo-therm-usr", "2147483647"),
                ]
            )
            for name, value in (("type", f"{kind}\n"), ("temp", f"{temp}\n"))
        },
        "sys/class/power_supply/battery/type": "Battery\n",
        "sys/class/power_supply/battery/capacity": "64\n",
        "sys/class/power_supply/battery/status": "Discharging\n",
        "sys/class/power_supply/battery/temp": "345\n",
        "sys/class/power_supply/ac/type": "Mains\n",
        "sys/class/power_supply/ac/online": "0\n",
        "sys/class/power_supply/usb/type": "USB\n",
        "sys/class/power_supply/usb/online": "0\n",
        "sys/class/power_supply/wireless/type": "Wireless\n",
        "sys/class/power_supply/wireless/online": "0\n",
        "sys/class/power_supply/bms/type": "BMS\n",
    },
    {"ANDROID_ROOT": "/system"},
)

EMPTY = Device({})

#: Files that are there and say nothing sensible.
NONSENSE = Device(
    {
        "proc/cpuinfo": "processor\t: minus one\nCPU part: 0xzz\n:::\nprocessor : 99999999999999\n",
        "proc/meminfo": "MemTotal: lots kB\nMemAvailable: -5 kB\nSwapTotal:\n",
        "proc/self/status": "TracerPid:\tyou\nCpus_allowed_list:\t7-3,x\n",
        "proc/self/cgroup": "0::\n:::\nnot a line\n",
        "proc/swaps": "zram\n/dev/zram0 partition much\n",
        "proc/loadavg": "nan\n",
        "proc/mounts": "a\n\\040 \\040\n",
        "sys/fs/cgroup/memory.max": "0\n",
        "sys/fs/cgroup/cpu.max": "100000 0\n",
        f"{CPU}/online": "0-\n",
        f"{CPU}/cpu0/cpu_capacity": "-1\n",
        f"{CPU}/cpu0/cache/index0/size": "K\n",
        f"{CPU}/cpufreq": "a file where a directory should be",
        "sys/class/thermal/thermal_zone0/temp": "999999999999999\n",
        "sys/class/thermal/thermal_zone1/type": "\udcff\udcfe\0\0",
        "sys/class/power_supply/BAT0/type": "Battery\n",
        "sys/class/power_supply/BAT0/capacity": "101\n",
        "etc/os-release": "PRETTY_NAME=\n=\n",
        "system/build.prop": DIRECTORY,
    }
)

ALL = {
    "phone": PHONE,
    "readable-phone": READABLE_PHONE,
    "raspberry-pi-5": RASPBERRY_PI_5,
    "laptop": LAPTOP,
    "container": CONTAINER,
    "container-v1": CONTAINER_V1,
    "wsl2": WSL2,
    "empty": EMPTY,
    "nonsense": NONSENSE,
}
