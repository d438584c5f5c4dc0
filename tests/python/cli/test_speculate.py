"""``--speculate``: the same text, and a line that says what came of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pocketr1.cli.app import main


def document(capsys: pytest.CaptureFixture[str], *line: object, code: int = 0) -> Any:
    capsys.readouterr()
    assert main([*map(str, line), "--json"]) == code
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("raw", [False, True])
def test_run_writes_the_same_and_counts(raw: bool, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["run", "tiny", "What is 17 times 23?", "--seed", 1, *["--raw"] * raw]
    line += ["--max-tokens", 80]
    plain = document(capsys, *line)
    assert plain["speculation"] is None
    for how in ("lookup", "tiny"):
        tree = document(capsys, *line, "--speculate", how)
        assert tree["token_ids"] == plain["token_ids"]
        assert tree["text"] == plain["text"]
        counts = tree["speculation"]
        assert set(counts) == {"drafted", "accepted", "rejected", "steps"}
        assert counts["drafted"] == counts["accepted"] + counts["rejected"]
    assert document(capsys, *line, "--speculate", "off")["speculation"] is None


def test_the_last_line_tells_what_was_accepted(capsys: pytest.CaptureFixture[str]) -> None:
    line = ["run", "tiny", "What is 17 times 23?", "--seed", "1", "--speculate", "tiny"]
    assert main(line) == 0
    assert "drafted tokens accepted" in capsys.readouterr().err


def test_a_draft_model_may_take_less_context(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shorter = tmp_path / "shorter"
    shorter.mkdir()
    for file in tiny_checkpoint.iterdir():
        (shorter / file.name).symlink_to(file)
    config = json.loads((tiny_checkpoint / "config.json").read_text())
    (shorter / "config.json").unlink()
    (shorter / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 64}))
    line = ["run", tiny_checkpoint, "Hi", "--max-tokens", 90, "--seed", 1]
    plain = document(capsys, *line)
    assert document(capsys, *line, "--speculate", shorter)["token_ids"] == plain["token_ids"]


@pytest.mark.parametrize(("how", "code"), [("nowhere", "model-missing"), (".", "model-unknown")])
def test_a_draft_model_that_is_none_is_an_error(
    how: str,
    code: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    tree = document(capsys, "run", "tiny", "Hi", "--speculate", how, code=1)
    assert tree["error"]["code"] == code


def test_a_draft_model_with_another_tokenizer_is_misuse(
    tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = document(capsys, "run", "tiny", "Hi", "--speculate", tiny_checkpoint, code=2)
    assert tree["error"]["code"] == "speculation-vocabulary"


def test_a_chat_says_the_same_turn_after_turn() -> None:
    def talk(*options: str) -> tuple[str, str]:
        line = [sys.executable, "-m", "pocketr1", "chat", "tiny", "--seed", "1", *options]
        run = subprocess.run(
            line,
            input="What is 3+4?\nWhat is 30+40?\n",
            capture_output=True,
            text=True,
            check=True,
        )
        return run.stdout, run.stderr

    plain, (fast, said) = talk()[0], talk("--speculate", "lookup")
    assert fast == plain
    assert said.count("drafted tokens accepted") == 2
