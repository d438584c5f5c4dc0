"""The page in Chromium, as people on a phone and at a desk use it.

The server is the real one, with the model that ships. That model answers in a hundredth of a
second, so a test that needs time slows it down (:class:`Paced`): the events are its own.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

# The folder beside has the backend that says what it is told.
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "server")]
from browsing import PHONE, Paced, Serve  # noqa: E402
from cutting import Cutting  # noqa: E402

from pocketr1.server.app import Settings, build_app  # noqa: E402
from pocketr1.server.http import RunningServer  # noqa: E402

# Only scripts/web --browser installs it.
collect_ignore_glob = ["test_*.py"] if importlib.util.find_spec("playwright") is None else []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


def tiny() -> Any:
    """Return the model that ships, as a backend."""
    from pocketr1.server.local import LocalBackend

    return LocalBackend.open("tiny", name="tiny")


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Return a function that starts a server: ``serve(delay=0, backend=None, **settings)``.

    All of a test's servers keep their conversations in one place.
    """
    with ExitStack() as stack:

        def start(delay: float = 0.0, backend: Any = None, **settings: Any) -> RunningServer:
            told = Settings(port=0, data=tmp_path / "data", **settings)
            app = build_app(Paced(backend or tiny(), delay), told)
            return stack.enter_context(RunningServer(app, told))

        yield start


@pytest.fixture
def cutting() -> Iterator[Callable[[int], Cutting]]:
    """Return a function that puts a line that can be cut before a port."""
    with ExitStack() as stack:
        yield lambda port: stack.enter_context(Cutting(port))


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("there is no Chromium; scripts/web --browser installs it")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=path,
            # Root has no sandbox; names resolve to nothing, so that nothing could be reached.
            args=["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
        )
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Return a function that opens an address as somebody new: ``visit(url, **device)``.

    At the end no page may have asked anything of another machine, broken its own policy, or thrown
    an error.
    """
    contexts = []
    asked: list[str] = []
    wrong: list[str] = []
    origins: set[str] = set()

    def noted(message: Any) -> None:
        # The browser itself notes each answer that is an error, and lines that were cut.
        if message.type == "error" and "Failed to load resource" not in message.text:
            wrong.append(message.text)

    def open_page(url: str, **device: Any) -> Any:
        origins.add(url.split("#")[0].rstrip("/"))
        context = chromium.new_context(**{"locale": "en-US", **PHONE, **device})
        contexts.append(context)
        context.set_default_timeout(15_000)
        context.on("request", lambda request: asked.append(request.url))
        page = context.new_page()
        page.on("console", noted)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    inside = tuple(f"{origin}/" for origin in origins)
    assert [url for url in asked if not url.startswith((*inside, "data:", "blob:"))] == []
    assert asked
    assert wrong == []
