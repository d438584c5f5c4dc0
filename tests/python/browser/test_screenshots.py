"""The pictures of the guides, ``docs/images/page-*.png``, taken from the page as it is."""

from __future__ import annotations

import io
import json
import os
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
# Speeds differ each time, so that only scripts/web --pictures replaces the guides' own.
IMAGES = ROOT / os.environ.get("POCKETR1_PICTURES", "build/pictures")
LARGEST = 100_000  # bytes of one picture
CHINESE = [
    "礼堂有24排座位，每排16个，空着35个，坐了多少人？",
    "一本书有240页，小明每天读18页，读了7天，还剩多少页？",
]


def small(picture: bytes, name: str) -> None:
    """Write a picture in few colours."""
    image = PIL.open(io.BytesIO(picture)).convert("RGB").quantize(96, dither=PIL.Dither.NONE)
    IMAGES.mkdir(parents=True, exist_ok=True)
    image.save(IMAGES / name, "PNG", optimize=True)
    assert (IMAGES / name).stat().st_size < LARGEST


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
    small(page.screenshot(scale="device"), "page-phone.en.png")


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
    small(page.screenshot(scale="device"), "page-phone.zh.png")
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
    small(page.screenshot(), f"page-desk.{language}.png")


def ask_any(page: Page, text: str) -> None:
    """Ask in a new conversation, in whatever language the page speaks."""
    page.keyboard.press("Control+Shift+O")
    page.locator("#question").fill(text)
    page.locator("#question").press("Enter")
    answered(page)
