"""Work aside leaves the main thread free for Ctrl-C, and is otherwise as if done there."""

from __future__ import annotations

import threading

import pytest

from pocketr1.hub.aside import aside


def test_it_runs_in_a_thread_that_nobody_waits_for_at_the_end() -> None:
    thread = aside(threading.current_thread)
    assert thread is not threading.main_thread()
    assert thread.daemon


def test_what_it_raises_is_raised_here() -> None:
    def fail() -> None:
        raise ValueError("as it was")

    with pytest.raises(ValueError, match="as it was"):
        aside(fail)
