"""Prints how near the inner loops of the NEON kernels come to what the processor can issue.

    python scripts/arm_kernels.py BUILD

Takes the loops from the object files under BUILD (the core built for arm64) with objdump, and lets
llvm-mca 17 or newer run each for 200 turns on a processor whose every load hits the first cache.
One turn is a group: unpacking, products, scales and all. Prints a Markdown table and exits with 1
where a loop touches the stack, or stays below 80% of what its busiest port allows; of the second
are excused those that a panel's last rows of activations leave half empty.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_OBJDUMP = "aarch64-linux-gnu-objdump"
_CPU = "neoverse-n2"
_PORTS = "N2Unit"  # how that model's ports are called; another's would be a fallback
_TURNS = 200
_LEAST = 0.8
_PANEL_ROWS = 4  # of activations in a full panel loop

_FUNCTION = re.compile(r"^[0-9a-f]+ <(.*)>:$")
_INSTRUCTION = re.compile(r"^\s+([0-9a-f]+):\s+(.*?)(?:\s*//.*)?$")
_BRANCH = re.compile(r"^(?:b|b\.\w+|cbn?z|tbn?z)\s+(?:.*,\s*)?([0-9a-f]+) <")
_PRODUCT = re.compile(r"^(sdot|smmla)\b")
_LOOP = re.compile(r"(neon_\w+)::.*?\b(quarter_outputs|add_panel)<([^>]*)>")


@dataclass(frozen=True)
class Loop:
    """The turn of one kernel's group loop."""

    kernel: str  # "gemv_w4g64_a8_neon_dotprod"
    rows: int  # of activations
    instructions: tuple[str, ...]

    @property
    def products(self) -> int:
        """Sdot and smmla instructions."""
        return sum(1 for line in self.instructions if _PRODUCT.match(line))

    @property
    def stack(self) -> int:
        """Instructions that touch the stack."""
        return sum(1 for line in self.instructions if "[sp" in line or "[x29" in line)


@dataclass(frozen=True)
class Issue:
    """What llvm-mca says of a loop, per turn."""

    cycles: float
    bound: float  # cycles in which the busiest port is taken
    port: str


def functions(path: Path) -> Iterator[tuple[str, list[tuple[int, str]]]]:
    """Yield the functions of an object file with their instructions by address."""
    command = (_OBJDUMP, "-dC", "--no-show-raw-insn", str(path))
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    name = ""
    code: list[tuple[int, str]] = []
    for line in text.splitlines():
        if match := _FUNCTION.match(line):
            if code:
                yield name, code
            name, code = match[1], []
        elif match := _INSTRUCTION.match(line):
            code.append((int(match[1], 16), match[2]))
    if code:
        yield name, code


def innermost(code: list[tuple[int, str]]) -> tuple[str, ...]:
    """Return the loop without branches inside that has most products."""
    best: tuple[str, ...] = ()
    most = 0
    for address, text in code:
        match = _BRANCH.match(text)
        if not match or not code[0][0] <= int(match[1], 16) <= address:
            continue
        body = tuple(line for at, line in code if int(match[1], 16) <= at <= address)
        if any(_BRANCH.match(line) for line in body[:-1]):
            continue
        products = sum(1 for line in body if _PRODUCT.match(line))
        if products > most:
            best, most = body, products
    return best


def loops(build: Path) -> Iterator[Loop]:
    """Yield the group loops of the 4- and 8-bit kernels."""
    for path in sorted(build.rglob("kernels/neon_*/linear_w*_a8.cc.o")):
        bits = path.name[len("linear_w")]
        for name, code in functions(path):
            match = _LOOP.search(name)
            if not match:
                continue
            isa, kind = match[1], match[2]
            numbers = [int(x) for x in re.findall(r"(\d+)ul", match[3])]
            zero = "z" if "true" in match[3] else ""
            # A panel's codes are signed bytes, whatever the weights have.
            weights = (
                f"w{bits}g{numbers[0]}{zero}" if kind == "quarter_outputs" else f"g{numbers[0]}"
            )
            rows = numbers[-1] * (2 if isa == "neon_i8mm" else 1)
            kernel = "gemv" if kind == "quarter_outputs" else "gemm"
            if kind == "add_panel" and bits != "4":
                continue  # the same loop whatever the bits
            yield Loop(f"{kernel}_{weights}_a8_{isa}", rows, innermost(code))


def issue(loop: Loop, mca: str) -> Issue:
    """Let llvm-mca run a loop."""
    lines = [re.sub(r"\s[0-9a-f]+ <.*>", " turn", line) for line in loop.instructions]
    command = (mca, "-march=aarch64", f"-mcpu={_CPU}", f"-iterations={_TURNS}")
    text = subprocess.run(
        command, input="turn:\n" + "\n".join(lines), capture_output=True, text=True, check=True
    ).stdout
    cycles = re.search(r"Total Cycles:\s+(\d+)", text)
    ports = re.findall(r"^\[[\d.]+\]\s+- (\S+)$", text, re.M)
    pressure = text[text.index("Resource pressure per iteration") :].splitlines()[2].split()
    if cycles is None or not ports or not all(port.startswith(_PORTS) for port in ports):
        raise SystemExit(f"{mca} has no model of {_CPU}")
    taken = [0.0 if value == "-" else float(value) for value in pressure]
    bound = max(taken)
    return Issue(int(cycles[1]) / _TURNS, bound, ports[taken.index(bound)].removeprefix(_PORTS))


def main() -> int:
    """Print the table of a build folder."""
    names = ["llvm-mca", *(f"llvm-mca-{version}" for version in range(17, 30))]
    found = [name for name in names if shutil.which(name)]
    if not found or not shutil.which(_OBJDUMP):
        print("needs llvm-mca of LLVM 17 or newer (Debian: llvm-19) and g++-aarch64-linux-gnu")
        return 1
    failed = 0
    columns = ("loop", "rows", "instructions", "products", "cycles", "busiest", "share", "of peak")
    print("| " + " | ".join(columns) + " |")
    print("|---" * len(columns) + "|")
    every = sorted(loops(Path(sys.argv[1])), key=lambda loop: (loop.kernel, loop.rows))
    for loop in every:
        if not loop.instructions:
            print(f"{loop.kernel}: no loop found")
            return 1
        result = issue(loop, found[-1])
        share = result.bound / result.cycles
        peak = loop.products / 2 / result.cycles  # two products a cycle
        full = loop.kernel.startswith("gemv") or loop.rows == _PANEL_ROWS
        failed += (full and share < _LEAST) or loop.stack != 0
        print(
            f"| `{loop.kernel}` | {loop.rows} | {len(loop.instructions)} | {loop.products} | "
            f"{result.cycles:.1f} | {result.port} {result.bound:.1f} | {share:.0%} | {peak:.0%} |"
        )
    if not every:
        print(f"{sys.argv[1]}: no NEON kernels")
        return 1
    return int(failed != 0)


if __name__ == "__main__":
    sys.exit(main())
