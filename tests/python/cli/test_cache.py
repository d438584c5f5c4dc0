"""``pocketr1 cache``, and the store that ``run`` and ``chat`` use."""

from __future__ import annotations

import io
import json
import os
import re
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pocketr1 import messages
from pocketr1.cli.app import main
from pocketr1.cli.reference import reference
from pocketr1.engine import KVStore

QUESTION = "What is 17 + 25? " * 60


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setattr(KVStore, "pays", True)  # also where Tiny R1 computes faster than that
    monkeypatch.setenv("POCKETR1_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "kv.sqlite3"


def document(capsys: pytest.CaptureFixture[str], *line: object, code: int = 0) -> Any:
    capsys.readouterr()
    assert main([*map(str, line), "--json"]) == code
    return json.loads(capsys.readouterr().out)


def run(capsys: pytest.CaptureFixture[str], *options: object) -> Any:
    line = ["run", "tiny", QUESTION, "--temperature", "0", "--max-tokens", "8", *options]
    return document(capsys, *line)


def test_the_next_run_restores_what_the_first_stored(
    capsys: pytest.CaptureFixture[str], own_cache: Path
) -> None:
    first, second = run(capsys), run(capsys)
    assert first["text"] == second["text"]
    assert first["kv_store"]["restored_tokens"] == 0
    assert first["kv_store"]["stored_pages"] == first["prompt_tokens"] // 64
    assert first["kv_store"]["written_bytes"] > first["kv_store"]["stored_kv_bytes"] > 0
    assert second["kv_store"]["restored_tokens"] == 64 * first["kv_store"]["stored_pages"]
    assert second["kv_store"]["path"] == str(own_cache)
    section = reference().split("\n`kv_store`:")[1].split("\n\n")[0]
    assert first["kv_store"].keys() <= set(re.findall(r"`(\w+)`", section))


def test_off_keeps_nothing(capsys: pytest.CaptureFixture[str], own_cache: Path) -> None:
    assert run(capsys, "--kv-store", "off")["kv_store"] is None
    assert not own_cache.exists()


def test_the_store_lies_where_one_says(
    capsys: pytest.CaptureFixture[str], own_cache: Path, tmp_path: Path
) -> None:
    run(capsys, "--kv-store", tmp_path / "mine")
    run(capsys, "--cache", tmp_path / "there")
    assert (tmp_path / "mine").is_file()
    assert (tmp_path / "there" / "kv.sqlite3").is_file()
    assert not own_cache.exists()


def test_bench_uses_no_store(capsys: pytest.CaptureFixture[str], own_cache: Path) -> None:
    line = ["bench", "tiny", "--prompt-tokens", "300", "--gen-tokens", "2", "--repeat", "1"]
    document(capsys, *line)
    assert not own_cache.exists()


def test_chat_says_on_request_what_the_store_did(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for restored in (False, True):
        monkeypatch.setattr(sys, "stdin", io.StringIO(QUESTION + "\n"))
        line = ["chat", "tiny", "--kv-stats", "--temperature", "0", "--max-tokens", "8"]
        assert main(line) == 0
        said = re.search(r"K/V store: (\d+) tokens restored in", capsys.readouterr().err)
        assert said and (int(said[1]) > 0) == restored
    assert main(["run", "tiny", "Hello", "--max-tokens", "4", "--kv-stats"]) == 0
    assert "0 pages stored, 0.0 MB written" in capsys.readouterr().err


@pytest.mark.parametrize("language", messages.LANGUAGES)
def test_a_store_that_cannot_be_used_is_a_note_and_no_failure(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, language: str
) -> None:
    (tmp_path / "notes.txt").write_text("not a database, but long enough for one\n" * 30)
    line = ["run", "tiny", "What is 2 + 3?", "--temperature", "0", "--lang", language]
    assert main(line) == 0
    plain = capsys.readouterr()
    assert main([*line, "--kv-store", str(tmp_path / "notes.txt")]) == 0
    noted = capsys.readouterr()
    assert noted.out == plain.out
    assert noted.err.count("[kv-store-foreign]") == 1
    assert ("不是 Pocket R1" if language == "zh" else "is not a K/V store") in noted.err


def test_list_and_show_tell_what_is_there(
    capsys: pytest.CaptureFixture[str], own_cache: Path
) -> None:
    run(capsys)
    run(capsys)
    assert main(["cache", "list"]) == 0
    listed = capsys.readouterr().out
    assert re.search(r"^[0-9a-f]{12}  tiny-r1, f16: tokens \d+, prompts 1, ", listed)
    assert "tokens a second, computed at" in listed
    assert main(["cache", "show"]) == 0
    assert str(own_cache) in capsys.readouterr().out
    report = document(capsys, "cache", "show")
    assert report["limit_bytes"] == 10**9
    assert report["written_bytes"] > report["models"][0]["kv_bytes"] > 0
    section = reference().split("`cache list` and `cache show`:")[1].split("\n\n")[0]
    documented = set(re.findall(r"`(\w+)`", section))
    assert {*report, *report["models"][0]} <= documented


def test_prune_deletes_what_it_is_told(capsys: pytest.CaptureFixture[str], own_cache: Path) -> None:
    stored = run(capsys)["kv_store"]["stored_pages"]
    assert document(capsys, "cache", "prune", "--older-than", "1d")["pages"] == 0
    error = document(capsys, "cache", "prune", "--model", "nothing", code=2)["error"]
    assert error["code"] == "kv-store-model" and "tiny-r1" in error["mend"]
    for name in ("", "t", "tiny"):  # neither a name nor the beginning of a fingerprint
        error = document(capsys, "cache", "prune", "--model", name, code=2)["error"]
        assert error["code"] == "kv-store-model"
    assert main(["cache", "prune", "--model", "tiny-r1"]) == 0
    assert f"{stored} pages deleted" in capsys.readouterr().out
    run(capsys)
    assert document(capsys, "cache", "prune", "--older-than", "0s")["pages"] == stored
    run(capsys)
    assert document(capsys, "cache", "prune", "--max-size", "1100kB")["pages"] > 0
    assert document(capsys, "cache", "show")["limit_bytes"] == 1_100_000
    freed = document(capsys, "cache", "prune", "--all")
    assert freed["after"] == 0
    assert list(own_cache.parent.iterdir()) == []


def test_verify_checks_every_page(capsys: pytest.CaptureFixture[str], own_cache: Path) -> None:
    pages = run(capsys)["kv_store"]["stored_pages"]
    assert document(capsys, "cache", "verify") == {"pages": pages, "problems": []}
    with closing(sqlite3.connect(own_cache)) as connection:
        connection.execute("UPDATE content SET bytes = zeroblob(length(bytes)) WHERE id = 2")
        connection.commit()
    assert main(["cache", "verify"]) == 1
    assert "page 2 (" in capsys.readouterr().out
    assert len(document(capsys, "cache", "verify", code=1)["problems"]) == 1


@pytest.mark.parametrize(
    ("line", "code", "error"),
    [
        (["cache", "empty"], 2, "cli-cache-action"),
        (["cache", "prune"], 2, "cli-cache-what"),
        (["cache", "list", "--all"], 2, "cli-cache-option"),
        (["cache", "prune", "--older-than", "soon"], 2, "cli-not-duration"),
        (["cache", "prune", "--max-size", "3"], 2, "kv-store-limit-value"),
        (["cache", "show"], 1, "kv-store-missing"),
        (["cache", "prune", "--all"], 1, "kv-store-missing"),
    ],
)
def test_mistakes_are_named(
    capsys: pytest.CaptureFixture[str], line: list[str], code: int, error: str
) -> None:
    assert document(capsys, *line, code=code)["error"]["code"] == error


def test_a_directory_that_may_not_be_made_costs_nothing_but_the_store(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POCKETR1_CACHE", os.devnull)
    assert main(["run", "tiny", QUESTION, "--max-tokens", "4"]) == 0
    assert "kv-store-unusable" in capsys.readouterr().err
