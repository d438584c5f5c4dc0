"""On a busy machine restoring Tiny R1's small pages may be slower than computing them."""

from __future__ import annotations

import pytest

from pocketr1.engine import KVStore


@pytest.fixture(autouse=True)
def always_pays(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the store used whatever the speeds, but for the tests of just that."""
    if "speeds" not in request.fixturenames:
        monkeypatch.setattr(KVStore, "pays", True)


@pytest.fixture
def speeds() -> None:
    """Let measured speeds decide."""
