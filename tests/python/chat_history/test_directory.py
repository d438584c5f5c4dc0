"""Where conversations are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from pocketr1.machine import data_directory


def test_data_lie_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("POCKETR1_DATA_DIR", str(tmp_path / "own"))
    assert data_directory("here") == Path("here")
    assert data_directory() == tmp_path / "own"
    monkeypatch.delenv("POCKETR1_DATA_DIR")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    assert data_directory() == tmp_path / "xdg" / "pocketr1"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert data_directory() == tmp_path / "home" / ".local" / "share" / "pocketr1"
