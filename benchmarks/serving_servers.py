"""Servers to be measured: how each is started, asked whether it is ready, and ended."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

from serving_client import fetch_json

__all__ = ["Server", "free_port", "llama_cpp", "ours", "running"]

_STARTING = 300.0  # seconds that a server may take to be ready


@dataclass(frozen=True)
class Server:
    """One server: its name in tables, its command line, and the fields its requests need.

    settings: what to print of it; url: set while it runs.
    """

    name: str
    command: tuple[str, ...]
    url: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


def free_port() -> int:
    """Return a port of the loopback interface that was free just now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def ours(model: str, threads: int, context: int, at_once: int, more: str = "") -> Server:
    """Return ours as ``pocketr1 serve`` starts it; more: further options.

    at_once: answers computed together. No prompt comes a second time, so that storing keys and
    values could only cost.
    """
    port = free_port()
    options = ["--parallel", str(at_once), "--max-context", str(context)]
    options += ["--threads", str(threads), "--kv-store", "off", *shlex.split(more)]
    command = [sys.executable, "-m", "pocketr1", "serve", model, "--port", str(port), "--json"]
    return Server(
        "pocketr1",
        (*command, *options),
        f"http://127.0.0.1:{port}",
        {"ignore_eos": True},
        {"options": " ".join(options)},
    )


def llama_cpp(tools: Path, model: Path, threads: int, context: int, at_once: int) -> Server:
    """Return llama.cpp's server: continuous batching, so many slots of that context each.

    It computes 128 tokens at a time, which suits it best on a CPU (`pocketr1 bench --against`
    measures it so too), and takes no more into a step, so that prompts hold up others least. Its
    prompt cache is off, as our store is.
    """
    port = free_port()
    options = ["-np", str(at_once), "-cb", "-c", str(at_once * context), "-b", "128", "-ub", "128"]
    options += ["-t", str(threads), "-tb", str(threads), "--cache-ram", "0", "--no-ui"]
    place = ["--host", "127.0.0.1", "--port", str(port)]
    return Server(
        "llama.cpp",
        (str(tools / "llama-server"), "-m", str(model), *options, *place),
        f"http://127.0.0.1:{port}",
        {"ignore_eos": True, "cache_prompt": False},
        {"options": " ".join(options), "model": model.name},
    )


@asynccontextmanager
async def running(server: Server, log: Path) -> AsyncIterator[Server]:
    """Start a server, wait until it is ready, and end it afterwards.

    What it stores lies beside its log.

    Raises SystemExit, with the end of its log, where it ends by itself or is never ready.
    """
    data = {"POCKETR1_DATA_DIR": str(log.with_suffix(".data").resolve())}
    with log.open("wb") as out:
        process = subprocess.Popen(
            server.command, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **data}
        )
    try:
        await _ready(server, process, log)
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.to_thread(process.wait, 30)
        except subprocess.TimeoutExpired:
            process.kill()


async def _ready(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    until = perf_counter() + _STARTING
    while perf_counter() < until and process.poll() is None:
        try:
            status, _ = await fetch_json(f"{server.url}/health")
        except (OSError, asyncio.TimeoutError):
            status = 0
        if status == 200:
            return
        await asyncio.sleep(0.1)
    end = log.read_text("utf-8", errors="replace")[-2000:]
    raise SystemExit(f"{server.name} is not ready: {shlex.join(server.command)}\n{end}")
