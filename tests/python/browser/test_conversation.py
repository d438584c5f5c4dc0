"""Conversations on the page: begun, found again, exported, branched, stopped, resumed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from browsing import (
    AREA,
    DESK,
    PAGES,
    PENS,
    Serve,
    Visit,
    answered,
    ask,
    bring,
    greedy,
    hold,
    last_answer,
)
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


def test_headings_and_code_survive_a_markdown_export(
    serve: Serve, visit: Visit, tmp_path: Path
) -> None:
    text = "## You\n\nsay\n\n## tiny\n\n```md\n## You\n```\n\n## 我\n\nand"
    page = visit(serve().url, **DESK)
    document = json.loads(hold(text))
    document["conversations"][0]["messages"][0]["content"] = text
    bring(page, json.dumps(document))
    page.get_by_role("button", name="Actions for this conversation").click()
    with page.expect_download() as download:
        page.get_by_role("menuitem", name="Export as Markdown").click()
    download.value.save_as(tmp_path / "saved.md")
    page.get_by_role("button", name="Privacy").click()
    page.locator("#import-file").set_input_files(tmp_path / "saved.md")
    expect(page.locator(".entry")).to_have_count(2)
    page.locator(".entry:not(.here) a").click()
    expect(page.locator(".entry.here")).to_have_count(1)
    page.wait_for_function("location.hash !== '#/c/held'")
    kept = page.evaluate(
        "fetch('/api/conversations/' + location.hash.slice(4)).then((answer) => answer.json())"
    )
    assert [message["content"] for message in kept["messages"]] == [text, text]


def test_a_search_finds_what_was_said(serve: Serve, visit: Visit) -> None:
    page = visit(serve().url, **DESK)
    bring(page, hold("The *capybara* sleeps.", title="An animal"))
    page.get_by_role("button", name="New conversation").first.click()
    ask(page, AREA)
    answered(page)
    expect(page.locator(".entry")).to_have_count(2)
    field = page.get_by_label("Search conversations")
    field.fill("capybara")
    expect(page.locator(".entry-title")).to_have_text(["An animal"])
    expect(page.locator(".entry-snippet")).to_contain_text("capybara")
    field.fill("no such word")
    expect(page.get_by_text("Nothing found.")).to_be_visible()
    field.press("Escape")
    expect(page.locator(".entry")).to_have_count(2)


def test_a_question_and_an_answer_are_copied_as_they_were_written(
    serve: Serve, visit: Visit
) -> None:
    page = visit(serve().url, permissions=["clipboard-read", "clipboard-write"])
    bring(page, hold("**bold** $x^2$\n\n- one"))
    page.get_by_role("button", name="Copy", exact=True).click()
    assert page.evaluate("navigator.clipboard.readText()") == "Show me."
    page.get_by_role("button", name="Copy the answer").click()
    expect(page.locator(".answer").get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "**bold** $x^2$\n\n- one"


def test_another_tab_sees_what_was_said_and_what_is_gone(serve: Serve, visit: Visit) -> None:
    server = serve()
    page = visit(server.url, **DESK)
    ask(page, AREA)
    answered(page)
    other = page.context.new_page()
    other.goto(page.url)
    ask(other, PENS)
    answered(other, 2)

    def look() -> None:
        page.wait_for_timeout(1100)  # it looks once a second at most
        page.evaluate("dispatchEvent(new Event('focus'))")

    look()
    answered(page, 2)
    expect(page.locator(".question .bubble")).to_have_text([AREA, PENS])

    other.get_by_role("button", name="Answer again").first.click()
    answered(other, 1)
    look()
    expect(page.locator(".answer").first.get_by_role("group", name="Branch 1 of 2")).to_be_visible()
    expect(page.locator(".question .bubble")).to_have_text([AREA, PENS])

    other.get_by_role("button", name="Privacy").click()
    other.get_by_role("button", name="Erase all conversations").click()
    other.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(other.get_by_text("All conversations are erased.")).to_be_visible()
    look()
    expect(page.get_by_role("alert")).to_contain_text("no longer there")
    expect(page.locator(".message")).to_have_count(0)
    expect(page.locator(".entry")).to_have_count(0)


def test_tabs_do_not_undo_each_other_s_choices(serve: Serve, visit: Visit) -> None:
    server = serve()
    page = visit(server.url, **DESK)
    other = page.context.new_page()
    other.goto(server.url)
    other.get_by_role("button", name="Settings").last.click()
    other.get_by_label("System prompt").fill("Be brief.")
    other.get_by_label("System prompt").blur()
    page.get_by_role("button", name="Think", exact=True).click()
    page.wait_for_timeout(200)
    assert page.evaluate("JSON.parse(localStorage.pocketr1).system") == "Be brief."


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


def test_a_full_model_is_waited_for_and_said_so(serve: Serve, visit: Visit) -> None:
    from fake_backend import FakeBackend, Script

    from pocketr1.errors import BusyError

    full = BusyError("server-busy", waiting=64, retry_after=2)
    page = visit(serve(backend=FakeBackend(Script(error=full), Script())).url)
    ask(page, AREA)
    expect(last_answer(page)).to_contain_text("The model is busy. Waiting for room…")
    expect(page.locator("#announcement")).to_have_text("The model is busy. Waiting for room…")
    expect(page.get_by_text("Hello there.", exact=True)).to_be_visible()
    expect(page.get_by_text("Waiting for room")).to_have_count(0)


def test_waiting_for_room_can_be_given_up(serve: Serve, visit: Visit) -> None:
    from fake_backend import FakeBackend, Script

    from pocketr1.errors import BusyError

    full = BusyError("server-busy", waiting=64, retry_after=30)
    page = visit(serve(backend=FakeBackend(Script(error=full))).url)
    ask(page, AREA)
    expect(last_answer(page)).to_contain_text("Waiting for room")
    page.get_by_role("button", name="Stop the answer").click()
    expect(last_answer(page).locator(".mark-line")).to_have_text("Stopped")
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_visible()


def test_a_stop_that_is_refused_says_why(serve: Serve, visit: Visit) -> None:
    page = visit(serve(delay=0.2).url)
    why = "Another process writes this reply."
    page.route(
        "**/api/replies/*/stop",
        lambda route: route.fulfill(status=409, json={"error": {"message": why, "code": "c"}}),
    )
    ask(page, PENS)
    expect(last_answer(page).locator(".thought-head")).to_contain_text("Thinking")
    page.get_by_role("button", name="Stop the answer").click()
    expect(page.get_by_role("alert")).to_have_text(why)
    expect(page.get_by_role("button", name="Stop the answer")).to_be_visible()


def test_a_question_without_an_answer_is_answered_or_asked_otherwise(
    serve: Serve, visit: Visit
) -> None:
    page = visit(serve().url)
    document = json.loads(hold("Well."))
    said = document["conversations"][0]["messages"]
    said.append({"id": "q2", "parent": "a", "role": "user", "content": AREA, "created": 1.0})
    bring(page, json.dumps(document))
    greedy(page)
    ask(page, PENS)
    answered(page, 2)
    expect(last_answer(page).locator(".katex")).to_contain_text("118")
    page.get_by_role("button", name="Previous branch").click()
    expect(page.locator(".question .bubble")).to_have_text(["Show me.", AREA])
    page.get_by_role("button", name="Answer", exact=True).click()
    answered(page, 2)
    expect(last_answer(page).locator(".katex")).to_contain_text("126")
    expect(page.get_by_role("button", name="Answer", exact=True)).to_have_count(0)


def test_a_question_whose_arrival_was_not_heard_of_is_not_asked_twice(
    serve: Serve, visit: Visit
) -> None:
    page = visit(serve().url)
    sent = []

    def lose(route: Any) -> None:
        sent.append(route.request.post_data)
        route.fetch()
        route.abort()

    page.route("**/api/conversations/*/messages", lose)
    ask(page, AREA)
    expect(page.get_by_role("alert")).to_contain_text("The server cannot be reached")
    expect(page.get_by_label("Message", exact=True)).to_have_value(AREA)
    page.get_by_role("button", name="Send", exact=True).click()
    answered(page)
    expect(page.locator(".question .bubble")).to_have_text(AREA)
    expect(page.get_by_role("group", name="Branch")).to_have_count(0)
    assert len(sent) == 1
    page.unroute("**/api/conversations/*/messages")
    ask(page, AREA)
    answered(page, 2)


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


def test_system_prompts_stay_where_they_were_written(serve: Serve, visit: Visit) -> None:
    page = visit(serve().url, **DESK)
    page.evaluate("localStorage.setItem('pocketr1', '{\"system\": \"For new ones.\"}')")

    def change(own: str | None) -> tuple[str | None, str]:
        """Change settings of a conversation; return its system prompt and that of new ones."""
        document = json.loads(hold("Well."))
        document["conversations"][0]["system"] = own
        bring(page, json.dumps(document))
        with page.expect_response(lambda answer: answer.request.method == "PATCH"):
            page.get_by_role("button", name="Think", exact=True).click()
        page.locator(".composer").get_by_role("button", name="Settings").click()
        with page.expect_response(lambda answer: answer.request.method == "PATCH"):
            page.get_by_label("Temperature").fill("0.5")
            page.get_by_label("Temperature").blur()
        kept, default = page.evaluate(
            """async () => [(await (await fetch('/api/conversations/held')).json()).system,
            JSON.parse(localStorage.pocketr1).system]"""
        )
        page.evaluate("fetch('/api/conversations', {method: 'DELETE'})")
        page.goto(page.url.split("#")[0] + "#/")
        return kept, default

    assert change(None) == (None, "For new ones.")
    assert change("A secret.") == ("A secret.", "For new ones.")


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
