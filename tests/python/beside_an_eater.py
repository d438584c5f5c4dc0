"""Generate while another process eats memory until the governor gives some back.

    python beside_an_eater.py MODEL machine|GROUP

``machine``: the threshold lies 150 MB below what is available now. ``GROUP``: the directory of a
memory control group this process is in; its limit is put 250 MB above what it holds. The eater
takes half a megabyte after every token, some 25 in the second between two looks, until memory was
given back, and dies; the text ends some tokens after that was taken again. Prints one JSON
document.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from pocketr1 import Care, Governor, Sampling, load
from pocketr1.machine import Root, find_headroom

MB = 1 << 20
IDS = [(7 * i + 3) % 500 for i in range(40)]
GREEDY = Sampling(temperature=0.0)
MOST_EATEN = 2000  # MB; a machine that is not at its threshold by then is somebody else's
MOST_TOKENS = 3500
ROOM = 250 * MB  # above the threshold: enough to take everything again
EATER = """
import sys
eaten = []
for line in sys.stdin:
    eaten.append(bytearray(b"x") * (1 << 19))
"""


class Buffer:
    """A cache of 32 MB that lies in memory, as the kernel counts it."""

    name = "buffer"

    def __init__(self) -> None:
        self.pieces = [bytearray(b"x") * (8 * MB) for _ in range(4)]
        self.given = 0

    def held_bytes(self) -> int:
        return len(self.pieces) * 8 * MB

    def give_back(self, wanted: int) -> int:
        count = min(len(self.pieces), -(-wanted // (8 * MB)))
        del self.pieces[len(self.pieces) - count :]
        self.given += count
        return count * 8 * MB

    def take_again(self, wanted: int) -> int:
        count = min(self.given, wanted // (8 * MB))
        self.pieces += [bytearray(b"x") * (8 * MB) for _ in range(count)]
        self.given -= count
        return count * 8 * MB


def limit_group(group: Path) -> None:
    second = (group / "memory.max").exists()
    usage = int((group / ("memory.current" if second else "memory.usage_in_bytes")).read_text())
    name = "memory.max" if second else "memory.limit_in_bytes"
    (group / name).write_text(str(usage + 250 * MB))


def main() -> None:
    model, where = sys.argv[1:]
    with load(model, threads=1, memory_budget="4GB") as engine:
        buffer = Buffer()
        # Pages that nobody uses any more, and the text will need only in part.
        with engine.sequence() as sequence:
            sequence.append([1] * 4000)
        pages = engine.kv_bytes
        if where == "machine":
            available = find_headroom(Root()).machine
            assert available is not None
            threshold = available - 150 * MB
        else:
            limit_group(Path(where))
            threshold = 500 * MB
        governor = Governor(Care(memory_threshold=threshold))
        engine.govern(governor)
        governor.add(buffer)
        eater = subprocess.Popen([sys.executable, "-c", EATER], stdin=subprocess.PIPE)
        ids: list[int] = []
        eaten = left = calm = longest_calm = 0
        least = buffer.held_bytes()
        pages_left = pages
        planned = least_resident = engine.resident_bytes
        kinds: list[str] = []
        for token in engine.generate(IDS, GREEDY, stop_token_ids=(), max_tokens=MOST_TOKENS):
            ids.append(token.id)
            kinds = [event.kind for event in governor.events]
            least = min(least, buffer.held_bytes())
            least_resident = min(least_resident, engine.resident_bytes)
            if "gave-back" not in kinds and eaten < 2 * MOST_EATEN:
                assert eater.stdin is not None
                eater.stdin.write(b"\n")
                eater.stdin.flush()
                eaten += 1
            elif eater.poll() is None:
                pages_left = engine.kv_bytes
                eater.kill()
                eater.wait()
            # Others on the machine move too: there, the first time it takes some is enough.
            if "took-again" in kinds and (where == "machine" or buffer.given == 0):
                left += 1
                if left == 20:
                    break
            if len(ids) % 50 == 0:  # about once a second
                machine = find_headroom(Root()).machine or 0
                calm = calm + 1 if eater.poll() is not None and machine > threshold + ROOM else 0
                longest_calm = max(longest_calm, calm)
            time.sleep(0.02)
        eater.kill()
        eater.wait()
        resident = engine.resident_bytes
        engine.govern(None)
        held = buffer.held_bytes()
    with load(model, threads=1) as engine:
        plain = engine.generate(IDS, GREEDY, stop_token_ids=(), max_tokens=len(ids))
        same = [token.id for token in plain] == ids
    document = {
        "eaten_mb": eaten / 2,
        "kinds": kinds,
        "events": [event.to_dict() for event in governor.events],
        "least_held": least,
        "held": held,
        "planned": planned,
        "least_resident": least_resident,
        "resident": resident,
        "longest_calm": longest_calm,
        "pages": pages,
        "pages_left": pages_left,
        "tokens": len(ids),
        "same": same,
    }
    print(json.dumps(document))


if __name__ == "__main__":
    main()
