from __future__ import annotations

import subprocess
import sys

import pytest

import pocketr1

PUBLIC = {
    "BundleError",
    "CancelledError",
    "Care",
    "Chat",
    "ChatError",
    "CheckpointError",
    "CompressionError",
    "ContextFullError",
    "Delta",
    "Engine",
    "EngineError",
    "Generation",
    "Governor",
    "HubError",
    "PocketR1Error",
    "Quantizer",
    "Reply",
    "Sampling",
    "Sequence",
    "Speculation",
    "Token",
    "UsageError",
    "__version__",
    "import_gguf",
    "inspect",
    "isas",
    "load",
    "set_language",
}


def test_the_public_names_are_exactly_these() -> None:
    assert set(pocketr1.__all__) == PUBLIC
    assert len(pocketr1.__all__) == len(PUBLIC)


@pytest.mark.parametrize("name", sorted(PUBLIC - {"isas"}))
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(pocketr1, name) is not None
    assert name in dir(pocketr1)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing_here"):
        _ = pocketr1.nothing_here


def test_importing_the_package_loads_neither_numpy_nor_the_core() -> None:
    code = "import sys, pocketr1; print({'numpy', 'pocketr1._core'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"
