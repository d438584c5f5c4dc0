"""Compress a checkpoint into a bundle."""

from __future__ import annotations

from pocketr1.compress.defaults import BITS, DEFAULTS, GROUP_SIZES, KEEP, Defaults
from pocketr1.compress.estimate import Estimate, TargetEstimate
from pocketr1.compress.gate import Gate, Judgement, SeparatingGate
from pocketr1.compress.imported import (
    ImportedModel,
    cache_directory,
    find_or_import,
    import_gguf,
)
from pocketr1.compress.quantizer import CompressionReport, Progress, Quantizer
from pocketr1.compress.recipe import Recipe
from pocketr1.compress.target import Target

__all__ = [
    "BITS",
    "DEFAULTS",
    "GROUP_SIZES",
    "KEEP",
    "CompressionReport",
    "Defaults",
    "Estimate",
    "Gate",
    "ImportedModel",
    "Judgement",
    "Progress",
    "Quantizer",
    "Recipe",
    "SeparatingGate",
    "Target",
    "TargetEstimate",
    "cache_directory",
    "find_or_import",
    "import_gguf",
]
