"""Train Tiny R1. Run from the folder above: ``python -m tiny_r1.train --out DIRECTORY``.

The same seed and number of threads give the same weights, also if the run is interrupted and
started again: it goes on from its last checkpoint.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch.nn.functional import cross_entropy

from tiny_r1 import tokenizer as bpe
from tiny_r1.examples import Encoder, MicroBatch, micro_batches, pad
from tiny_r1.model import build, configuration, published
from tiny_r1.muon import Muon
from tiny_r1.sample import held_out_problems

__all__ = ["Recipe", "Trainer"]


@dataclass(frozen=True)
class Recipe:
    """What a run depends on."""

    seed: int = 1
    steps: int = 3000
    examples: int = 64  # per step
    parts: int = 3  # micro-batches per step
    muon_rate: float = 4e-3  # of the layers' matrices
    adam_rate: float = 3e-3  # of embedding, head, norms and biases
    warmup: int = 60  # steps
    decay: float = 0.5  # share of the steps over which the rates fall to zero, at the end
    checkpoint_every: int = 50
    validate_every: int = 100

    def rate(self, step: int) -> float:
        """Return the factor of the learning rates at a step."""
        left = (self.steps - step) / (self.decay * self.steps)
        return min(1.0, (step + 1) / self.warmup, left)


class Trainer:
    """A run in a directory, taken up where it stopped."""

    def __init__(self, recipe: Recipe, directory: Path, device: str) -> None:
        self.recipe = recipe
        self.directory = directory
        self.device = device
        directory.mkdir(parents=True, exist_ok=True)
        self.tokenizer = self._tokenizer()
        self.encoder = Encoder(self.tokenizer)
        config = configuration(
            self.tokenizer.get_vocab_size(),
            self.tokenizer.token_to_id(bpe.BOS),
            self.tokenizer.token_to_id(bpe.EOS),
        )
        self.model = build(config, recipe.seed).to(device)
        matrices, others = [], []
        for name, weight in self.model.named_parameters():
            inner = weight.ndim == 2 and "embed" not in name and "lm_head" not in name
            (matrices if inner else others).append(weight)
        self.optimizers = (
            Muon(matrices, lr=recipe.muon_rate, momentum=0.95, weight_decay=0.01),
            torch.optim.AdamW(others, lr=recipe.adam_rate, betas=(0.9, 0.98), weight_decay=0.0),
        )
        self.step = 0
        self.seconds = 0.0
        self._resume()

    def run(self) -> None:
        """Train to the last step, then write the model."""
        while self.step < self.recipe.steps:
            began = time.monotonic()
            loss = self._train_step()
            self.step += 1
            self.seconds += time.monotonic() - began
            record = {"step": self.step, "loss": round(loss, 5), "seconds": round(self.seconds, 1)}
            if self.step % self.recipe.validate_every == 0 or self.step == self.recipe.steps:
                record |= self._validate()
            self._log(record)
            if self.step % self.recipe.checkpoint_every == 0 or self.step == self.recipe.steps:
                self._checkpoint()
        self.write_model(self.directory / "model")

    def write_model(self, directory: Path) -> None:
        """Write the model as a BF16 checkpoint in Hugging Face's layout."""
        weights = {name: w.detach().cpu().bfloat16() for name, w in self.model.named_parameters()}
        directory.mkdir(parents=True, exist_ok=True)
        save_file(weights, directory / "model.safetensors", {"format": "pt"})
        for name, content in published(self.model.config).items():
            (directory / name).write_text(json.dumps(content, indent=2) + "\n")
        bpe.write(self.tokenizer, directory)

    def _train_step(self) -> float:
        recipe = self.recipe
        parts = list(
            micro_batches(self.encoder, recipe.seed, self.step, recipe.examples, recipe.parts)
        )
        learned = sum(int(part.learned.sum()) for part in parts)
        total = 0.0
        for part in parts:
            loss = self._loss(part) / learned
            loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        rate = recipe.rate(self.step)
        for optimizer, base in zip(
            self.optimizers, (recipe.muon_rate, recipe.adam_rate), strict=True
        ):
            for group in optimizer.param_groups:
                group["lr"] = base * rate
            optimizer.step()
            optimizer.zero_grad()
        return total

    def _logits(self, batch: MicroBatch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the logits before each learned token, and those tokens."""
        ids, learned = batch.ids.to(self.device), batch.learned.to(self.device)
        hidden = self.model.model(ids[:, :-1], use_cache=False).last_hidden_state
        learned = learned[:, 1:]
        return self.model.lm_head(hidden[learned]), ids[:, 1:][learned]

    def _loss(self, batch: MicroBatch) -> torch.Tensor:
        logits, targets = self._logits(batch)
        return cross_entropy(logits, targets, reduction="sum")

    @torch.no_grad()
    def _validate(self, problems: int = 192) -> dict[str, float]:
        """Return loss and share of wholly right replies on held-out problems.

        A reply whose every token is the likeliest after the right ones before it is the one that
        greedy decoding writes.
        """
        held_out = held_out_problems(seed=1)
        examples = []
        for _ in range(problems):
            problem = next(held_out)
            prompt = self.encoder.prompt(problem)
            examples.append((prompt + self.encoder.reply(problem), len(prompt)))
        examples.sort(key=lambda example: len(example[0]))
        loss, tokens, right = 0.0, 0, 0
        for begin in range(0, problems, 32):
            batch = pad(examples[begin : begin + 32], self.encoder.pad)
            logits, targets = self._logits(batch)
            loss += cross_entropy(logits, targets, reduction="sum").item()
            tokens += len(targets)
            wrong = (logits.argmax(-1) != targets).cpu()
            lengths = batch.learned[:, 1:].sum(1).tolist()
            right += sum(not reply.any() for reply in wrong.split(lengths))
        return {"held_out_loss": round(loss / tokens, 5), "held_out_exact": right / problems}

    def _tokenizer(self) -> Tokenizer:
        path = self.directory / "tokenizer.json"
        if not path.exists():
            bpe.train(self.recipe.seed).save(str(path.with_suffix(".partial")))
            path.with_suffix(".partial").replace(path)
        return Tokenizer.from_file(str(path))

    def _checkpoint(self) -> None:
        partial, path = self.directory / "state.partial", self.directory / "state.pt"
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }
        with partial.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)

    def _resume(self) -> None:
        path = self.directory / "state.pt"
        log = self.directory / "log.jsonl"
        if path.exists():
            state = torch.load(path, map_location=self.device)
            self.step, self.seconds = state["step"], state["seconds"]
            self.model.load_state_dict(state["model"])
            for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(saved)
        kept = log.read_text().splitlines()[: self.step] if log.exists() else []
        log.write_text("".join(line + "\n" for line in kept))

    def _log(self, record: dict[str, float]) -> None:
        with (self.directory / "log.jsonl").open("a") as file:
            file.write(json.dumps(record) + "\n")
        if self.step % 10 == 0 or "held_out_loss" in record:
            print(" ".join(f"{name} {value}" for name, value in record.items()), flush=True)


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(description="Train Tiny R1.")
    parser.add_argument("--out", type=Path, required=True, help="directory of the run")
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--steps", type=int, default=Recipe.steps)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.use_deterministic_algorithms(True)
    Trainer(Recipe(seed=args.seed, steps=args.steps), args.out, args.device).run()


if __name__ == "__main__":
    main()
