"""The page cache: what of a file is in memory, and having it dropped."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pocketr1.bench import page_cache

_SIZE = 4 << 20


def test_a_file_just_written_is_in_memory_and_one_dropped_is_not(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    file.write_bytes(os.urandom(_SIZE))
    if page_cache.resident_share([file]) is None:
        pytest.skip("this system does not say what is in memory")
    assert file.read_bytes()
    assert page_cache.resident_share([file]) == 1.0
    page_cache.drop([file])
    if page_cache.resident_share([file]) == 1.0:
        pytest.skip("this file system keeps everything in memory")
    assert page_cache.resident_share([file]) == 0.0
    with file.open("rb") as half:
        half.read(_SIZE // 2)
    share = page_cache.resident_share([file])
    assert share is not None and 0.4 < share <= 1.0  # reading ahead may bring more


def test_nothing_is_known_of_files_that_are_not_there(tmp_path: Path) -> None:
    page_cache.drop([tmp_path / "no"])
    assert page_cache.resident_share([tmp_path / "no"]) is None
    (tmp_path / "empty").write_bytes(b"")
    assert page_cache.resident_share([tmp_path / "empty"]) is None
