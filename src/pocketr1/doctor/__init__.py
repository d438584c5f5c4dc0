"""What this device can run: find out, measure, advise."""

from __future__ import annotations

from pocketr1.doctor.advice import COMFORTABLE, Advice, Assessment, advise, decode_speed
from pocketr1.doctor.candidates import Candidate, candidates
from pocketr1.doctor.diagnosis import Diagnosis, diagnose, measure
from pocketr1.doctor.findings import Findings, Storage, find
from pocketr1.doctor.speed import MemorySpeed

__all__ = [
    "COMFORTABLE",
    "Advice",
    "Assessment",
    "Candidate",
    "Diagnosis",
    "Findings",
    "MemorySpeed",
    "Storage",
    "advise",
    "candidates",
    "decode_speed",
    "diagnose",
    "find",
    "measure",
]
