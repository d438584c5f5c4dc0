"""The format on disk: plan, write, inspect, unpack."""

from __future__ import annotations

from pocketr1.bundle.journal import Job, PartError, SourceFile
from pocketr1.bundle.layout import BundleLayout, Part, Segment, TensorPlan, plan_layout
from pocketr1.bundle.report import BundleReport, TensorReport, inspect
from pocketr1.bundle.unpack import UnpackedTensor, read_weights, unpack
from pocketr1.bundle.writer import BundleWriter, partial_path

__all__ = [
    "BundleLayout",
    "BundleReport",
    "BundleWriter",
    "Job",
    "Part",
    "PartError",
    "Segment",
    "SourceFile",
    "TensorPlan",
    "TensorReport",
    "UnpackedTensor",
    "inspect",
    "partial_path",
    "plan_layout",
    "read_weights",
    "unpack",
]
