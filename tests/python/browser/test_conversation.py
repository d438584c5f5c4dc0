"""Conversations on the page: begun, found again, exported, branched, stopped, resumed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from browsing import AREA, DESK, PAGES, PENS, Serve, Visit, answered, ask, greedy, last_answer
from playwright.sync_api import expect


def test_a_first_conversation_is_found_again_after_a_restart_and_exported(
    serve: Serve, visit: Visit, tmp_path: Path
) -> None:
    server = serve()
    page = visit(server.url)
    greedy(page)
    ask(page, PENS)
    answered(page)
    expect(last_answer(page).locator(".katex")).to_contain_text("118")
    expect(last_answer(page).get_by_role("button", name="Thought")).to_be_visible()
    server.stop()

    server = serve()
    page = visit(server.url)
    page.get_by_role("button", name="Show conversations").click()
    page.get_by_label("Search conversations").fill("notebook")
    page.get_by_role("link", name=re.compile("A pen costs")).click()
    expect(page.locator(".question .bubble")).to_have_text(PENS)
    expect(last_answer(page).locator(".katex")).to_contain_text("118")

    for label, suffix in (("Markdown", ".md"), ("JSON", ".json")):
        page.get_by_role("button", name="Actions for this conversation").click()
        with page.expect_download() as download:
            page.get_by_role("menuitem", name=f"Export as {label}").click()
        assert download.value.suggested_filename.endswith(suffix)
        assert "pen costs" in download.value.suggested_filename
        download.value.save_as(tmp_path / f"saved{suffix}")
    assert "118" in (tmp_path / "saved.md").read_text(encoding="utf-8")
    exported = json.loads((tmp_path / "saved.json").read_text(encoding="utf-8"))
    assert [m["role"] for m in exported["conversations"][0]["messages"]] == ["user", "assistant"]


def test_exports_are_imported_again(serve: Serve, visit: Visit, tmp_path: Path) -> None:
    server = serve()
    page = visit(server.url, **DESK)
    ask(page, AREA)
    answered(page)
    for label, name in (("Markdown", "saved.md"), ("JSON", "saved.json")):
        page.get_by_role("button", name="Actions for this conversation").click()
        with page.expect_download() as download:
            page.get_by_role("menuitem", name=f"Export as {label}").click()
        download.value.save_as(tmp_path / name)

    page.get_by_role("button", name="Privacy").click()
    page.get_by_role("button", name="Erase all conversations").click()
    page.get_by_role("button", name="Delete").click()
    expect(page.locator(".entry")).to_have_count(0)

    for count, name in enumerate(("saved.md", "saved.json"), 1):
        page.get_by_role("button", name="Privacy").click()
        page.locator("#import-file").set_input_files(tmp_path / name)
        expect(page.get_by_text("1 conversation was imported.")).to_be_visible()
        expect(page.locator(".entry")).to_have_count(count)
    for entry in page.locator(".entry a").all():
        entry.click()
        expect(page.locator(".question .bubble")).to_have_text(AREA)
        expect(page.locator(".answer .markdown")).to_be_visible()


def test_a_file_that_is_no_export_is_refused_in_words(
    serve: Serve, visit: Visit, tmp_path: Path
) -> None:
    page = visit(serve().url, **DESK)
    wrong = tmp_path / "wrong.json"
    for text in ("{", "[]", '{"format": "other"}'):
        wrong.write_text(text, encoding="utf-8")
        page.get_by_role("button", name="Privacy").click()
        page.locator("#import-file").set_input_files(wrong)
        expect(page.get_by_role("alert")).to_contain_text("not an export of Pocket R1")
        page.get_by_role("button", name="Dismiss").click()


def test_the_thought_is_folded_with_its_duration_and_opens(serve: Serve, visit: Visit) -> None:
    page = visit(serve(delay=0.05).url)
    greedy(page)
    ask(page, PENS)
    thought = last_answer(page).locator(".thought-head")
    expect(thought).to_have_text(re.compile(r"Thinking… \d+ s"))
    expect(last_answer(page).locator(".thought-body")).to_have_count(0)
    answered(page)
    expect(thought).to_have_text(re.compile(r"Thought for \d+ s"))
    assert thought.get_attribute("aria-expanded") == "false"
    thought.click()
    expect(last_answer(page).locator(".thought-body")).to_contain_text("48+70")


def test_an_edited_question_is_a_branch(serve: Serve, visit: Visit) -> None:
    page = visit(serve().url)
    greedy(page)
    ask(page, AREA)
    answered(page)
    page.locator(".question").get_by_role("button", name="Edit").click()
    field = page.get_by_label("Edit the question")
    expect(field).to_be_focused()
    field.fill(PAGES)
    field.press("Enter")
    expect(page.locator(".question .bubble")).to_have_text(PAGES)
    answered(page)
    expect(last_answer(page).locator(".katex")).to_contain_text("114")
    branches = page.locator(".question").get_by_role("group", name="Branch 2 of 2")
    branches.get_by_role("button", name="Previous branch").click()
    expect(page.locator(".question .bubble")).to_have_text(AREA)
    expect(last_answer(page).locator(".katex")).to_contain_text("126")

    page.reload()
    expect(page.locator(".question .bubble")).to_have_text(AREA)
    expect(page.get_by_role("group", name="Branch 1 of 2")).to_be_visible()


def test_another_answer_is_a_branch(serve: Serve, visit: Visit) -> None:
    page = visit(serve().url)
    ask(page, AREA)
    answered(page)
    page.get_by_role("button", name="Answer again").click()
    expect(page.locator(".answer").get_by_role("group", name="Branch 2 of 2")).to_be_visible()
    answered(page)
    page.get_by_role("button", name="Previous branch").click()
    expect(page.locator(".answer").get_by_role("group", name="Branch 1 of 2")).to_be_visible()


def test_a_stopped_answer_keeps_what_came(serve: Serve, visit: Visit) -> None:
    server = serve(delay=0.2)
    page = visit(server.url)
    ask(page, PENS)
    expect(last_answer(page).locator(".thought-head")).to_contain_text("Thinking")
    page.wait_for_timeout(1500)
    page.get_by_role("button", name="Stop the answer").click()
    expect(last_answer(page).locator(".mark-line")).to_have_text("Stopped")
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_visible()
    last_answer(page).locator(".thought-head").click()
    assert last_answer(page).locator(".thought-body").inner_text().strip()
    page.reload()
    expect(last_answer(page).locator(".mark-line")).to_have_text("Stopped")


def test_an_answer_resumes_where_the_connection_broke(
    serve: Serve, visit: Visit, cutting: Callable[[int], Any]
) -> None:
    server = serve(delay=0.08)
    line = cutting(server.port)
    page = visit(line.url)
    greedy(page)
    ask(page, PENS)
    expect(last_answer(page).locator(".thought-head")).to_contain_text("Thinking")
    last_answer(page).locator(".thought-head").click()
    for _ in range(3):
        page.wait_for_timeout(700)
        line.cut()
    line.die()
    expect(page.get_by_text("The connection broke. Connecting again…")).to_be_visible()
    line.live()
    answered(page)
    thought = last_answer(page).locator(".thought-body").inner_text()
    assert thought.count("12×4") == 1
    assert last_answer(page).locator(".katex").inner_text().count("118") >= 1

    kept = page.evaluate(
        "fetch('/api/conversations/' + location.hash.slice(4)).then((answer) => answer.json())"
    )
    shown = re.sub(r"\s", "", thought)
    assert shown == re.sub(r"\s", "", kept["messages"][-1]["reasoning"])


def test_a_reloaded_page_attaches_to_the_running_answer(serve: Serve, visit: Visit) -> None:
    page = visit(serve(delay=0.08).url)
    greedy(page)
    ask(page, PENS)
    expect(last_answer(page).locator(".thought-head")).to_contain_text("Thinking")
    page.wait_for_timeout(500)
    page.reload()
    expect(last_answer(page).locator(".thought-head")).to_have_text(re.compile(r"Thinking… \d+ s"))
    expect(page.get_by_role("button", name="Stop the answer")).to_be_visible()
    answered(page)
    expect(last_answer(page).locator(".katex")).to_contain_text("118")


def test_a_server_that_is_gone_and_back_is_told_in_words(
    serve: Serve, visit: Visit, cutting: Callable[[int], Any]
) -> None:
    line = cutting(serve().port)
    page = visit(line.url)
    line.die()
    ask(page, AREA)
    expect(page.get_by_role("alert")).to_contain_text("The server cannot be reached")
    expect(page.get_by_label("Message", exact=True)).to_have_value(AREA)
    line.live()
    page.get_by_role("button", name="Send", exact=True).click()
    answered(page)


def test_a_busy_server_is_waited_for_and_said_so(serve: Serve, visit: Visit) -> None:
    page = visit(serve().url)
    turned_away = []

    def busy(route: Any) -> None:
        turned_away.append(route.request.url)
        if len(turned_away) > 1:
            route.fallback()
            return
        route.fulfill(
            status=429,
            headers={"Retry-After": "2"},
            json={"error": {"message": "busy", "type": "busy", "code": "busy", "param": None}},
        )

    page.route("**/api/conversations/*/messages", busy)
    ask(page, AREA)
    expect(
        page.get_by_text(re.compile(r"The model is busy. Asking again in \d s…"))
    ).to_be_visible()
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    answered(page)
    assert len(turned_away) == 2
    expect(page.get_by_text("The model is busy")).to_have_count(0)


def test_waiting_for_a_busy_server_can_be_given_up(serve: Serve, visit: Visit) -> None:
    page = visit(serve().url)
    page.route(
        "**/api/conversations/*/messages",
        lambda route: route.fulfill(status=429, headers={"Retry-After": "30"}, body="{}"),
    )
    ask(page, AREA)
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_label("Message", exact=True)).to_have_value(AREA)
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_enabled()


def test_an_answer_that_failed_says_why_and_can_be_tried_again(serve: Serve, visit: Visit) -> None:
    from fake_backend import FakeBackend, Script

    from pocketr1.errors import ContextFullError

    full = ContextFullError("context-too-long", tokens=5000, limit=4096)
    page = visit(serve(backend=FakeBackend(Script(error=full), Script())).url)
    ask(page, AREA)
    expect(last_answer(page)).to_contain_text("no longer fits the model’s context")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_text("Hello there.", exact=True)).to_be_visible()


def test_a_conversation_is_renamed_and_deleted(serve: Serve, visit: Visit) -> None:
    page = visit(serve().url, **DESK)
    ask(page, AREA)
    answered(page)
    page.locator(".entry").get_by_role("button", name="Actions for").click()
    page.get_by_role("menuitem", name="Rename").click()
    page.get_by_label("Title").fill("Rectangles")
    page.get_by_label("Title").press("Enter")
    expect(page.locator(".entry")).to_have_text("Rectangles")
    expect(page.get_by_role("heading", level=1)).to_have_text("Rectangles")
    page.locator(".entry").get_by_role("button", name="Actions for").click()
    page.get_by_role("menuitem", name="Delete").click()
    expect(page.get_by_role("dialog")).to_contain_text("Rectangles")
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.locator(".entry")).to_have_count(0)
    expect(page.get_by_role("heading", name="What shall we work out?")).to_be_visible()


def test_settings_reach_the_model(serve: Serve, visit: Visit) -> None:
    page = visit(serve().url)
    page.get_by_role("button", name="Settings").last.click()
    page.get_by_label("Longest reply").fill("5")
    page.get_by_label("Temperature").fill("9")
    page.get_by_label("Temperature").blur()
    expect(page.get_by_role("alert")).to_have_text("A number from 0 to 2.")
    page.get_by_label("Temperature").fill("0")
    page.get_by_label("Temperature").blur()
    expect(page.get_by_role("alert").filter(has_text="A number")).to_have_count(0)
    page.get_by_role("switch", name="Think before answering").uncheck()
    page.get_by_role("button", name="Close").click()
    expect(page.get_by_role("button", name="Think", exact=True)).to_have_attribute(
        "aria-pressed", "false"
    )
    ask(page, PENS)
    answered(page)
    expect(last_answer(page).locator(".mark-line")).to_contain_text("length limit")
    expect(last_answer(page).locator(".thought")).to_have_count(0)
    expect(last_answer(page).locator(".figures")).to_contain_text("5 tokens")


def test_the_key_is_asked_for_once(serve: Serve, visit: Visit) -> None:
    page = visit(serve(api_key="open-sesame-open-sesame").url)
    page.get_by_label("Key", exact=True).fill("wrong")
    page.get_by_label("Key", exact=True).press("Enter")
    expect(page.get_by_role("alert").filter(has_text="not the key")).to_be_visible()
    page.get_by_label("Key", exact=True).fill("open-sesame-open-sesame")
    page.get_by_label("Key", exact=True).press("Enter")
    expect(page.get_by_role("heading", name="What shall we work out?")).to_be_visible()
    ask(page, AREA)
    answered(page)
    page.reload()
    expect(page.locator(".question .bubble")).to_have_text(AREA)


def test_everything_is_erased_after_a_question(serve: Serve, visit: Visit) -> None:
    page = visit(serve().url, **DESK)
    ask(page, AREA)
    answered(page)
    page.get_by_role("button", name="Privacy").click()
    expect(page.get_by_role("dialog")).to_contain_text("conversations.db")
    page.get_by_role("button", name="Erase all conversations").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".entry")).to_have_count(1)
    page.get_by_role("button", name="Privacy").click()
    page.get_by_role("button", name="Erase all conversations").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("All conversations are erased.")).to_be_visible()
    expect(page.locator(".entry")).to_have_count(0)
