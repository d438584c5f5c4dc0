"""A chat over the real engine facade and a core that says what the test tells it to."""

from __future__ import annotations

import json
from collections import deque
from pathlib import Path
from typing import Any

import chat_support as support
import numpy as np

from pocketr1.chat import Chat, Delta
from pocketr1.engine import Engine

EOS, THINK, END_THINK = 151643, 151648, 151649
VOCAB = 151936


class ScriptedModel:
    weight_bytes = 1

    def __init__(self) -> None:
        self.spec_json = json.dumps(
            {
                "architecture": "qwen2",
                "hidden_size": 8,
                "vocab_size": VOCAB,
                "head_dim": 4,
                "rms_norm_eps": 1e-6,
                "max_positions": 4096,
                "tied_embeddings": False,
                "attention_bias": True,
                "output_bias": False,
                "mlp_bias": False,
                "qk_norm": False,
                "rope": {"inv_freq": [1.0, 0.01], "attention_scaling": 1.0},
                "layers": [{"heads": 2, "kv_heads": 1, "ffn_size": 16}],
                "bos_token_id": 151646,
                "eos_token_ids": [EOS],
            }
        )


class ScriptedSession:
    """A core session whose samples are the ids of a script, then the end of text."""

    isa = "scalar"
    threads = 1
    kv_bytes = 0

    def __init__(self, max_context: int = 4096) -> None:
        self.max_context = max_context
        self.script: deque[int | BaseException] = deque()
        self.prompts: list[list[int]] = []
        self.sequences: dict[int, list[int]] = {}
        self.step_sizes: list[int] = []
        self.options: list[dict[str, Any]] = []

    def create_sequence(self) -> int:
        self.sequences[len(self.sequences) + 1] = []
        return len(self.sequences)

    def free_sequence(self, sequence: int) -> None:
        self.sequences[sequence] = []

    def length(self, sequence: int) -> int:
        return len(self.sequences[sequence])

    def truncate(self, sequence: int, length: int) -> None:
        del self.sequences[sequence][length:]

    def cancel(self) -> None:
        pass

    def step(self, sequence: Any, position: Any, token: Any, logits_for: Any, **rest: Any) -> Any:
        tokens = self.sequences[int(sequence[0])]
        assert list(position) == list(range(len(tokens), len(tokens) + len(token)))
        tokens.extend(int(t) for t in token)
        self.step_sizes.append(len(token))
        return np.zeros((len(logits_for), VOCAB), np.float32)

    def sample(self, logits: Any, history: Any, **options: Any) -> int:
        self.options.append(options)
        if not self.script:
            return EOS
        said = self.script.popleft()
        if isinstance(said, BaseException):
            raise said
        return said


class Talk:
    """A chat, its core, and the means to script it."""

    def __init__(self, directory: Path, max_context: int = 4096, **options: Any) -> None:
        self.session = ScriptedSession(max_context)
        self.engine = Engine(ScriptedModel(), self.session, directory)  # type: ignore[arg-type]
        options.setdefault("tokenizer", support.small_tokenizer())
        self.chat = Chat(self.engine, **options)

    def will_say(self, text: str, *more: int | BaseException) -> None:
        """Script a reply; its tags are one token each."""
        self.session.script.extend(support.small_tokenizer().encode_markup(text))
        self.session.script.extend(more)

    def prompt(self) -> str:
        """Return the text the core holds: the last prompt, and its reply but for the last token."""
        tokenizer = support.small_tokenizer()
        return tokenizer.decode(self.session.sequences[1], skip_special=False)


def words(deltas: list[Delta], kind: str) -> str:
    return "".join(d.text for d in deltas if d.kind == kind)
