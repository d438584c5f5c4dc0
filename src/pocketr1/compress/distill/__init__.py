"""Win back what quantizing lost: train scales, biases and gains, with the codes frozen.

Needs PyTorch (the extra ``distill``), which nothing else in the package does.
"""

from __future__ import annotations

from pocketr1.compress.distill.distiller import Distiller, DistillReport

__all__ = ["DistillReport", "Distiller"]
