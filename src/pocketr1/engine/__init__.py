"""The engine as Python sees it: load a model, get logits, generate."""

from __future__ import annotations

from pocketr1.engine.batch import Completion
from pocketr1.engine.budget import MemoryPlan, Streaming
from pocketr1.engine.care import LOW_BATTERY, MEMORY_THRESHOLD, Care
from pocketr1.engine.drafters import Drafter
from pocketr1.engine.engine import LOGITS_LIMIT_BYTES, Engine
from pocketr1.engine.generation import FINISH_REASONS, Detokenizer, Generation, Token
from pocketr1.engine.governor import Event, Governor
from pocketr1.engine.inspection import ModelReport, TensorSummary, inspect
from pocketr1.engine.kvstore import KVStore, KVStoreOptions, KVStoreWarning
from pocketr1.engine.loading import DEFAULT_MAX_CONTEXT, ModelSource, load, locate, plan_memory
from pocketr1.engine.pressure import Relief
from pocketr1.engine.sampling import Sampling
from pocketr1.engine.sequence import Sequence
from pocketr1.engine.speculation import Speculated, Speculation
from pocketr1.engine.stop import StopMatcher

__all__ = [
    "DEFAULT_MAX_CONTEXT",
    "FINISH_REASONS",
    "LOGITS_LIMIT_BYTES",
    "LOW_BATTERY",
    "MEMORY_THRESHOLD",
    "Care",
    "Completion",
    "Detokenizer",
    "Drafter",
    "Engine",
    "Event",
    "Generation",
    "Governor",
    "KVStore",
    "KVStoreOptions",
    "KVStoreWarning",
    "MemoryPlan",
    "ModelReport",
    "ModelSource",
    "Relief",
    "Sampling",
    "Sequence",
    "Speculated",
    "Speculation",
    "StopMatcher",
    "Streaming",
    "TensorSummary",
    "Token",
    "inspect",
    "load",
    "locate",
    "plan_memory",
]
