"""Checks that includes and imports point one way, and that one room alone knows the network.

    python scripts/check_layers.py [ROOT]

Prints each violation as ``file:line: what`` and exits with 1 if there is one.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

# Which other rooms of core/ a room may include.
_KERNELS = {"base", "formats"}
_OPS = {"base", "formats", "kernels"}
_MODEL = {"base", "formats", "kernels", "ops", "bundle"}
INCLUDES: dict[str, set[str]] = {
    "base": set(),
    "formats": {"base"},
    "kernels": _KERNELS,
    "quantize": _OPS,
    "bundle": _OPS,
    "ops": _OPS,
    "model": _MODEL,
    "session": _MODEL | {"model"},
    "include": _MODEL | {"model", "session"},
    "bindings": _MODEL | {"model", "session", "quantize", "include"},
}

# Rooms of src/pocketr1/ from the lowest rank up. A room imports from lower ranks; rooms of one rank
# may import each other as long as no circle comes of it.
RANKS: list[set[str]] = [
    {"errors", "messages", "machine"},
    {"_core"},
    {"bundle", "arch", "checkpoint", "hub"},
    {"engine"},
    {"chat"},
    {"measure"},
    {"compress"},
    {"vision", "learn", "bench", "doctor", "evaluate", "export"},
    {"server", "assistants", "fleet"},
    {"cli"},
]
RANK = {room: rank for rank, rooms in enumerate(RANKS) for room in rooms}
# What a room may take from the package itself, which otherwise sees every room.
FACADE_NAMES = {"__version__"}
FACADE = {"__init__", "__main__"}

# The rooms that may use the network (hub asks, server answers), and the modules that do.
NETWORK_ROOMS = {"hub", "server"}
NETWORK = {
    *("socket", "socketserver", "ssl", "select", "selectors", "asyncio", "http", "xmlrpc"),
    *("urllib.request", "urllib.error", "ftplib", "imaplib", "poplib", "smtplib", "webbrowser"),
    *(
        "huggingface_hub",
        "hf_transfer",
        "hf_xet",
        "modelscope",
        "modelscope_hub",
        "urllib3",
        "httpx",
        "requests",
    ),
    *("aiohttp", "httpcore", "pycurl", "websocket", "websockets", "grpc", "fsspec", "boto3"),
}

_INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')


def check_includes(root: Path) -> Iterator[str]:
    """Yield the violations in ``root``/core."""
    core = root / "core"
    for path in sorted(core.rglob("*")):
        if path.suffix not in {".h", ".cc", ".inc"}:
            continue
        room = path.relative_to(core).parts[0]
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            match = _INCLUDE.match(line)
            if match is None:
                continue
            target = match[1].split("/")[0]
            target = "include" if target == "pocketr1" else target
            where = f"{path.relative_to(root)}:{number}"
            if room not in INCLUDES:
                yield f"{where}: the room {room!r} is not in the table of scripts/check_layers.py"
            elif ".." in match[1].split("/") or "/" not in match[1]:
                yield f'{where}: "{match[1]}" is not written from core/ on'
            elif target != room and target not in INCLUDES[room]:
                yield f"{where}: {room} may not include {target}"


def _imports(path: Path, package: list[str]) -> Iterator[tuple[int, str, list[str]]]:
    """Yield (line, module, names) of every import in a file, at any depth, also by name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, []
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield node.lineno, module, [alias.name for alias in node.names]
        elif isinstance(node, ast.Call) and node.args:
            function = ast.unparse(node.func).split(".")[-1]
            name = node.args[0]
            if (
                function in {"import_module", "__import__"}
                and isinstance(name, ast.Constant)
                and isinstance(name.value, str)
            ):
                module = name.value
                yield node.lineno, f"pocketr1{module}" if module.startswith(".") else module, []


def check_imports(root: Path) -> Iterator[str]:
    """Yield the violations in ``root``/src/pocketr1."""
    package_root = root / "src" / "pocketr1"
    same_rank: dict[str, set[str]] = {}
    for path in sorted(package_root.rglob("*.py")):
        parts = path.relative_to(package_root).with_suffix("").parts
        room = parts[0]
        if room in FACADE:
            continue
        relative = path.relative_to(root)
        if room not in RANK:
            yield f"{relative}:1: the room {room!r} is not in the table of scripts/check_layers.py"
            continue
        for number, module, names in _imports(path, ["pocketr1", *parts[:-1]]):
            segments = module.split(".")
            if segments[0] != "pocketr1":
                continue
            targets = [segments[1]] if len(segments) > 1 else names or ["the package"]
            for target in targets:
                if target == room or (len(segments) == 1 and target in FACADE_NAMES):
                    continue
                if target not in RANK:
                    yield f"{relative}:{number}: {room} imports {target} through the package itself"
                elif RANK[target] > RANK[room]:
                    yield f"{relative}:{number}: {room} may not import {target}"
                elif RANK[target] == RANK[room]:
                    same_rank.setdefault(room, set()).add(target)
    try:
        TopologicalSorter(same_rank).prepare()
    except CycleError as error:
        yield f"src/pocketr1: rooms import each other in a circle: {' -> '.join(error.args[1])}"


def check_network(root: Path) -> Iterator[str]:
    """Yield imports of the network in ``root``/src/pocketr1 outside of the rooms that may."""
    package_root = root / "src" / "pocketr1"
    for path in sorted(package_root.rglob("*.py")):
        parts = path.relative_to(package_root).with_suffix("").parts
        if parts[0] in NETWORK_ROOMS:
            continue
        for number, module, names in _imports(path, ["pocketr1", *parts[:-1]]):
            segments = module.split(".")
            prefixes = {".".join(segments[: n + 1]) for n in range(len(segments))}
            found = NETWORK & (prefixes | {f"{module}.{name}" for name in names})
            for name in sorted(found):
                where = f"{path.relative_to(root)}:{number}"
                yield f"{where}: {parts[0]} imports {name}; only hub and server may use the network"


def main() -> int:
    """Check the repository and print what is wrong."""
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent)
    violations = [*check_includes(root), *check_imports(root), *check_network(root)]
    print("\n".join(violations) or "includes and imports point one way")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
