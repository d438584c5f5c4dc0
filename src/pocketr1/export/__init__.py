"""Models out, in other engines' formats."""

from __future__ import annotations

from pocketr1.export.compressed_tensors import export_compressed_tensors
from pocketr1.export.gguf import GGUF_TYPES, GgufExport, export_gguf
from pocketr1.export.report import ExportProgress, ExportReport

__all__ = [
    "GGUF_TYPES",
    "ExportProgress",
    "ExportReport",
    "GgufExport",
    "export_compressed_tensors",
    "export_gguf",
]
