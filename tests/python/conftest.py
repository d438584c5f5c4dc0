"""Models that several rooms' tests run on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OFFLINE = Path(__file__).parent / "offline"

# No test leaves this machine, and neither does a Python it starts: that one imports sitecustomize
# from this directory.
sys.path.insert(0, str(OFFLINE))
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(OFFLINE), *filter(None, [os.environ.get("PYTHONPATH")])]
)
import forbid_network  # noqa: E402

# Nor does any write into the cache of whoever runs them, or among their conversations.
os.environ["POCKETR1_CACHE"] = tempfile.mkdtemp(prefix="pocketr1-cache-")
os.environ["POCKETR1_DATA_DIR"] = tempfile.mkdtemp(prefix="pocketr1-data-")

forbid_network.install()
_LOG = Path(tempfile.mkdtemp(prefix="pocketr1-network-")) / "attempts"
os.environ[forbid_network.LOG_VARIABLE] = str(_LOG)

# A shell starts its background jobs with SIGINT ignored, and so would every command that the tests
# interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def no_network() -> Iterator[None]:
    """Fail a test that tried to use the network, also where it caught the refusal."""
    yield
    if _LOG.exists():
        attempts = _LOG.read_text(encoding="utf-8")
        _LOG.unlink()
        pytest.fail(f"the network was asked for:\n{attempts}", pytrace=False)


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a random Qwen2 checkpoint of 3 million weights, with a tokenizer and a template."""
    directory = tmp_path_factory.mktemp("models") / "tiny-random"
    script = ROOT / "benchmarks" / "random_checkpoint.py"
    command = [sys.executable, str(script), "tiny-random", str(directory)]
    subprocess.run(command, check=True, capture_output=True)
    return directory


@pytest.fixture(scope="session")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return Tiny R1's outlier twin: the same function, as hard to quantize as a large model."""
    sys.path.insert(0, str(ROOT / "training"))
    from tiny_r1 import outliers

    path = tmp_path_factory.mktemp("twin") / "twin"
    outliers.write_twin(ROOT / "models" / "tiny-r1", path)
    return path


@pytest.fixture(scope="session")
def tiny_bundle(tiny_checkpoint: Path) -> Path:
    """Return the same model in 4 bits."""
    from pocketr1 import Quantizer

    directory = tiny_checkpoint.with_name("tiny-4-bit")
    Quantizer(tiny_checkpoint, output_path=directory, bits=4, group_size=64).run()
    return directory
