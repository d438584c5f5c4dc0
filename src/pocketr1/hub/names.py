"""Short names of DeepSeek's distilled models."""

from __future__ import annotations

import re

from pocketr1.errors import UsageError

__all__ = ["ALIASES", "repository_name"]

ALIASES = {
    "r1-1.5b": "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B",
    "r1-7b": "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B",
    "r1-llama-8b": "deepseek-ai/DeepSeek-R1-Distill-Llama-8B",
    "r1-qwen3-8b": "deepseek-ai/DeepSeek-R1-0528-Qwen3-8B",
    "r1-14b": "deepseek-ai/DeepSeek-R1-Distill-Qwen-14B",
    "r1-32b": "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B",
}
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def repository_name(name: str) -> str:
    """Return ``ORG/NAME`` of a short name, or the name itself if it is one.

    Raises:
        UsageError: ``hub-name``.
    """
    if name in ALIASES:
        return ALIASES[name]
    if not _REPOSITORY.fullmatch(name) or ".." in name:
        raise UsageError("hub-name", name=name, known=", ".join(ALIASES))
    return name


def alias_for(repository: str) -> str | None:
    """Return the short name of the distill whose name a repository's name contains, if any.

    ``someone/DeepSeek-R1-Distill-Qwen-7B-GPTQ`` was made from ``r1-7b``.
    """
    folded = repository.casefold()
    for alias, original in ALIASES.items():
        if original.partition("/")[2].casefold() in folded:
            return alias
    return None
