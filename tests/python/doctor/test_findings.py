"""What the doctor finds on devices whose ``/`` is a tree of files, and that none is its end."""

from __future__ import annotations

import json
from pathlib import Path

import doctor_devices as devices
import pytest
from doctor_devices import Device
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pocketr1.doctor import Diagnosis, Findings, advise, find
from pocketr1.doctor.kernels import choose_kernels

MB = 1 << 20


def examine(device: Device, directory: Path) -> Findings:
    return find(directory, root=device.write(directory), environment=device.environment)


def test_a_phone_under_termux_and_proot(tmp_path: Path) -> None:
    found = examine(devices.PHONE, tmp_path)
    system = found.system
    assert (system.android, system.termux, system.proot) == (True, True, "tracer")
    assert (system.android_version, system.chip) == ("14", "SM8550")
    assert system.device == "Xiaomi 2211133C"
    clusters = [(c.kind, c.name, c.cpus, c.max_mhz) for c in found.cpu.clusters]
    assert clusters == [
        ("prime", "Cortex-X3", (7,), 3187),
        ("big", "Cortex-A715", (3, 4), 2803),
        ("big", "Cortex-A710", (5, 6), 2803),
        ("little", "Cortex-A510", (0, 1, 2), 2016),
    ]
    assert (found.cpu.usable, found.cpu.fast, found.cpu.cores) == (8, 5, 8)
    assert found.cpu.architecture == "aarch64"
    assert found.kernels.unused == ("sve", "sve2")
    assert found.memory.zram == 8388604 * 1024
    assert found.memory.swap == 8192 * MB
    assert len(found.thermal.zones) == 2
    assert found.thermal.readable == 0
    assert found.battery is None
    assert found.load == 0.42


@pytest.mark.parametrize(
    ("change", "environment", "how"),
    [
        ({"proc/4711/comm": "gdb\n"}, {}, "kernel name"),
        ({"proc/self/status": "TracerPid:\t0\n"}, {}, "kernel name"),
        ({"proc/sys/kernel/osrelease": "5.15.0\n", "proc/4711/comm": ""}, {}, None),
        (
            {"proc/sys/kernel/osrelease": "5.15.0\n", "proc/4711/comm": ""},
            {"PROOT_TMP_DIR": "/tmp"},
            "environment",
        ),
    ],
)
def test_proot_shows_in_several_ways(
    change: dict[str, str], environment: dict[str, str], how: str | None, tmp_path: Path
) -> None:
    device = Device({**devices.PHONE.files, **change}, environment)
    assert examine(device, tmp_path).system.proot == how


def test_a_raspberry_pi(tmp_path: Path) -> None:
    found = examine(devices.RASPBERRY_PI_5, tmp_path)
    assert found.system.device == "Raspberry Pi 5 Model B Rev 1.0"
    assert not found.system.android
    (cluster,) = found.cpu.clusters
    assert (cluster.kind, cluster.name, cluster.cpus) == ("uniform", "Cortex-A76", (0, 1, 2, 3))
    assert found.cpu.fast == found.cpu.usable == 4
    assert found.thermal.hottest is not None
    assert found.thermal.hottest.celsius == 48.3
    assert (found.memory.swap, found.memory.zram) == (200 * MB, 0)


def test_a_laptop_with_performance_and_efficiency_cores(tmp_path: Path) -> None:
    found = examine(devices.LAPTOP, tmp_path)
    kinds = [(cluster.kind, len(cluster.cpus)) for cluster in found.cpu.clusters]
    assert kinds == [("performance", 8), ("efficiency", 8)]
    assert (found.cpu.logical, found.cpu.cores, found.cpu.fast) == (16, 12, 8)
    assert found.cpu.model == "12th Gen Intel(R) Core(TM) i7-1260P"
    assert found.cpu.last_cache_bytes == 18432 * 1024
    assert found.kernels.unused == ("avx-vnni",)
    assert found.system.device == "ThinkPad X1"
    assert found.battery is not None
    assert (found.battery.percent, found.battery.status) == (83, "Discharging")
    assert [zone.celsius for zone in found.thermal.zones] == [61.0, None]


def test_a_container_s_limits_count(tmp_path: Path) -> None:
    found = examine(devices.CONTAINER, tmp_path)
    assert found.system.container == "docker"
    assert (found.cpu.quota, found.cpu.usable) == (1.5, 2)
    assert found.cpu.allowed == tuple(range(8))  # those that are on
    assert found.memory.total == found.memory.cgroup_limit == 2 << 30
    assert found.memory.installed == 64000 * MB
    # What is used counts, but for page cache that is given back.
    assert found.memory.available == 2147483648 - (536870912 - 104857600)


