"""What scripts/lib.sh decides before it builds."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"

if not SCRIPTS.is_dir():
    pytest.skip("the source distribution comes without scripts/", allow_module_level=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository of scripts/lib.sh alone."""
    (tmp_path / "scripts").mkdir()
    shutil.copyfile(SCRIPTS / "lib.sh", tmp_path / "scripts" / "lib.sh")
    return tmp_path


def bash(root: Path, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", f"source scripts/lib.sh; {script}"],
        cwd=root,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("variable", ["CC", "CXX"])
def test_a_compiler_that_is_not_there_is_named_at_once(root: Path, variable: str) -> None:
    done = bash(root, "toolchain", **{variable: "no-such-compiler -m64"})
    assert done.returncode == 1
    assert f"{variable}=no-such-compiler -m64" in done.stdout


@pytest.mark.parametrize(
    ("kilobytes", "expected"),
    [(64_000_000, 8), (2_900_000, 4), (1_400_000, 2), (300_000, 1), (None, 8)],
)
def test_little_memory_means_fewer_compilers_at_a_time(
    root: Path, kilobytes: int | None, expected: int
) -> None:
    meminfo = root / "meminfo"
    lines = "" if kilobytes is None else f"MemAvailable:   {kilobytes} kB\n"
    meminfo.write_text(f"MemTotal:   99999999 kB\n{lines}")
    assert bash(root, "jobs=8; build_jobs meminfo").stdout == f"{expected}\n"
