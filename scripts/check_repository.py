"""Checks rules of the repository that no other tool knows.

    python scripts/check_repository.py [ROOT]

Prints each violation as ``file:line: what`` and exits with 1 if there is one.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

# Files compiled for one instruction set include nothing whose inline code could be compiled with
# that set's flags and then be the copy the linker keeps for everyone.
_KERNEL_FOLDERS = ("core/kernels/", "core/quantize/")
_ISA_FOLDERS = {"avx2", "avx512_vnni", "neon_dotprod", "neon_i8mm"}
_KERNEL_HEADERS = {"immintrin.h", "arm_neon.h", "cstdint", "cstddef", "stdint.h", "stddef.h"}

# Names of package registries and of machines: the repository must work with any. Written so that
# this file does not contain what it forbids.
_FORBIDDEN = {
    "names a package registry": re.compile(
        r"py[p]i\.org|pyth[o]nhosted|download\.pyt[o]rch|deb[.]debian|archive[.]ubuntu|npm[j]s\.",
        re.I,
    ),
    "names a path of somebody's machine": re.compile(
        r"(?<![\w.])(/w[o]rk/|/tmp/d[e]v|/tmp/h[e]lpers|/opt/(py[p]i|wh[e]els)|/h[o]me/\w|/r[o]ot/)"
    ),
    "speaks of who wrote it": re.compile(
        r"\b(cl[a]ude|anthr[o]pic|ch[a]tgpt|cop[i]lot|sub-?ag[e]nts?)\b", re.I
    ),
    "leaves work undone": re.compile(r"\b(TO[D]O|FIX[M]E|X[X]X)\b"),
}
_LONGEST = 600  # lines of a source file
# Built from web/, whose sources are checked; highlight.js looks for marks of unfinished work in
# the code that it colours.
_BUILT = "src/pocketr1/server/web/assets/"


def tracked(root: Path) -> list[str]:
    """Return the tracked files of ``root``, or all but hidden ones where git knows none."""
    git = shutil.which("git") or "false"
    done = subprocess.run(
        [git, "-C", str(root), "ls-files", "-z"], capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return [name for name in done.stdout.split("\0") if name and (root / name).is_file()]
    names = [path.relative_to(root) for path in sorted(root.rglob("*")) if path.is_file()]
    return [str(name) for name in names if not name.parts[0].startswith((".", "build"))]


def check_words(name: str, lines: list[str]) -> Iterator[str]:
    """Yield lines that name a registry or a machine, or leave a mark of unfinished work."""
    for number, line in enumerate(lines, 1):
        for what, pattern in _FORBIDDEN.items():
            if what == "leaves work undone" and name.startswith(_BUILT):
                continue
            match = pattern.search(line)
            if match:
                yield f"{name}:{number}: {what}: {match[0]!r}"


def check_golden(name: str, lines: list[str]) -> Iterator[str]:
    """Yield golden generators that import the package they are to judge."""
    if not name.startswith("tests/golden/") or not name.endswith(".py"):
        return
    for number, line in enumerate(lines, 1):
        if re.search(r"\b(import|from)\s+pocketr1\b|import_module\(.pocketr1", line):
            yield f"{name}:{number}: a golden generator may not import pocketr1"


def check_kernel_includes(name: str, lines: list[str]) -> Iterator[str]:
    """Yield system headers in kernel files that could carry inline code."""
    path = Path(name)
    if not name.startswith(_KERNEL_FOLDERS) or path.parent.name not in _ISA_FOLDERS:
        return
    for number, line in enumerate(lines, 1):
        match = re.match(r"\s*#\s*include\s+<([^>]+)>", line)
        if match and match[1] not in _KERNEL_HEADERS:
            yield f"{name}:{number}: <{match[1]}> may hold inline code; kernels include none"


def check_length(name: str, lines: list[str]) -> Iterator[str]:
    """Yield source files that have grown past what one reads in a sitting."""
    if Path(name).suffix in {".py", ".cc", ".h", ".c"} and len(lines) > _LONGEST:
        yield f"{name}:{len(lines)}: longer than {_LONGEST} lines; it is two nouns"


def main() -> int:
    """Check the repository and print what is wrong."""
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent)
    violations: list[str] = []
    for name in tracked(root):
        try:
            lines = (root / name).read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        for check in (check_words, check_golden, check_kernel_includes, check_length):
            violations += check(name, lines)
    print("\n".join(violations) or "the rules of the repository hold")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