def test_the_first_version_of_control_groups(tmp_path: Path) -> None:
    found = examine(devices.CONTAINER_V1, tmp_path)
    assert found.system.container == "docker"
    assert (found.cpu.quota, found.cpu.usable) == (2.0, 2)
    assert found.memory.total == 4 << 30
    assert found.memory.available == 4294967296 - (1073741824 - 73741824)


def test_the_smallest_limit_on_the_way_up_counts(tmp_path: Path) -> None:
    changed = {
        "proc/self/cgroup": "0::/user.slice/app.scope\n",
        "sys/fs/cgroup/user.slice/app.scope/memory.max": "max\n",
        "sys/fs/cgroup/user.slice/memory.max": "1073741824\n",
        "sys/fs/cgroup/user.slice/app.scope/cpu.max": "max 100000\n",
    }
    found = examine(Device({**devices.CONTAINER.files, **changed}), tmp_path)
    assert found.memory.cgroup_limit == 1 << 30
    assert found.cpu.quota == 1.5


def test_no_limit_is_no_limit(tmp_path: Path) -> None:
    changed = {"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}
    found = examine(Device({**devices.CONTAINER_V1.files, **changed}), tmp_path)
    assert found.memory.cgroup_limit is None
    assert found.memory.total == 64000 * MB


def test_wsl(tmp_path: Path) -> None:
    found = examine(devices.WSL2, tmp_path)
    assert (found.system.wsl, found.system.distribution) == (2, "Ubuntu 22.04.4 LTS")
    assert found.system.container is None
    assert found.cpu.cores == 2


@pytest.mark.parametrize("device", [devices.EMPTY, devices.NONSENSE], ids=["empty", "nonsense"])
def test_what_cannot_be_known_is_unknown(device: Device, tmp_path: Path) -> None:
    found = examine(device, tmp_path)
    assert found.memory.total is found.memory.available is None
    assert found.cpu.model is None
    assert found.cpu.quota is None
    assert found.load is None
    assert found.system.device is None
    assert found.thermal.readable == 0
    assert found.storage.free is not None  # asked of the real system


@pytest.mark.parametrize("name", devices.ALL)
def test_the_document_is_plain_json(name: str, tmp_path: Path) -> None:
    found = examine(devices.ALL[name], tmp_path)
    tree = Diagnosis(found, advise(found)).to_dict()
    assert json.loads(json.dumps(tree, allow_nan=False)).keys() == tree.keys()


_FILES = sorted({name for device in devices.ALL.values() for name in device.files})


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    files=st.dictionaries(
        st.sampled_from(_FILES),
        st.one_of(
            st.binary(max_size=40),
            st.text("0123456789-,: \nmaxKkB/", max_size=40).map(str.encode),
            st.integers().map(lambda value: str(value).encode()),
        ),
    )
)
def test_no_content_of_any_file_is_too_much(
    files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever the kernel's files say, there is a diagnosis and it is JSON."""
    directory = tmp_path_factory.mktemp("root")
    texts = {name: data.decode("utf-8", "surrogateescape") for name, data in files.items()}
    for name in list(texts):  # a file cannot lie below a file
        if any(other.startswith(f"{name}/") for other in texts):
            del texts[name]
    found = examine(Device(texts), directory)
    json.dumps(Diagnosis(found, advise(found)).to_dict(), allow_nan=False)


def test_the_best_runnable_kernels_are_chosen_unless_forced(tmp_path: Path) -> None:
    cpu = examine(devices.LAPTOP, tmp_path).cpu
    isas = ["scalar", "avx2"]
    assert choose_kernels(cpu, isas, {}).chosen == "avx2"
    assert choose_kernels(cpu, isas, {"POCKETR1_ISA": "scalar"}).chosen == "scalar"
    wrong = choose_kernels(cpu, isas, {"POCKETR1_ISA": "avx512_vnni"})
    assert (wrong.forced, wrong.chosen) == ("avx512_vnni", None)


def test_a_directory_that_is_not_there_yet_counts_as_its_parent(tmp_path: Path) -> None:
    found = find(tmp_path / "not" / "yet", root=devices.EMPTY.write(tmp_path), environment={})
    assert found.storage.path == str(tmp_path)


def test_the_file_system_is_that_of_the_innermost_mount(tmp_path: Path) -> None:
    inner = tmp_path / "my models"
    inner.mkdir()
    escaped = str(inner).replace(" ", "\\040")
    mounts = f"/dev/root / ext4 rw 0 0\n/dev/sda1 {escaped} f2fs rw 0 0\n/dev/x /mnt xfs rw 0 0\n"
    root = Device({"proc/mounts": mounts}).write(tmp_path / "root")
    assert find(inner, root=root, environment={}).storage.filesystem == "f2fs"
    assert find(tmp_path, root=root, environment={}).storage.filesystem == "ext4"
