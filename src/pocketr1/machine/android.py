"""Whether this is a phone."""

from __future__ import annotations

from collections.abc import Mapping

from pocketr1.machine.root import Root

__all__ = ["is_android"]


def is_android(root: Root, environment: Mapping[str, str]) -> bool:
    """Whether this is Android, Termux included: its variable, or its properties' file."""
    return "ANDROID_ROOT" in environment or root.exists("system/build.prop")
