"""GGUF files of ours in llama.cpp, and the same files here: the same tokens, or nearly tied ones.

Needs an interpreter with llama-cpp-python: this one, or the one POCKETR1_PEER_PYTHON names.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pocketr1
from pocketr1 import Quantizer, checkpoint
from pocketr1.chat.tokenizer import load_tokenizer
from pocketr1.engine import locate
from pocketr1.export import export_gguf

pytestmark = pytest.mark.oracle

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "tests" / "golden" / "models"
TINY = locate("tiny").path
COUNT = 96
#: Where both choose otherwise, llama.cpp's two best logits lie closer than this. With F16 weights
#: it rounds activations to F16, we do not. With Q8_0 and Q4_0 both round them to 8 bits, it in
#: groups of 32, we in groups of 128; Tiny R1's logits are spread by 1.4 and the best is usually 13
#: ahead.
NEAR = {"f16": 0.05, "q8_0": 0.6, "q4_0": 0.6}


@pytest.fixture(scope="module")
def llama_python() -> str:
    """Return an interpreter that has llama_cpp."""
    candidates = [os.environ.get("POCKETR1_PEER_PYTHON", ""), sys.executable]
    candidates.append(str(ROOT / ".venv-peers" / "bin" / "python"))
    for python in candidates:
        if not Path(python).is_file():
            continue
        done = subprocess.run([python, "-c", "import llama_cpp"], capture_output=True, check=False)
        if done.returncode == 0:
            return python
    pytest.skip("llama-cpp-python is not installed; POCKETR1_PEER_PYTHON names an interpreter")


def ask(python: str, model: Path, **request: Any) -> dict[str, Any]:
    script = Path(__file__).with_name("llama_cpp_logits.py")
    done = subprocess.run(
        [python, str(script), str(model)],
        input=json.dumps({"texts": [], "prompts": [], "count": COUNT, **request}),
        capture_output=True,
        text=True,
        check=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def prompts(count: int) -> list[list[int]]:
    """Tiny R1's held-out problems, in its template."""
    tokenizer = load_tokenizer(TINY)
    lines = (TINY / "held-out.jsonl").read_text("utf-8").splitlines()
    asked = [json.loads(line)["question"] for line in lines[:: len(lines) // count]][:count]
    texts = [f"<｜User｜>{question}<｜Assistant｜><think>\n" for question in asked]
    return [[tokenizer.bos_id or 0, *tokenizer.encode_markup(text)] for text in texts]


def differing_gaps(model: Path, answer: dict[str, Any], asked: list[list[int]]) -> list[float]:
    """How far ahead llama.cpp's choice was wherever ours, behind the same tokens, is another."""
    gaps = []
    with pocketr1.load(model) as engine:
        for prompt, tokens, ahead in zip(asked, answer["greedy"], answer["gaps"], strict=True):
            logits = engine.logits(np.array(prompt + tokens, np.int32))
            ours = logits[len(prompt) - 1 : -1].argmax(axis=1)
            gaps += [ahead[i] for i in np.flatnonzero(ours != np.array(tokens))]
    return gaps


@pytest.mark.parametrize("kind", ["f16", "q8_0", "q4_0"])
def test_tiny_r1_says_what_llama_cpp_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, llama_python: str, kind: str
) -> None:
    monkeypatch.setenv("POCKETR1_CACHE", str(tmp_path))
    path = tmp_path / f"{kind}.gguf"
    export_gguf("tiny", path, kind)
    asked = prompts(20)
    answer = ask(llama_python, path, prompts=asked)
    gaps = differing_gaps(pocketr1.import_gguf(path), answer, asked)
    assert len(gaps) <= COUNT * len(asked) // 100
    assert max(gaps, default=0.0) < NEAR[kind], sorted(gaps)
    if kind == "f16":
        assert not gaps


@pytest.mark.parametrize("plan", [{"bits": 8, "group_size": 64}, {"bits": 4, "group_size": 64}])
def test_a_bundle_s_codes_run_in_llama_cpp(
    tmp_path: Path, llama_python: str, plan: dict[str, int]
) -> None:
    Quantizer(TINY, output_path=tmp_path / "bundle", head_bits=8, **plan).run()
    report = export_gguf(tmp_path / "bundle", tmp_path / "m.gguf")
    assert report.exact == report.matrices
    asked = prompts(8)
    answer = ask(llama_python, tmp_path / "m.gguf", prompts=asked)
    gaps = differing_gaps(tmp_path / "bundle", answer, asked)
    assert len(gaps) <= COUNT * len(asked) // 100
    assert max(gaps, default=0.0) < NEAR["q4_0"], sorted(gaps)


@pytest.mark.parametrize(
    "case", ["llama-llama3-gqa3", "llama-f16", "qwen3-yarn-gqa2", "qwen2-gqa6-key-outliers"]
)
def test_every_architecture_s_export_says_what_transformers_says(
    tmp_path: Path, llama_python: str, case: str
) -> None:
    export_gguf(MODELS / case, tmp_path / "m.gguf", "f16")
    with np.load(MODELS / case / "reference.npz") as stored:
        prompt, greedy, gaps = stored["prompt"], stored["greedy"], stored["greedy_gaps"]
    answer = ask(llama_python, tmp_path / "m.gguf", prompts=[prompt.tolist()])
    differing = np.flatnonzero(np.array(answer["greedy"][0]) != greedy[:COUNT])
    # Behind the first difference, two texts go on.
    assert not len(differing) or gaps[differing[0]] < NEAR["f16"]


@pytest.mark.parametrize(
    "text",
    [
        "Hello, world! What's 12345 + 67890?",
        "  two  spaces\n\n\nand\tlines \r\n of   every kind  ",
        "小明有 3 个苹果，妈妈又给了他 12 个。",
        "I'll we'VE they'd DON'T  x_1 = f(y)**2; // ok?",
        "<think>\n17+5=22\n</think>\n\\boxed{22}<｜end▁of▁sentence｜>",
        "😀 न् עִבְרִית 1234567",
    ],
)
def test_llama_cpp_cuts_text_into_the_same_tokens(
    tmp_path: Path, llama_python: str, text: str
) -> None:
    export_gguf("tiny", tmp_path / "m.gguf", "q8_0")
    answer = ask(llama_python, tmp_path / "m.gguf", texts=[text])
    assert answer["texts"][0] == load_tokenizer(TINY).encode_markup(text)


def test_files_of_its_own_quantizer_read_the_same(tmp_path: Path, llama_python: str) -> None:
    """llama.cpp's quantizer makes every type of Tiny R1; each runs, and says nearly the same."""
    export_gguf("tiny", tmp_path / "f16.gguf", "f16")
    script = (
        "import sys, llama_cpp\n"
        "p = llama_cpp.llama_model_quantize_default_params()\n"
        "p.ftype = int(sys.argv[3])\n"
        "p.nthread = 2\n"
        "sys.exit(llama_cpp.llama_model_quantize(sys.argv[1].encode(), sys.argv[2].encode(), p))\n"
    )
    asked = prompts(4)
    # LLAMA_FTYPE: Q4_1, Q5_0, Q5_1, Q2_K, Q3_K_M, Q4_K_M, Q5_K_M, Q6_K, IQ4_NL, IQ4_XS
    for number in (3, 8, 9, 10, 12, 15, 17, 18, 25, 30):
        path = tmp_path / f"type-{number}.gguf"
        command = [llama_python, "-c", script, str(tmp_path / "f16.gguf"), str(path), str(number)]
        subprocess.run(command, check=True, capture_output=True)
        answer = ask(llama_python, path, prompts=asked)
        place = pocketr1.import_gguf(path, tmp_path / "cache")
        gaps = differing_gaps(place, answer, asked)
        assert len(gaps) <= COUNT * len(asked) // 50, (number, gaps)
        assert max(gaps, default=0.0) < 1.5, (number, gaps)
        checkpoint.open(path)
