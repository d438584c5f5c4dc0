"""Helpers for the tests of compression: killing a job, comparing what it made."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pocketr1.compress import Quantizer

CHANGES = ("open", "write", "fsync", "ftruncate", "replace", "rename", "unlink", "rmdir", "mkdir")


def files(directory: Path) -> dict[str, bytes]:
    """Return every file below a directory, by relative name."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def kill_after(count: int, work: Callable[[], object]) -> bool:
    """Run ``work`` in a child that kills itself (SIGKILL) at its ``count``-th change to the disk.

    A write is cut in the middle. Returns whether the child was killed; False: it was done before.
    """
    child = os.fork()
    if child == 0:
        left = count

        def dying(name: str, change: Callable[..., Any]) -> Callable[..., Any]:
            def wrapped(*args: Any, **options: Any) -> Any:
                nonlocal left
                if name == "open" and not args[1] & (os.O_WRONLY | os.O_RDWR):
                    return change(*args, **options)
                left -= 1
                if left == 0:
                    if name == "write":
                        change(args[0], memoryview(args[1])[: len(args[1]) // 2])
                    os.kill(os.getpid(), signal.SIGKILL)
                return change(*args, **options)

            return wrapped

        for name in CHANGES:
            setattr(os, name, dying(name, getattr(os, name)))
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
    return os.WIFSIGNALED(status)


def compress(source: Path, output: Path, **options: Any) -> Any:
    """Compress with two threads and small groups."""
    return Quantizer(
        source, output_path=output, **{"bits": 4, "group_size": 32, "threads": 2, **options}
    ).run()


def bf16(data: bytes, shape: tuple[int, ...]) -> np.ndarray:
    """The float32 values of BF16 bytes."""
    bits = np.frombuffer(data, np.uint16).astype(np.uint32) << 16
    return bits.view(np.float32).reshape(shape)
