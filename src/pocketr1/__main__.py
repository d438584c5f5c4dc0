"""``python -m pocketr1`` is the command ``pocketr1``."""

from __future__ import annotations

import sys

from pocketr1.cli import main

if __name__ == "__main__":
    sys.exit(main())
