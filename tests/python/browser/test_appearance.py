"""How the page looks and behaves: languages, colours, keys, screen readers, hostile text."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from browsing import (
    AREA,
    AXE,
    DESK,
    PENS,
    PHONE,
    Serve,
    Visit,
    answered,
    ask,
    bring,
    greedy,
    hold,
    last_answer,
)
from playwright.sync_api import Page, expect

HOSTILE = "\n\n".join(
    (
        "<script>window.broken = 1</script>",
        "<img src=x onerror='window.broken = 2'>",
        "<svg onload='window.broken = 3'></svg>",
        "<iframe src='https://example.org'></iframe>",
        "[a](javascript:window.broken=4)",
        "![pixel](https://example.org/pixel.png)",
        "![](/api/info)",
        "$\\href{javascript:window.broken=5}{x}$ $\\includegraphics{https://example.org/a.png}$",
        '```"><img src=x onerror=window.broken=6>\n<img src=x onerror=window.broken=7>\n```',
        "<style>body { display: none }</style>",
        "<https://example.org/\"onmouseover='window.broken=8'>",
    )
)


def axe(page: Page, *without: str) -> list[str]:
    """Return what axe-core finds wrong with what is shown; ``without`` are rules to leave out."""
    # By the protocol of the debugger, which the page's policy does not bind.
    page.evaluate(AXE.read_text(encoding="utf-8") + "; 0")
    found = page.evaluate(
        """(rules) => axe.run(document, {rules, runOnly: [
            'wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})
        .then((found) => found.violations.map((one) => one.id + ': ' + one.nodes.map((node) =>
            node.html.slice(0, 160) + ' ' + node.failureSummary).join('; ')))""",
        {rule: {"enabled": False} for rule in without},
    )
    return list(found)


def luminance(page: Page) -> float:
    color = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(int(part) for part in re.findall(r"\d+", color)[:3]) / 3


def test_what_a_model_writes_runs_and_loads_nothing(serve: Serve, visit: Visit) -> None:
    page = visit(serve().url)
    bring(page, hold(HOSTILE, title="<img src=x onerror=window.broken=9>", reasoning=HOSTILE))
    last_answer(page).locator(".thought-head").click()
    assert page.evaluate("window.broken") is None
    shown = page.locator(".markdown")
    assert shown.locator("script, img, iframe, style, object, embed, form").count() == 0
    expect(shown.last.get_by_role("link", name="pixel")).to_have_attribute(
        "href", "https://example.org/pixel.png"
    )
    for link in shown.locator("a").all():
        assert "noopener" in (link.get_attribute("rel") or "")
        assert (link.get_attribute("href") or "").startswith("https://")


def test_hostile_text_runs_nothing_while_it_streams(serve: Serve, visit: Visit) -> None:
    from fake_backend import FakeBackend, Script

    pieces = [HOSTILE[at : at + 3] for at in range(0, len(HOSTILE), 3)]
    backend = FakeBackend(Script(reasoning=pieces, answer=pieces, delay=0.002))
    page = visit(serve(backend=backend).url)
    ask(page, HOSTILE)
    last_answer(page).locator(".thought-head").click()
    answered(page)
    assert page.evaluate("window.broken") is None
    assert page.locator(".markdown img, .markdown script, .markdown iframe").count() == 0
    expect(page.locator(".question .bubble")).to_contain_text("<script>window.broken = 1</script>")


def test_a_policy_forbids_what_the_page_does_not_need(serve: Serve, visit: Visit) -> None:
    server = serve()
    page = visit(server.url)
    for _ in range(2):  # the second answer is 304, of no type
        policy = page.reload().header_value("content-security-policy")  # type: ignore[union-attr]
        assert policy is not None
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe-eval" not in policy


def test_formulas_code_and_tables_are_shown(serve: Serve, visit: Visit) -> None:
    text = (
        "Euler: $e^{i\\pi} + 1 = 0$, so\n\n$$\\int_0^1 x^2\\,dx = \\frac{1}{3}$$\n\n"
        "```python\nprint('hi')\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n\\boxed{42}\n"
    )
    page = visit(serve().url, permissions=["clipboard-read", "clipboard-write"])
    bring(page, hold(text))
    expect(page.locator(".katex-display")).to_have_count(1)
    expect(page.locator(".hljs-string")).to_have_text("'hi'")
    expect(page.locator(".markdown table td")).to_have_text(["1", "2"])
    # Formulas stand in KaTeX's own letters, which came with the page.
    assert page.evaluate("document.fonts.check('16px KaTeX_Main')")
    page.locator(".code-copy").click()
    expect(page.locator(".code-copy")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "print('hi')"
    page.get_by_role("button", name="Copy the answer").click()
    assert page.evaluate("navigator.clipboard.readText()") == text


@pytest.mark.parametrize("device", [PHONE, DESK], ids=["phone", "desk"])
@pytest.mark.parametrize("colors", ["light", "dark"])
def test_axe_finds_nothing(serve: Serve, visit: Visit, device: Any, colors: str) -> None:
    page = visit(serve().url, **device, color_scheme=colors, reduced_motion="reduce")
    assert axe(page) == []
    text = "**Bold** [link](https://example.org)\n\n```python\nx = 1  # one\n```\n\n$x^2$\n\n> so"
    bring(page, hold(text, reasoning="Hm, *well*."))
    last_answer(page).locator(".thought-head").click()
    assert axe(page) == []
    page.get_by_role("button", name="Actions for this conversation").click()
    # A menu lies above everything, outside of the page's regions.
    assert axe(page, "region") == []
    page.keyboard.press("Escape")
    if device is PHONE:
        page.get_by_role("button", name="Show conversations").click()
        expect(page.get_by_role("button", name="Hide conversations")).to_be_focused()
        assert axe(page) == []
        page.keyboard.press("Escape")
        expect(page.get_by_role("button", name="Show conversations")).to_be_focused()
    page.locator(".composer").get_by_role("button", name="Settings").click()
    for tab in ("Answers", "Model", "Page", "Privacy"):
        page.get_by_role("tab", name=tab).click()
        assert axe(page) == [], tab
    page.get_by_role("button", name="Erase all conversations").click()
    assert axe(page) == []


def test_colours_follow_the_device_until_one_is_chosen(serve: Serve, visit: Visit) -> None:
    page = visit(serve().url, color_scheme="dark")
    assert luminance(page) < 60
    page.emulate_media(color_scheme="light")
    assert luminance(page) > 200
    page.locator(".composer").get_by_role("button", name="Settings").click()
    page.get_by_role("tab", name="Page").click()
    page.get_by_role("radio", name="Dark").check()
    assert luminance(page) < 60
    page.reload()
    assert luminance(page) < 60


def test_the_language_is_the_browsers_until_one_is_chosen(serve: Serve, visit: Visit) -> None:
    page = visit(serve().url, locale="zh-CN")
    expect(page.get_by_role("heading", name="想一起算点什么？")).to_be_visible()
    assert page.evaluate("document.documentElement.lang") == "zh-CN"
    page.locator(".composer").get_by_role("button", name="设置").click()
    page.get_by_role("tab", name="界面").click()
    page.get_by_role("radio", name="English").check()
    expect(page.get_by_role("tab", name="Page")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="What shall we work out?")).to_be_visible()


def test_a_keyboard_is_enough(serve: Serve, visit: Visit) -> None:
    page = visit(serve(delay=0.02).url, **DESK)
    expect(page.get_by_label("Message", exact=True)).to_be_focused()
    page.keyboard.type("What is")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("47 plus 36?")
    expect(page.get_by_label("Message", exact=True)).to_have_value("What is\n47 plus 36?")
    page.keyboard.press("Enter")
    answered(page)
    page.keyboard.press("Control+Shift+O")
    expect(page.get_by_label("Message", exact=True)).to_be_focused()
    page.keyboard.type(AREA)
    page.keyboard.press("Enter")
    answered(page)

    page.keyboard.press("Control+k")
    expect(page.get_by_label("Search conversations")).to_be_focused()
    page.keyboard.type("47 plus")
    expect(page.locator(".entry")).to_have_count(1)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".question .bubble")).to_have_text("What is\n47 plus 36?")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("menuitem", name="Rename")).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(page.get_by_role("menuitem", name="Delete")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("menu")).to_have_count(0)
    expect(page.locator(".entry .icon-button")).to_be_focused()


def test_the_list_on_a_phone_takes_the_focus_and_gives_it_back(serve: Serve, visit: Visit) -> None:
    page = visit(serve().url)
    page.get_by_role("button", name="Show conversations").click()
    expect(page.get_by_role("button", name="Hide conversations")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Show conversations")).to_be_focused()


def test_escape_stops_the_answer(serve: Serve, visit: Visit) -> None:
    page = visit(serve(delay=0.2).url, **DESK)
    ask(page, PENS)
    expect(last_answer(page).locator(".thought-head")).to_be_visible()
    page.keyboard.press("Escape")
    expect(last_answer(page).locator(".mark-line")).to_have_text("Stopped")


def test_enter_that_ends_a_composition_does_not_send(serve: Serve, visit: Visit) -> None:
    page = visit(serve().url, **DESK)
    expect(page.get_by_label("Message", exact=True)).to_be_focused()
    page.keyboard.type("ni")
    for more in ("isComposing: true", "keyCode: 229"):
        page.evaluate(
            "document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter',"
            f" bubbles: true, cancelable: true, {more}}}))"
        )
    page.wait_for_timeout(200)
    expect(page.locator(".message")).to_have_count(0)
    expect(page.get_by_label("Message", exact=True)).to_have_value("ni")


def test_a_screen_reader_is_told_of_the_answer_once(serve: Serve, visit: Visit) -> None:
    page = visit(serve(delay=0.02).url)
    greedy(page)
    page.evaluate(
        """() => { window.told = [];
        new MutationObserver(() => window.told.push(
            document.getElementById('announcement').textContent))
        .observe(document.getElementById('announcement'),
            {childList: true, characterData: true, subtree: true}) }"""
    )
    ask(page, PENS)
    answered(page)
    expect(page.locator("#announcement")).to_contain_text("118")
    told = page.evaluate("window.told")
    assert told == ["R1 is answering.", "R1 has answered: Ben pays 118 dollars."]


def test_a_phone_can_touch_everything(serve: Serve, visit: Visit) -> None:
    page = visit(serve().url)
    ask(page, AREA)
    answered(page)
    small = """() => Array.from(document.querySelectorAll('button, a, input, textarea'))
        .filter((one) => one.checkVisibility({visibilityProperty: true}))
        .filter((one) => !one.closest('[hidden]'))
        .map((one) => [one, one.getBoundingClientRect()])
        .filter(([one, box]) => box.width && (box.height < 43.5 || box.width < 43.5))
        .filter(([one]) => !one.matches('.model, .segment input, .markdown a'))
        .map(([one]) => one.outerHTML.slice(0, 120))"""
    assert page.evaluate(small) == []
    page.get_by_role("button", name="Show conversations").click()
    assert page.evaluate(small) == []
    page.get_by_role("button", name="Settings").first.click()
    for tab in ("Answers", "Model", "Page", "Privacy"):
        page.get_by_role("tab", name=tab).click()
        assert page.evaluate(small) == [], tab


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_is_wider_than_the_screen(serve: Serve, visit: Visit, width: int) -> None:
    page = visit(serve().url, viewport={"width": width, "height": 700})
    wide = "x" * 400 + "\n\n```\n" + "y" * 400 + "\n```\n\n$$" + "z+" * 200 + "z$$"
    bring(page, hold(wide, title="t" * 190))
    widths = page.evaluate(
        "[document.documentElement.scrollWidth, document.querySelector('.messages').scrollWidth -"
        " document.querySelector('.messages').clientWidth]"
    )
    assert widths == [width, 0]


def test_fields_are_large_enough_that_a_phone_does_not_zoom(serve: Serve, visit: Visit) -> None:
    page = visit(serve().url)
    page.locator(".composer").get_by_role("button", name="Settings").click()
    sizes = page.evaluate(
        "Array.from(document.querySelectorAll('input, textarea')).map((one) =>"
        " parseFloat(getComputedStyle(one).fontSize))"
    )
    assert min(sizes) >= 16


def test_whoever_scrolled_up_is_left_there(serve: Serve, visit: Visit) -> None:
    from fake_backend import FakeBackend, Script

    lines = [f"Line {number}.\n\n" for number in range(120)]
    backend = FakeBackend(Script(reasoning=(), answer=lines, delay=0.03))
    page = visit(serve(backend=backend).url)
    ask(page, "Count.")
    expect(page.get_by_text("Line 40.")).to_be_visible()
    behind = (
        "(() => { const box = document.querySelector('.messages');"
        " return box.scrollHeight - box.clientHeight - box.scrollTop })()"
    )
    assert page.evaluate(behind) < 60
    page.evaluate("document.querySelector('.messages').scrollTop = 100")
    page.wait_for_timeout(500)
    assert page.evaluate("document.querySelector('.messages').scrollTop") == 100
    page.get_by_role("button", name="To the newest message").click()
    page.wait_for_timeout(300)
    assert page.evaluate(behind) < 60
    answered(page)


def test_a_long_conversation_stays_quick(serve: Serve, visit: Visit) -> None:
    """Of 400 messages none but the growing one is drawn again while an answer comes."""
    page = visit(serve(delay=0.01).url)
    document = json.loads(hold(""))
    held = document["conversations"][0]
    held["messages"] = []
    for number in range(200):
        for role, id, parent in (
            ("user", f"q{number}", f"a{number - 1}" if number else None),
            ("assistant", f"a{number}", f"q{number}"),
        ):
            held["messages"].append(
                {"id": id, "parent": parent, "role": role, "created": 1.0, "content": f"*{id}*"}
            )
    bring_many = json.dumps(document)
    page.evaluate(
        "(body) => fetch('/api/import', {method: 'POST', headers: {'Content-Type':"
        " 'application/json'}, body})",
        bring_many,
    )
    page.goto(page.url.split("#")[0] + "#/c/held")
    page.reload()
    expect(page.locator(".message")).to_have_count(400)
    page.evaluate(
        """() => { window.drawn = 0;
        const old = Array.from(document.querySelectorAll('.message .markdown'));
        const watch = new MutationObserver((changes) => window.drawn += changes.length);
        for (const one of old) watch.observe(one, {childList: true, subtree: true}) }"""
    )
    ask(page, AREA)
    answered(page, 201)
    assert page.evaluate("window.drawn") == 0
