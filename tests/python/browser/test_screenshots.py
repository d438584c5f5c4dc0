"""The pictures of the guides, taken from the page as it is: ``docs/images/page-*.png``."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from browsing import (
    DESK,
    PAGES,
    PENS,
    ROOT,
    Serve,
    Visit,
    answered,
    ask,
    bring,
    greedy,
    last_answer,
)
from playwright.sync_api import Page, expect

PIL = pytest.importorskip("PIL.Image")
IMAGES = ROOT / "docs" / "images"
LARGEST = 100_000  # bytes of one picture
CHINESE = [
    "礼堂有24排座位，每排16个，空着35个，坐了多少人？",
    "一本书有240页，小明每天读18页，读了7天，还剩多少页？",
]


def small(picture: bytes, path: Path) -> None:
    """Write a picture in few colours. One that looks the same stays as it is, byte for byte."""
    image = PIL.open(io.BytesIO(picture)).convert("RGB").quantize(96, dither=PIL.Dither.NONE)
    held = io.BytesIO()
    image.save(held, "PNG", optimize=True)
    assert held.tell() < LARGEST, path
    if path.exists():
        before, now = PIL.open(path).convert("RGB"), image.convert("RGB")
        if before.size == now.size and _distance(before, now) < 0.1:
            return
    path.write_bytes(held.getvalue())


def _distance(one: object, other: object) -> float:
    """Return the mean difference of two pictures' colours; speeds and times differ each time."""
    from PIL import ImageChops, ImageStat

    return max(ImageStat.Stat(ImageChops.difference(one, other)).mean)  # type: ignore[arg-type]


def settle(page: Page) -> None:
    page.evaluate("document.fonts.ready.then(() => 0)")
    page.wait_for_timeout(300)


def test_a_conversation_on_a_phone(serve: Serve, visit: Visit) -> None:
    page = visit(serve().url, reduced_motion="reduce")
    greedy(page)
    ask(page, PENS)
    answered(page)
    ask(page, PAGES)
    answered(page, 2)
    last_answer(page).locator(".thought-head").click()
    settle(page)
    small(page.screenshot(scale="device"), IMAGES / "page-phone.en.png")


def test_a_thought_on_a_phone_in_chinese_and_dark(serve: Serve, visit: Visit) -> None:
    server = serve(delay=0.05)
    page = visit(server.url, locale="zh-CN", color_scheme="dark", reduced_motion="reduce")
    greedy(page)
    page.get_by_label("消息", exact=True).fill(CHINESE[1])
    page.get_by_role("button", name="发送").click()
    answered(page)
    page.get_by_label("消息", exact=True).fill(CHINESE[0])
    page.get_by_role("button", name="发送").click()
    expect(last_answer(page).locator(".thought-head")).to_contain_text("思考中… 2 秒")
    last_answer(page).locator(".thought-head").click()
    settle(page)
    small(page.screenshot(scale="device"), IMAGES / "page-phone.zh.png")
    answered(page, 2)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_desk(serve: Serve, visit: Visit, language: str) -> None:
    """Formulas, code and a table, which the small model does not write: an imported answer."""
    page = visit(
        serve().url,
        **{**DESK, "device_scale_factor": 2},
        locale=language,
        color_scheme="light",
        reduced_motion="reduce",
    )
    document = json.loads(Path(__file__).with_name(f"shown.{language}.json").read_text("utf-8"))
    for said in document.pop("others"):
        ask_any(page, said)
    bring(page, json.dumps(document))
    settle(page)
    small(page.screenshot(), IMAGES / f"page-desk.{language}.png")


def ask_any(page: Page, text: str) -> None:
    """Ask in a new conversation, in whatever language the page speaks."""
    page.keyboard.press("Control+Shift+O")
    page.locator("#question").fill(text)
    page.locator("#question").press("Enter")
    answered(page)
