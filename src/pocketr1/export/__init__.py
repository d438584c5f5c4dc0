"""Models out, in other engines' formats."""

from __future__ import annotations

from pocketr1.export.compressed_tensors import export_compressed_tensors
from pocketr1.export.report import ExportProgress, ExportReport

__all__ = ["ExportProgress", "ExportReport", "export_compressed_tensors"]
