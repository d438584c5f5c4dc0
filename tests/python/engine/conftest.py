from __future__ import annotations

from pathlib import Path

import pytest
from toy_core import ToyModel, ToySession

from pocketr1.engine import Engine


@pytest.fixture
def session() -> ToySession:
    return ToySession()


@pytest.fixture
def engine(session: ToySession) -> Engine:
    return Engine(ToyModel(), session, Path("toy"))  # type: ignore[arg-type]
