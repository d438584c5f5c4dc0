"""scripts/check_repository.py finds what breaks a rule of the repository."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def check(root: Path) -> tuple[int, str]:
    """Run the check on a tree; return its exit code and what it prints."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "check_repository.py"), str(root)],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_this_repository_passes() -> None:
    assert check(ROOT) == (0, "the rules of the repository hold\n")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.md", "see https://py" + "pi.org/project\n", "a.md:1: names a package registry"),
        ("a.py", "x = 1\npath = '/wor" + "k/main'\n", "a.py:2: names a path"),
        ("a.py", "# TO" + "DO\n", "a.py:1: leaves work undone"),
        ("tests/golden/make.py", "import pocketr1\n", "may not import pocketr1"),
        ("tests/golden/make.py", "def f():\n    from pocketr1.arch import x\n", "make.py:2:"),
        ("core/kernels/avx2/a.cc", "#include <algorithm>\n", "<algorithm> may hold inline code"),
        ("core/quantize/avx2/a.cc", "#include <vector>\n", "<vector> may hold inline code"),
        ("src/a.py", "x = 1\n" * 601, "longer than 600 lines"),
    ],
)
def test_a_broken_rule_is_found(tmp_path: Path, name: str, text: str, said: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    code, output = check(tmp_path)
    assert code == 1
    assert said in output


def test_what_keeps_the_rules_passes(tmp_path: Path) -> None:
    path = tmp_path / "core/kernels/avx2/a.cc"
    path.parent.mkdir(parents=True)
    path.write_text('#include <immintrin.h>\n\n#include "formats/a.h"\n', encoding="utf-8")
    assert check(tmp_path)[0] == 0
