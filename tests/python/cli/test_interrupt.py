from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pocketr1.cli.interrupt import cancel_on_interrupt

# The command, with Ctrl-C pressed while MODULE is being imported.
STARTING = """
import signal, sys
class Finder:
    def find_spec(self, name, *_):
        if name == "MODULE":
            sys.meta_path.remove(self)
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Finder())
from pocketr1.cli import main
sys.exit(main())
"""


class Counting:
    def __init__(self) -> None:
        self.cancels = 0

    def cancel(self) -> None:
        self.cancels += 1


def test_ctrl_c_cancels_also_what_begins_a_moment_later() -> None:
    engine = Counting()
    with cancel_on_interrupt(engine):  # type: ignore[arg-type]
        os.kill(os.getpid(), signal.SIGINT)
        until = time.monotonic() + 10
        while engine.cancels < 2 and time.monotonic() < until:
            time.sleep(0.01)
    assert engine.cancels >= 2
    after = engine.cancels
    time.sleep(0.12)
    assert engine.cancels == after


def test_outside_the_block_ctrl_c_is_what_it_was() -> None:
    handler, threads = signal.getsignal(signal.SIGINT), threading.active_count()
    with cancel_on_interrupt(Counting()):  # type: ignore[arg-type]
        pass
    assert signal.getsignal(signal.SIGINT) is handler
    assert threading.active_count() == threads
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)


@pytest.mark.parametrize("module", ["pocketr1.cli.app", "typer", "pocketr1.messages", "numpy"])
def test_ctrl_c_while_the_command_starts_is_no_traceback(module: str, tiny_bundle: Path) -> None:
    command = [sys.executable, "-c", STARTING.replace("MODULE", module), "inspect"]
    done = subprocess.run(
        [*command, str(tiny_bundle), "--lang", "en"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines()[0] == "error[cli-interrupted]: Interrupted."
    assert len(done.stderr.splitlines()) == 2


def test_another_thread_leaves_the_signals_alone() -> None:
    handler = signal.getsignal(signal.SIGINT)
    seen = []

    def work() -> None:
        with cancel_on_interrupt(Counting()):  # type: ignore[arg-type]
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [handler]
