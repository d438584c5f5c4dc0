"""The network is touched by ``pocketr1.hub`` alone, and that is loaded by the command ``pull``."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pocketr1

SOURCE = Path(pocketr1.__file__).parent
NETWORK = {
    "asyncio",
    "ftplib",
    "http",
    "httpx",
    "huggingface_hub",
    "modelscope",
    "modelscope_hub",
    "requests",
    "smtplib",
    "socket",
    "socketserver",
    "ssl",
    "urllib",
    "urllib3",
    "xmlrpc",
}
HARMLESS = {"urllib.parse"}


def imports(path: Path) -> Iterator[str]:
    """Every module a file imports, at any depth."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_only_the_hub_room_imports_what_reaches_the_network() -> None:
    users = {
        path.relative_to(SOURCE).parts[0]
        for path in SOURCE.rglob("*.py")
        for module in imports(path)
        if module.split(".")[0] in NETWORK and module not in HARMLESS
    }
    assert users == {"hub"}


def test_only_the_pull_command_imports_the_hub_room() -> None:
    users = {
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*.py")
        for module in imports(path)
        if module.startswith("pocketr1.hub") and path.parent.name != "hub"
    }
    assert users == {"cli/pull.py"}


def test_other_commands_do_not_load_it() -> None:
    code = (
        "import sys\nfrom pocketr1.cli.app import main\nmain(['inspect', 'nothing'])\n"
        "print(sorted({'pocketr1.hub', 'huggingface_hub'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr
