"""What a governor costs: a step with nothing due, and one look at each kind of sensor.

    python benchmarks/governor.py

The 90 thermal zones are files in a temporary directory, so the figure is that of reading files; a
driver that asks a slow bus takes longer.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from pocketr1.bench.machine import describe_machine
from pocketr1.engine import Care, Governor
from pocketr1.engine.care import MachineSensors
from pocketr1.machine import Root

ZONES = 90


def microseconds(work: Callable[[], object], times: int) -> float:
    """Return what one call takes, the least of five rounds."""
    least = float("inf")
    for _ in range(5):
        began = perf_counter()
        for _ in range(times):
            work()
        least = min(least, (perf_counter() - began) / times)
    return round(1e6 * least, 2)


def write_phone(directory: Path) -> Root:
    """Write thermal zones and power supplies as a phone has them."""
    files = {f"class/thermal/thermal_zone{n}/type": f"cpu-{n}" for n in range(ZONES)}
    files |= {f"class/thermal/thermal_zone{n}/temp": "51300" for n in range(ZONES)}
    for name, kind in (("battery", "Battery"), ("ac", "Mains"), ("usb", "USB")):
        files[f"class/power_supply/{name}/type"] = kind
        files[f"class/power_supply/{name}/online"] = "0"
    for name, text in files.items():
        path = directory / "sys" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n", encoding="utf-8")
    return Root(directory)


def main() -> None:
    """Measure and print one JSON document."""
    governor = Governor(Care(max_temp=110, on_battery="full"))
    governor.tend()
    with tempfile.TemporaryDirectory() as directory:
        phone = MachineSensors(write_phone(Path(directory)))
        figures = {
            "nothing_due_us": microseconds(governor.tend, 10_000),
            "memory_us": microseconds(MachineSensors().headroom, 100),
            "power_us": microseconds(phone.power, 100),
            f"temperature_of_{ZONES}_zones_us": microseconds(phone.temperature, 20),
        }
    print(json.dumps({**figures, "machine": describe_machine().cpu}, indent=2))


if __name__ == "__main__":
    main()
