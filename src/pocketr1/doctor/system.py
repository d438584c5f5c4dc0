"""What this runs on: Android, Termux, proot, WSL, a container, or a system of its own."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from pocketr1.machine import Root, is_android

__all__ = ["System", "find_system"]

_SECONDS = 2.0  # for getprop, which answers at once or not at all
_CONTAINERS = ("kubepods", "docker", "containerd", "libpod", "lxc")


@dataclass(frozen=True)
class System:
    """``None`` is unknown, or no."""

    device: str | None  # "Raspberry Pi 5 Model B Rev 1.0", "Xiaomi 2211133C"
    chip: str | None  # "SM8550"
    distribution: str | None  # "Debian GNU/Linux 12 (bookworm)"
    kernel: str | None
    android: bool
    android_version: str | None
    termux: bool
    proot: str | None  # how it shows: "tracer", "kernel name" or "environment"
    wsl: int | None  # 1 or 2
    container: str | None  # "docker", "kubepods", …


def find_system(root: Root, environment: Mapping[str, str]) -> System:
    """Read what tells systems apart.

    - Android: ``ANDROID_ROOT`` is set, or there is a ``/system/build.prop``. Its properties come
      from ``getprop``, or from that file, which apps may mostly not read.
    - Termux: ``PREFIX`` lies in com.termux, ``TERMUX_VERSION`` is set, or its directory is there.
    - proot runs every program under ptrace: the tracer that ``/proc/self/status`` names is called
      proot. Where that is hidden, PRoot-Distro's made-up kernel name or proot's own variables tell.
    - WSL: the kernel's name says microsoft; version 1's has no ``WSL2`` in it.
    - A container: the marks that Docker, Podman, systemd and Kubernetes leave.
    """
    kernel = root.text("proc/sys/kernel/osrelease")
    version = root.text("proc/version") or ""
    android = is_android(root, environment)
    properties = _properties(root) if android else {}
    return System(
        device=_device(root, properties),
        chip=properties.get("ro.soc.model") or properties.get("ro.board.platform") or None,
        distribution=_distribution(root),
        kernel=kernel,
        android=android,
        android_version=properties.get("ro.build.version.release") or None,
        termux=(
            "com.termux" in environment.get("PREFIX", "")
            or "TERMUX_VERSION" in environment
            or root.exists("data/data/com.termux/files/usr")
        ),
        proot=_proot(root, environment, f"{kernel} {version}"),
        wsl=_wsl(f"{kernel} {version}"),
        container=_container(root, environment),
    )


def _device(root: Root, properties: Mapping[str, str]) -> str | None:
    maker = properties.get("ro.product.manufacturer", "")
    model = properties.get("ro.product.model", "")
    return (
        f"{maker} {model}".strip()
        or root.text("proc/device-tree/model")
        or root.text("sys/firmware/devicetree/base/model")
        or root.text("sys/class/dmi/id/product_name")
    )


def _distribution(root: Root) -> str | None:
    keys = root.fields("etc/os-release", "=") or root.fields("usr/lib/os-release", "=")
    return (keys.get("PRETTY_NAME") or keys.get("NAME") or "").strip("\"'") or None


def _proot(root: Root, environment: Mapping[str, str], kernel: str) -> str | None:
    tracer = root.fields("proc/self/status").get("TracerPid", "0")
    if tracer != "0" and tracer.isdecimal():
        name = root.text(f"proc/{tracer}/comm") or root.text(f"proc/{tracer}/cmdline") or ""
        if "proot" in name.lower():
            return "tracer"
    if "proot" in kernel.lower():
        return "kernel name"
    if any(name.startswith("PROOT_") for name in environment):
        return "environment"
    return None


def _wsl(kernel: str) -> int | None:
    if "microsoft" not in kernel.lower():
        return None
    return 2 if "wsl2" in kernel.lower() or "microsoft-standard" in kernel.lower() else 1


def _container(root: Root, environment: Mapping[str, str]) -> str | None:
    if "KUBERNETES_SERVICE_HOST" in environment:
        return "kubernetes"
    for mark, name in ((".dockerenv", "docker"), ("run/.containerenv", "podman")):
        if root.exists(mark):
            return name
    named = root.text("run/systemd/container") or environment.get("container")
    if named:
        return named
    groups = root.text("proc/1/cgroup") or ""
    return next((name for name in _CONTAINERS if f"/{name}" in groups), None)


def _properties(root: Root) -> dict[str, str]:
    """Return Android's properties; ``getprop`` prints them as ``[key]: [value]``."""
    if root.is_real:
        program = shutil.which("getprop") or "/system/bin/getprop"
        try:
            done = subprocess.run(
                [program],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_SECONDS,
                check=False,
            )
        except (OSError, subprocess.SubprocessError):
            pass
        else:
            rows = (line.partition("]: [") for line in done.stdout.splitlines())
            found = {key.lstrip("["): value.rstrip("]") for key, middle, value in rows if middle}
            if found:
                return found
    return root.fields("system/build.prop", "=")
