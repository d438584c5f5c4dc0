"""scripts/check_layers.py finds what points the wrong way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def check(root: Path) -> tuple[int, str]:
    """Run the check on a tree; return its exit code and what it prints."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "check_layers.py"), str(root)],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_this_repository_passes() -> None:
    assert check(ROOT) == (0, "includes and imports point one way\n")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("core/base/a.h", '#include "formats/a.h"\n', "a.h:1: base may not include formats"),
        ("core/kernels/avx2/a.cc", '\n#include "ops/linear.h"\n', "kernels may not include ops"),
        ("core/bundle/a.cc", '#include "model/config.h"\n', "bundle may not include model"),
        ("core/ops/a.cc", '#include "bundle/store.h"\n', "ops may not include bundle"),
        ("core/ops/a.cc", '#include "../base/error.h"\n', "is not written from core/ on"),
        ("core/session/a.cc", '#include "pocketr1/pocketr1.h"\n', "may not include include"),
        ("core/attic/a.cc", '#include "base/error.h"\n', "'attic' is not in the table"),
    ],
)
def test_an_include_that_points_up_is_found(
    tmp_path: Path, name: str, text: str, said: str
) -> None:
    write(tmp_path, name, text)
    code, output = check(tmp_path)
    assert code == 1
    assert said in output


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("errors.py", "import pocketr1.cli\n", "errors.py:1: errors may not import cli"),
        ("engine/a.py", "from pocketr1.chat import Chat\n", "engine may not import chat"),
        ("engine/a.py", "from pocketr1 import chat\n", "engine may not import chat"),
        ("engine/a.py", "from ..chat import Chat\n", "engine may not import chat"),
        ("engine/a.py", "def f():\n    import pocketr1.cli.app\n", "a.py:2: engine may not import"),
        (
            "engine/a.py",
            "import importlib\nimportlib.import_module('pocketr1.compress')\n",
            "engine may not import compress",
        ),
        ("bundle/a.py", "from pocketr1 import Quantizer\n", "through the package itself"),
        ("attic.py", "import os\n", "'attic' is not in the table"),
    ],
)
def test_an_import_that_points_up_is_found(tmp_path: Path, name: str, text: str, said: str) -> None:
    write(tmp_path, f"src/pocketr1/{name}", text)
    code, output = check(tmp_path)
    assert code == 1
    assert said in output


@pytest.mark.parametrize(
    ("text", "module"),
    [
        ("import socket\n", "socket"),
        ("import http.server\n", "http"),
        ("import urllib.request\n", "urllib.request"),
        ("from urllib import request\n", "urllib.request"),
        ("def f():\n    from huggingface_hub import HfApi\n", "huggingface_hub"),
        ("import importlib\nimportlib.import_module('requests.sessions')\n", "requests"),
        ("if True:\n    import asyncio\n", "asyncio"),
    ],
)
def test_the_network_is_the_hub_s_alone(tmp_path: Path, text: str, module: str) -> None:
    write(tmp_path, "src/pocketr1/hub/a.py", text)
    write(tmp_path, "src/pocketr1/engine/b.py", "from urllib.parse import quote\n")
    assert check(tmp_path)[0] == 0
    for name in ("engine/a.py", "cli/a.py", "__init__.py"):
        write(tmp_path, f"src/pocketr1/{name}", text)
        code, output = check(tmp_path)
        assert code == 1
        assert f"imports {module}; only hub and server may use the network" in output
        (tmp_path / "src/pocketr1" / name).unlink()


def test_rooms_of_one_rank_may_not_form_a_circle(tmp_path: Path) -> None:
    write(tmp_path, "src/pocketr1/checkpoint/a.py", "import pocketr1.arch\n")
    assert check(tmp_path)[0] == 0
    write(tmp_path, "src/pocketr1/arch/a.py", "import pocketr1.checkpoint.a\n")
    code, output = check(tmp_path)
    assert code == 1
    assert "circle" in output


def test_what_points_down_is_allowed(tmp_path: Path) -> None:
    write(tmp_path, "core/session/a.cc", '#include <vector>\n#include "model/decoder.h"\n')
    write(tmp_path, "core/kernels/avx2/a.cc", '#include "kernels/table.h"\n')
    write(tmp_path, "src/pocketr1/cli/a.py", "from pocketr1 import __version__, compress\n")
    write(tmp_path, "src/pocketr1/__init__.py", "from pocketr1.cli import main\n")
    assert check(tmp_path)[0] == 0
