"""What the tests of the page share: devices, questions, and how one asks them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pocketr1.server.http import RunningServer

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).parents[3]
AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
Serve = Callable[..., RunningServer]
Visit = Callable[..., "Page"]
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "has_touch": True,
    "is_mobile": True,
}
DESK: dict[str, Any] = {
    "viewport": {"width": 1280, "height": 800},
    "device_scale_factor": 1,
    "has_touch": False,
    "is_mobile": False,
}

PENS = (
    "A pen costs 12 dollars and a notebook costs 35 dollars. Ben buys 4 pens and 2 notebooks. "
    "How much does Ben pay?"
)
AREA = "A rectangle is 14 cm long and 9 cm wide. What is its area?"
PAGES = "A book has 240 pages. Ann reads 18 pages a day for 7 days. How many pages are left?"


def greedy(page: Page) -> None:
    """Let the same question have the same answer."""
    page.evaluate("localStorage.setItem('pocketr1', '{\"settings\":{\"temperature\":0}}')")
    page.reload()


def ask(page: Page, text: str) -> None:
    page.get_by_label("Message", exact=True).fill(text)
    page.get_by_role("button", name="Send", exact=True).click()


def answered(page: Page, count: int = 1) -> None:
    """Wait until the answers shown are whole."""
    from playwright.sync_api import expect

    expect(page.locator(".answer .tools")).to_have_count(count, timeout=30_000)


def last_answer(page: Page) -> Any:
    return page.locator(".answer").last


class Paced:
    """A backend whose replies take their time: ``delay`` seconds before each event."""

    def __init__(self, backend: Any, delay: float) -> None:
        self._backend = backend
        self._delay = delay

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    async def generate(self, task: Any) -> AsyncGenerator[Any, None]:
        async with aclosing(self._backend.generate(task)) as events:
            async for event in events:
                yield event
                await asyncio.sleep(self._delay)


def hold(text: str, title: str = "Held", reasoning: str = "") -> str:
    """Return the JSON of a conversation in which a model wrote ``text``."""
    said = {"created": 1.0, "state": "done"}
    return json.dumps(
        {
            "format": "pocketr1-conversations",
            "version": 1,
            "conversations": [
                {
                    "id": "held",
                    "title": title,
                    "created": 1.0,
                    "messages": [
                        {"id": "q", "role": "user", "content": "Show me.", **said},
                        {
                            "id": "a",
                            "parent": "q",
                            "role": "assistant",
                            "content": text,
                            "reasoning": reasoning,
                            **said,
                        },
                    ],
                }
            ],
        }
    )


def bring(page: Page, document: str) -> None:
    """Import a conversation and open it."""
    status = page.evaluate(
        """async (body) => (await fetch('/api/import', {
            method: 'POST', headers: {'Content-Type': 'application/json'}, body })).status""",
        document,
    )
    assert status == 200
    page.goto(page.url.split("#")[0] + "#/c/held")
    page.reload()
    answered(page)
