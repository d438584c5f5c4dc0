"""Checks that no instruction set leaks out of the files compiled for it.

    python scripts/check_isa_leak.py BUILD

Reads the object files under BUILD, of x86-64 or arm64, with nm and objdump (binutils). Two rules:

- A file of an instruction-set folder (``kernels/avx2/`` and so on) defines no weak symbol. The
  linker keeps one copy of a weak function for everyone, and would be free to keep this one.
- Every other file holds none of what those folders may use: on x86-64 no VEX or EVEX instruction
  (their mnemonics begin with v) and no vector register wider than 128 bits; on arm64 no dot product
  or matrix multiply, nor what else Armv8.1 and 8.2 brought (atomics, rounding multiplies).
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

_ISA_FOLDERS = {"avx2", "avx512_vnni", "neon_dotprod", "neon_i8mm"}
_AARCH64 = 183  # e_machine, bytes 18 and 19 of an ELF file
_WEAK = re.compile(r"^\S*\s+[WVui]\s+(.*)$")
_WIDE = re.compile(r"^\s+[0-9a-f]+:\s+(?:[0-9a-f]{2} )*\s*(v[a-z0-9]+\b.*|.*%[yz]mm\d+.*)$")
# Mnemonics that begin with v and are older than AVX.
_OLD = re.compile(r"verr|verw|vmcall")
_NEW_ARM = re.compile(
    r"^\s+[0-9a-f]+:\s+((?:(?:us|su|[su])dot|(?:us|[su])mmla|sqrdml[as]h|casp?|swp|"
    r"(?:ld|st)(?:add|clr|eor|set|smax|smin|umax|umin))[abhl]*\s.*)$"
)


def _is_arm(path: Path) -> bool:
    with path.open("rb") as file:
        return int.from_bytes(file.read(20)[18:], "little") == _AARCH64


def _output(tool: str, path: Path, *options: str) -> list[str]:
    cross = f"aarch64-linux-gnu-{tool}"
    program = cross if _is_arm(path) and shutil.which(cross) else tool
    command = (program, *options, str(path))
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def weak_symbols(path: Path) -> list[str]:
    """Return the weak symbols an object file defines."""
    lines = _output("nm", path, "-C", "--defined-only")
    return [match[1] for line in lines if (match := _WEAK.match(line))]


def new_instructions(path: Path) -> list[str]:
    """Return the instructions of an object file that older CPUs lack, with their function."""
    found: list[str] = []
    function = ""
    new = _NEW_ARM if _is_arm(path) else _WIDE
    for line in _output("objdump", path, "-dC", "--no-show-raw-insn"):
        if line.endswith(">:"):
            function = line[line.index("<") + 1 : -2]
        elif (match := new.match(line)) and not _OLD.match(match[1]):
            found.append(f"{match[1].strip()} in {function}")
    return found


def main() -> int:
    """Check a build folder and print what is wrong."""
    build = Path(sys.argv[1])
    objects = sorted(path for path in build.rglob("*.o") if "pocketr1_core.dir" in path.parts)
    if not objects:
        print(f"{build}: no object files of the core")
        return 1
    violations: list[str] = []
    special = 0
    for path in objects:
        name = str(path.relative_to(build))
        if path.parent.name in _ISA_FOLDERS:
            special += 1
            violations += [f"{name}: weak symbol {symbol}" for symbol in weak_symbols(path)]
        else:
            violations += [f"{name}: {what}" for what in new_instructions(path)[:5]]
    if violations:
        print("\n".join(violations))
        return 1
    print(f"{len(objects)} object files, {special} of them for one instruction set: nothing leaks")
    return 0


if __name__ == "__main__":
    sys.exit(main())
