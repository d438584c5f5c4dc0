"""examples/c/stream.c, as a phone app would use the library: it draws the tokens Python draws."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import pocketr1

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "c" / "stream.c"
PROMPT = [499, 17, 300, 42, 256, 8]
COUNT = 40


def _library() -> Path | None:
    """The core's static library of the newest plain build (sanitized ones lie one folder up)."""
    built = ROOT.glob("build/*/core/libpocketr1_core.a")
    return max(built, key=lambda path: path.stat().st_mtime, default=None)


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the example as C and link it as C++; return the program."""
    c, cpp, library = shutil.which("cc"), shutil.which("c++"), _library()
    if c is None or cpp is None:
        pytest.skip("needs the compilers cc and c++")
    if not EXAMPLE.is_file():
        pytest.skip(f"{EXAMPLE} is not beside the tests")
    if library is None:
        pytest.skip("needs the core's library: build/*/core/libpocketr1_core.a")
    program = tmp_path_factory.mktemp("c") / "stream"
    include = f"-I{ROOT / 'core' / 'include'}"
    strict = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    compiled = program.with_suffix(".o")
    for command in (
        [c, *strict, include, "-c", str(EXAMPLE), "-o", str(compiled)],
        [cpp, str(compiled), str(library), "-pthread", "-o", str(program)],
    ):
        subprocess.run(command, check=True)
    return program


def run(stream: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(stream), *map(str, arguments)], capture_output=True, text=True, check=False
    )


def test_it_streams_the_tokens_the_python_engine_draws(stream: Path, tiny_bundle: Path) -> None:
    done = run(stream, tiny_bundle, COUNT, *PROMPT)
    assert done.returncode == 0, done.stderr
    with pocketr1.load(tiny_bundle, threads=1) as engine:
        sampling = pocketr1.Sampling(seed=1)
        generation = engine.generate(PROMPT, sampling, max_tokens=COUNT, stop_token_ids=())
        drawn = [token.id for token in generation]
        ends = engine.spec.eos_token_ids
    # The example prints the token that ends the text and stops there.
    last = next((i for i, token in enumerate(drawn) if token in ends), COUNT - 1)
    assert len(set(drawn)) > 1
    assert [int(line) for line in done.stdout.split()] == drawn[: last + 1]


def test_it_says_what_is_wrong_with_a_bundle(stream: Path, tmp_path: Path) -> None:
    done = run(stream, tmp_path / "nowhere", 1, 1)
    assert done.returncode == 1
    assert "nowhere" in done.stderr and "bundle" in done.stderr
    assert done.stdout == ""


def test_it_says_which_token_is_foreign(stream: Path, tiny_bundle: Path) -> None:
    done = run(stream, tiny_bundle, 1, 100_000)
    assert done.returncode == 1
    assert "usage-token" in done.stderr and "100000" in done.stderr
