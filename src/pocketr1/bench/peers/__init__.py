"""Other engines, measured by the same stopwatch as ours: one file per engine.

Adding one: a file with ``find`` and ``open``, as :mod:`~pocketr1.bench.peers.peer` describes them,
and a line in ENGINES. A peer is imported in a process of its own, never by this package, so none is
needed to install, test or use Pocket R1. These files import nothing of Pocket R1 but what loads
fast: the interpreter that runs them may be another one, without numpy.
"""

from __future__ import annotations

__all__ = ["ENGINES", "OURS", "PEERS"]

OURS = "pocketr1"

#: Engine -> the module that measures it.
ENGINES = {
    OURS: "pocketr1.bench.peers.ours",
    "llama.cpp": "pocketr1.bench.peers.llama_cpp",
    "openvino": "pocketr1.bench.peers.openvino",
    "ctranslate2": "pocketr1.bench.peers.ctranslate2",
}

#: What ``--against`` takes.
PEERS = tuple(name for name in ENGINES if name != OURS)
