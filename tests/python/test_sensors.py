"""Temperatures, power and memory of machines whose ``/`` is a tree of files."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import doctor_devices as devices
import pytest
from doctor_devices import Device

from pocketr1.machine import (
    Battery,
    Power,
    Root,
    Thermal,
    ThermalZone,
    find_headroom,
    find_power,
    find_thermal,
    watched,
)
from pocketr1.machine.pressure import memory_stall
from pocketr1.machine.process import anonymous_bytes
from pocketr1.machine.thermal import degrees

MB = 1 << 20
SUPPLY = "sys/class/power_supply"


def changed(device: Device, files: dict[str, str], directory: Path) -> Root:
    return replace(device, files={**device.files, **files}).write(directory)


# Temperatures


@pytest.mark.parametrize(
    ("value", "celsius"),
    [
        (41200, 41.2),
        (1000, 1.0),
        (345, 34.5),
        (126, 12.6),
        (125, None),
        (58, 58.0),
        (1, 1.0),
        (0, None),
        (-1, None),
        (-273000, None),
        (125000, None),
        (999999, None),
        (2**31 - 1, None),
        (None, None),
    ],
)
def test_a_number_is_thousandths_tenths_or_degrees_or_nonsense(
    value: int | None, celsius: float | None
) -> None:
    assert degrees(value) == celsius


def test_every_zone_of_a_phone_is_read_in_its_unit(tmp_path: Path) -> None:
    zones = find_thermal(devices.READABLE_PHONE.write(tmp_path)).zones
    assert [zone.celsius for zone in zones] == [57.8, None, 41.2, 39.0, 34.5, None, None, None]


def test_the_skin_counts_before_the_chip(tmp_path: Path) -> None:
    thermal = find_thermal(devices.READABLE_PHONE.write(tmp_path))
    assert thermal.hottest == ThermalZone("cpu-0-0-usr", 57.8)
    assert watched(thermal, None) == ThermalZone("skin-msm-therm-usr", 41.2)


@pytest.mark.parametrize(
    ("zones", "name"),
    [
        ({"VIRTUAL-SKIN": 40.0, "BIG": 80.0}, "VIRTUAL-SKIN"),
        ({"quiet-therm": 40.0, "soc_max": 90.0}, "quiet-therm"),
        ({"mtktscpu": 70.0, "mtktspa": 75.0, "mtktsbattery": 33.0}, "mtktscpu"),
        ({"BIG": 70.0, "LITTLE": 60.0, "ISP": 90.0}, "BIG"),
        ({"acpitz": 27.8, "x86_pkg_temp": 61.0, "iwlwifi_1": 95.0}, "x86_pkg_temp"),
        ({"pa-therm": 44.0, "battery": 50.0}, "pa-therm"),
        ({"battery": 36.0}, "battery"),
        ({}, None),
    ],
)
def test_which_zone_a_limit_is_held_against(zones: dict[str, float], name: str | None) -> None:
    thermal = Thermal(tuple(ThermalZone(kind, celsius) for kind, celsius in zones.items()))
    zone = watched(thermal, None)
    assert (None if zone is None else zone.name) == name


def test_the_battery_s_own_sensor_stands_in_for_zones(tmp_path: Path) -> None:
    files = {f"{SUPPLY}/battery/type": "Battery\n", f"{SUPPLY}/battery/temp": "412\n"}
    root = changed(devices.PHONE, files, tmp_path)  # its zones may not be read
    zone = watched(find_thermal(root), find_power(root).battery)
    assert zone == ThermalZone("battery", 41.2)


@pytest.mark.parametrize("device", [devices.EMPTY, devices.NONSENSE, devices.PHONE])
def test_without_a_readable_sensor_there_is_none(device: Device, tmp_path: Path) -> None:
    root = device.write(tmp_path)
    assert watched(find_thermal(root), find_power(root).battery) is None


# Power


def test_a_phone_on_its_battery_and_at_a_charger(tmp_path: Path) -> None:
    power = find_power(devices.READABLE_PHONE.write(tmp_path / "battery"))
    assert power == Power(Battery(64, "Discharging", 34.5), plugged=False)
    assert power.on_battery is True
    charging = {f"{SUPPLY}/usb/online": "1\n", f"{SUPPLY}/battery/status": "Charging\n"}
    power = find_power(changed(devices.READABLE_PHONE, charging, tmp_path / "usb"))
    assert (power.plugged, power.on_battery) == (True, False)


@pytest.mark.parametrize(
    ("files", "on_battery"),
    [
        ({"BAT0/type": "Battery", "BAT0/status": "Discharging"}, True),
        ({"BAT0/type": "Battery", "BAT0/status": "Charging"}, False),
        ({"BAT0/type": "Battery", "BAT0/status": "Not charging"}, False),
        ({"BAT0/type": "Battery", "BAT0/status": "Full"}, False),
        ({"BAT0/type": "Battery", "BAT0/status": "Unknown"}, None),
        ({"BAT0/type": "Battery"}, None),
        ({"BAT0/type": "Battery", "AC/type": "Mains", "AC/online": "0"}, True),
        ({"BAT0/type": "Battery", "AC/type": "Mains", "AC/online": "1"}, False),
        ({"BAT0/type": "Battery", "AC/type": "Mains", "AC/online": "x"}, None),
        ({"AC/type": "Mains", "AC/online": "0"}, None),
        ({"AC/type": "Mains", "AC/online": "1"}, None),
        # A mouse has a battery too.
        ({"hid-1/type": "Battery", "hid-1/scope": "Device", "hid-1/status": "Discharging"}, None),
        ({}, None),
    ],
)
def test_whether_the_battery_feeds_the_machine(
    files: dict[str, str], on_battery: bool | None, tmp_path: Path
) -> None:
    root = Device({f"{SUPPLY}/{name}": f"{text}\n" for name, text in files.items()}).write(tmp_path)
    assert find_power(root).on_battery is on_battery


def test_two_batteries_are_one(tmp_path: Path) -> None:
    files = {
        "BAT0/type": "Battery",
        "BAT0/capacity": "10",
        "BAT0/status": "Unknown",
        "BAT1/type": "Battery",
        "BAT1/capacity": "71",
        "BAT1/status": "Discharging",
    }
    root = Device({f"{SUPPLY}/{name}": f"{text}\n" for name, text in files.items()}).write(tmp_path)
    assert find_power(root).battery == Battery(40, "Discharging", None)


# Memory


def test_the_headroom_of_a_phone(tmp_path: Path) -> None:
    headroom = find_headroom(devices.READABLE_PHONE.write(tmp_path))
    assert (headroom.machine, headroom.group) == (2900 * MB, None)
    assert headroom.stall == 0.004


@pytest.mark.parametrize(
    ("text", "stall"),
    [
        ("some avg10=12.50 avg60=1.00 avg300=0.00 total=1\nfull avg10=3.00 total=0\n", 0.125),
        ("full avg10=3.00 avg60=0.00 avg300=0.00 total=0\n", None),
        ("some avg10=nan\n", None),
        ("some avg10=101\n", None),
        ("some\n", None),
        (None, None),
    ],
)
def test_stalls_are_the_kernel_s_some_of_ten_seconds(
    text: str | None, stall: float | None, tmp_path: Path
) -> None:
    files = {} if text is None else {"proc/pressure/memory": text}
    assert memory_stall(Device(files).write(tmp_path)) == stall


@pytest.mark.parametrize("device", [devices.EMPTY, devices.NONSENSE])
def test_an_unknown_headroom_is_unknown(device: Device, tmp_path: Path) -> None:
    assert not find_headroom(device.write(tmp_path)).known


@pytest.mark.parametrize(
    ("device", "key", "limit"),
    [(devices.CONTAINER, "anon", 2 << 30), (devices.CONTAINER_V1, "total_rss", 4 << 30)],
)
def test_a_group_counts_where_others_are_in_it(
    device: Device, key: str, limit: int, tmp_path: Path
) -> None:
    """What we hold ourselves is no pressure from others, however little it leaves."""
    stat = next(name for name in device.files if name.endswith("memory.stat"))
    for own, seen in ((100, True), (390, False)):
        files = {
            "proc/self/status": f"RssAnon:\t{own * 1024} kB\n",
            stat: f"{key} {400 * MB}\ninactive_file 0\ntotal_inactive_file 0\n",
        }
        root = changed(device, files, tmp_path / str(own))
        group = find_headroom(root).group
        assert (group is not None) is seen
        if group is not None:
            assert (group.limit, group.anonymous) == (limit, 400 * MB)


def test_the_real_machine_is_read_too() -> None:
    """Against the process's own memory as the kernel's other file has it."""
    if not Path("/proc/self/smaps_rollup").exists():
        pytest.skip("no /proc/self/smaps_rollup")
    code = (
        "from pocketr1.machine.process import anonymous_bytes\n"
        "from pocketr1.machine import Root\n"
        "block = bytearray(b'x') * (64 << 20)\n"
        "print(anonymous_bytes(Root()))\n"
        "print(Root().fields('proc/self/smaps_rollup')['Anonymous'].split()[0])\n"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ}
    )
    ours, kernels = out.stdout.split()
    assert int(ours) > 64 * MB
    assert abs(int(ours) - 1024 * int(kernels)) < 8 * MB
    assert anonymous_bytes(Root("/nowhere")) is None
