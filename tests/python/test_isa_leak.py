"""scripts/check_isa_leak.py finds instructions that older CPUs lack."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
COMPILER = shutil.which("g++")
ARM_COMPILER = shutil.which("aarch64-linux-gnu-g++")
pytestmark = pytest.mark.skipif(
    COMPILER is None or shutil.which("objdump") is None or platform.machine() != "x86_64",
    reason="needs g++ and objdump on x86-64",
)


def check(
    build: Path, name: str, source: str, *flags: str, compiler: str | None = COMPILER
) -> tuple[int, str]:
    """Compile one file into a build folder and return what the check says about it."""
    target = build / "CMakeFiles" / "pocketr1_core.dir" / f"{name}.o"
    target.parent.mkdir(parents=True)
    assert compiler is not None
    subprocess.run(
        [compiler, "-std=c++20", "-O3", "-x", "c++", "-", "-c", "-o", str(target), *flags],
        input=source,
        text=True,
        check=True,
    )
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "check_isa_leak.py"), str(build)],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


LOOP = "void add(float* a, const float* b) { for (int i = 0; i < 64; ++i) a[i] += b[i]; }"


def test_plain_code_passes(tmp_path: Path) -> None:
    code, output = check(tmp_path, "ops/add.cc", LOOP)
    assert code == 0, output


@pytest.mark.parametrize("flag", ["-mavx", "-mavx2", "-mavx512f"])
def test_wide_instructions_outside_their_folder_are_found(tmp_path: Path, flag: str) -> None:
    code, output = check(tmp_path, "ops/add.cc", LOOP, flag)
    assert code == 1
    assert "in add(float*, float const*)" in output


def test_wide_instructions_in_their_folder_pass(tmp_path: Path) -> None:
    code, output = check(tmp_path, "kernels/avx2/add.cc", LOOP, "-mavx2")
    assert code == 0, output


def test_a_weak_function_in_an_instruction_set_folder_is_found(tmp_path: Path) -> None:
    source = "inline __attribute__((noinline)) int twice(int a) { return a + a; }\n"
    source += "int four(int a) { return twice(twice(a)); }\n"
    code, output = check(tmp_path, "kernels/avx2/add.cc", source, "-mavx2")
    assert code == 1
    assert "weak symbol twice(int)" in output


# Four accumulators of what sdot sums, and an atomic.
ARM_LOOP = """
typedef signed char I8;
int dot(const I8* a, const I8* b) {
  int sum = 0;
  for (int i = 0; i < 4096; ++i) sum += a[i] * b[i];
  return sum;
}
void count(int* n) { __atomic_fetch_add(n, 1, __ATOMIC_RELAXED); }
"""


@pytest.mark.skipif(ARM_COMPILER is None, reason="needs g++-aarch64-linux-gnu")
@pytest.mark.parametrize(
    ("name", "flags", "wrong"),
    [
        ("ops/dot.cc", "-march=armv8-a", ""),
        ("ops/dot.cc", "-march=armv8.1-a", "in count(int*)"),
        ("ops/dot.cc", "-march=armv8.2-a+dotprod", "in dot(signed char const*"),
        ("kernels/neon_dotprod/dot.cc", "-march=armv8.2-a+dotprod", ""),
    ],
)
def test_what_older_arm_cpus_lack_is_found(
    name: str, flags: str, wrong: str, tmp_path: Path
) -> None:
    code, output = check(tmp_path, name, ARM_LOOP, flags, compiler=ARM_COMPILER)
    assert code == (wrong != ""), output
    assert wrong in output


def test_an_empty_build_folder_is_no_success(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "check_isa_leak.py"), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
