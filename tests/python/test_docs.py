"""The code blocks of README and guide run, in the order in which a reader meets them.

Blocks marked ``bash`` and ``python`` run page by page in one temporary directory that holds a small
checkpoint, ``checkpoint/``, with random weights. Blocks marked ``console`` are transcripts, and
blocks that cannot run here (they install, or need a large model) are marked ``sh``. A page whose
blocks are, to the letter, those of its twin in the other language runs once.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pocketr1 import messages

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", ROOT / "README.zh-CN.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!\w+:)([^)#\s]+)(?:#[^)]*)?\)")


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return (language, text) of the blocks of a page that are to run."""
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [(language, text) for language, text in found if language in {"bash", "python"}]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the checkpoint that the pages speak of."""
    path = tmp_path_factory.mktemp("docs") / "checkpoint"
    script = ROOT / "benchmarks" / "random_checkpoint.py"
    subprocess.run([sys.executable, str(script), "tiny-random", str(path)], check=True)
    return path


def to_run() -> list[Path]:
    """Return the pages to run: of those with the very same blocks, the first."""
    found: dict[tuple[tuple[str, str], ...], Path] = {}
    for page in PAGES:
        if blocks(page):
            found.setdefault(tuple(blocks(page)), page)
    return list(found.values())


@pytest.mark.parametrize("page", to_run(), ids=lambda page: str(page.relative_to(ROOT)))
def test_code_blocks_run(page: Path, checkpoint: Path, tmp_path: Path) -> None:
    shutil.copytree(checkpoint, tmp_path / "checkpoint")
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "LC_ALL": "zh_CN.UTF-8" if "zh" in str(page.relative_to(ROOT)) else "C.UTF-8",
        "PYTHONUTF8": "1",
    }
    for language, text in blocks(page):
        command = (
            ["bash", "-euo", "pipefail", "-c"] if language == "bash" else [sys.executable, "-c"]
        )
        done = subprocess.run(
            [*command, text],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", ["docs/guide/troubleshooting.md", "docs/zh/故障排查.md"])
def test_error_codes_on_the_page_exist(page: str) -> None:
    rows = re.findall(r"^\| (`.*?) \|", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    codes = {code for row in rows for code in re.findall(r"`([a-z-]+)`", row)}
    assert len(codes) > 15
    assert codes <= messages.CATALOG.keys()
