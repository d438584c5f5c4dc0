"""Conversations over HTTP, and replies that go on without their listeners."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from conversing import SLOW, Client, until
from event_source import EventSource
from fake_backend import FakeBackend, Script

from pocketr1.chat.history import FILE, History
from pocketr1.errors import ContextFullError
from pocketr1.server.app import Settings, build_app
from pocketr1.server.conversations import replies
from pocketr1.server.http import RunningServer


def test_a_question_is_answered_and_kept(serve: Callable[..., Client]) -> None:
    client = serve(Script(reasoning=["Let me ", "see."], answer=["It is ", "blue."]))
    id = client.begin()
    user, reply = client.ask(id, "What colour is the sky?")
    assert (user["role"], user["state"], user["parent"]) == ("user", "done", None)
    assert (reply["role"], reply["state"], reply["parent"]) == ("assistant", "running", user["id"])
    source = client.hear(reply)
    assert source.kinds() == ["begun", "piece", "piece", "piece", "piece", "ended"]
    assert source.text("reasoning") == "Let me see."
    assert source.text("answer") == "It is blue."
    kept = client.read(id)
    assert kept["title"] == "What colour is the sky?"
    assert kept["leaf"] == reply["id"]
    assert kept["messages"] == [user, source.heard[-1][1]]
    answer = kept["messages"][1]
    assert (answer["content"], answer["reasoning"]) == ("It is blue.", "Let me see.")
    assert (answer["state"], answer["finish_reason"]) == ("done", "stop")
    assert answer["stats"]["completion_tokens"] == len("Let me see.It is blue.")
    assert answer["stats"]["reasoning_tokens"] == len("Let me see.")
    begun = source.heard[0][1]
    assert begun["thinking"] and begun["prompt_tokens"] == answer["stats"]["prompt_tokens"]


def test_a_dropped_connection_resumes_where_it_broke(serve: Callable[..., Client]) -> None:
    client = serve(Script(reasoning=["a ", "b "], answer=list("hello world"), delay=0.005))
    _, reply = client.ask(client.begin(), "Hello")
    source = client.listen(reply)
    while "ended" not in source.kinds():
        assert source.connect(until=3) == 200
    assert source.text("answer") == "hello world"
    assert source.kinds().count("begun") == 1
    assert client.backend.closed == 0
    assert source.connect() == 204


def test_a_listener_may_say_in_the_address_what_it_has_heard(serve: Callable[..., Client]) -> None:
    client = serve()
    _, reply = client.ask(client.begin(), "Hello")
    client.hear(reply)
    source = EventSource(client.http, f"/api/replies/{reply['id']}/events?after=3")
    source.connect()
    assert source.text("answer") == "Hello there." and source.text("reasoning") == ""
    for bad in ("-1", "x", "9" * 30):
        assert client.error("GET", f"/api/replies/{reply['id']}/events?after={bad}", 400)


def test_a_reply_goes_on_when_nobody_listens(serve: Callable[..., Client]) -> None:
    client = serve(Script(answer=["x"] * 50, delay=0.002))
    id = client.begin()
    client.ask(id, "Hello")
    until(lambda: client.last(id)["state"] == "done")
    assert client.last(id)["content"] == "x" * 50


def test_several_listen_to_one_reply(serve: Callable[..., Client]) -> None:
    client = serve(Script(answer=list("abcdef"), delay=0.01))
    _, reply = client.ask(client.begin(), "Hello")
    first, second = client.listen(reply), client.listen(reply)
    first.connect(until=2)
    second.connect()
    first.connect()
    assert first.text("answer") == second.text("answer") == "abcdef"


def test_a_stopped_reply_keeps_what_came(serve: Callable[..., Client]) -> None:
    client = serve(SLOW)
    id = client.begin()
    _, reply = client.ask(id, "Hello")
    source = client.listen(reply)
    source.connect(until=10)
    stopped = client.call("POST", f"/api/replies/{reply['id']}/stop")
    assert (stopped["state"], stopped["finish_reason"]) == ("stopped", "cancelled")
    assert stopped["content"].startswith("word ") and stopped["reasoning"] == "hm " * 5
    assert client.last(id) == stopped
    assert client.backend.running == 0
    source.connect()
    assert source.heard[-1] == ("ended", stopped)
    assert client.call("POST", f"/api/replies/{reply['id']}/stop") == stopped


def test_a_text_is_kept_while_it_grows(serve: Callable[..., Client], tmp_path: Path) -> None:
    client = serve(SLOW)
    _, reply = client.ask(client.begin(), "Hello")
    with History(tmp_path / FILE) as other:
        until(lambda: "word " in other.message(reply["id"]).content)
        assert other.message(reply["id"]).state == "running"


def test_the_same_parent_again_is_a_branch(serve: Callable[..., Client]) -> None:
    client = serve()
    id = client.begin()
    user, reply = client.ask(id, "First")
    client.hear(reply)
    _, edited = client.ask(id, "First, edited")
    client.hear(edited)
    again = client.call(
        "POST", f"/api/conversations/{id}/replies", 201, json={"parent": user["id"]}
    )
    client.hear(again["reply"])
    kept = client.read(id)
    assert [message["parent"] for message in kept["messages"]].count(None) == 2
    assert [m["parent"] for m in kept["messages"]].count(user["id"]) == 2
    assert kept["leaf"] == again["reply"]["id"]
    client.call("PATCH", f"/api/conversations/{id}", json={"leaf": edited["id"]})
    assert client.read(id)["leaf"] == edited["id"]


def test_the_model_gets_the_branch_with_its_thoughts(serve: Callable[..., Client]) -> None:
    client = serve(Script(reasoning=["Hm."], answer=["One."]))
    id = client.begin(system="Be brief.")
    _, reply = client.ask(id, "A")
    client.hear(reply)
    _, other = client.ask(id, "not this")
    client.hear(other)
    _, second = client.ask(id, "B", parent=reply["id"])
    client.hear(second)
    assert list(client.backend.tasks[-1].prompt) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "A"},
        {"role": "assistant", "content": "<think>\nHm.\n</think>\n\nOne."},
        {"role": "user", "content": "B"},
    ]


def test_settings_of_a_reply_go_before_those_of_the_conversation(
    serve: Callable[..., Client],
) -> None:
    client = serve()
    id = client.begin(settings={"temperature": 0.1, "seed": 5, "think": False})
    _, reply = client.ask(id, "A", settings={"temperature": 0, "max_tokens": 9, "think_budget": 3})
    client.hear(reply)
    task = client.backend.tasks[-1]
    assert (task.sampling.temperature, task.sampling.seed, task.sampling.top_p) == (0, 5, 0.95)
    assert (task.think, task.max_tokens, task.think_budget) == (False, 9, 3)


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": -1},
        {"top_p": 0},
        {"max_tokens": 0},
        {"seed": True},
        {"temperatur": 1},
        {"think": "yes"},
        {"top_k": 1.5},
    ],
)
def test_bad_settings_are_refused(serve: Callable[..., Client], settings: dict[str, Any]) -> None:
    client = serve()
    id = client.begin()
    path = f"/api/conversations/{id}/messages"
    assert client.error("POST", path, 400, json={"content": "A", "settings": settings})
    assert client.read(id)["messages"] == []


def test_a_full_context_comes_as_failed_and_is_kept(serve: Callable[..., Client]) -> None:
    full = ContextFullError("context-too-long", tokens=9, limit=8)
    client = serve(Script(error=full), Script())
    id = client.begin()
    _, reply = client.ask(id, "Too long")
    source = client.hear(reply)
    assert source.heard[-1][0] == "failed"
    assert source.heard[-1][1]["code"] == "context-too-long"
    failed = client.last(id)
    assert failed["state"] == "failed" and failed["error"] == source.heard[-1][1]
    assert source.connect() == 204
    # The question that did not fit is not asked again with the next.
    _, second = client.ask(id, "Short", parent=reply["id"])
    client.hear(second)
    assert list(client.backend.tasks[-1].prompt) == [{"role": "user", "content": "Short"}]


def test_a_fault_of_ours_ends_the_reply(serve: Callable[..., Client]) -> None:
    # An error whose text cannot be made is one.
    client = serve(Script(error=ContextFullError("context-too-long")))
    _, reply = client.ask(client.begin(), "A")
    assert client.hear(reply).heard[-1][1]["code"] == "server-fault"


def test_deleting_a_conversation_stops_its_replies(serve: Callable[..., Client]) -> None:
    client = serve(SLOW)
    id = client.begin()
    _, reply = client.ask(id, "Hello")
    client.listen(reply).connect(until=2)
    client.call("DELETE", f"/api/conversations/{id}", 204)
    assert client.backend.running == 0
    assert client.error("GET", f"/api/conversations/{id}", 404) == "history-no-conversation"
    assert client.error("GET", f"/api/replies/{reply['id']}/events", 404) == "history-no-message"


def test_a_conversation_that_another_process_deletes_stops_its_replies(
    serve: Callable[..., Client], tmp_path: Path
) -> None:
    client = serve(SLOW)
    id = client.begin()
    client.ask(id, "Hello")
    with History(tmp_path / FILE) as other:
        other.delete(id)
    until(lambda: client.backend.running == 0)


def test_all_can_be_erased(serve: Callable[..., Client], tmp_path: Path) -> None:
    client = serve(SLOW)
    client.ask(client.begin(), "the secret word is xyzzy")
    client.call("DELETE", "/api/conversations", 204)
    assert client.backend.running == 0
    assert client.call("GET", "/api/conversations")["conversations"] == []
    assert not any(b"xyzzy" in path.read_bytes() for path in tmp_path.iterdir() if path.is_file())


def test_a_question_cannot_follow_what_is_not_there(serve: Callable[..., Client]) -> None:
    client = serve(SLOW)
    id, other = client.begin(), client.begin()
    user, reply = client.ask(id, "A")
    path = f"/api/conversations/{id}/messages"
    ask = {"content": "B"}
    assert client.error("POST", path, 409, json={**ask, "parent": reply["id"]}) == (
        "history-parent-running"
    )
    assert client.error("POST", path, 400, json={**ask, "parent": user["id"]}) == "history-parent"
    elsewhere = f"/api/conversations/{other}/messages"
    assert client.error("POST", elsewhere, 404, json={**ask, "parent": reply["id"]})
    assert client.error("POST", path, 400, json={**ask, "parent": "../../etc"})
    assert client.error("POST", "/api/conversations/none/messages", 404, json=ask)
    path = f"/api/conversations/{id}/replies"
    assert client.error("POST", path, 400, json={"parent": reply["id"]}) == "history-parent"
    client.call("POST", f"/api/replies/{reply['id']}/stop")


def test_the_list_pages_and_searches(serve: Callable[..., Client]) -> None:
    client = serve(Script(reasoning=(), answer=["瑞利散射使天空发蓝。"]))
    for question in ("one", "two", "天空为什么是蓝色的？"):
        _, reply = client.ask(client.begin(), question)
        client.hear(reply)
    page = client.call("GET", "/api/conversations?limit=2")
    assert [c["title"] for c in page["conversations"]] == ["天空为什么是蓝色的？", "two"]
    rest = client.call("GET", "/api/conversations", params={"before": page["next"]})
    assert [c["title"] for c in rest["conversations"]] == ["one"] and rest["next"] is None
    (found,) = client.call("GET", "/api/conversations", params={"q": "蓝色 天空"})["conversations"]
    assert "天空" in found["snippet"] and found["messages"] == 2
    assert len(client.call("GET", "/api/conversations?q=散射")["conversations"]) == 3
    assert client.error("GET", "/api/conversations?limit=0", 400)
    assert client.error("GET", "/api/conversations?before=x", 400) == "history-cursor"


def test_a_conversation_is_renamed_and_given_a_system_prompt(serve: Callable[..., Client]) -> None:
    client = serve()
    id = client.begin()
    path = f"/api/conversations/{id}"
    changed = client.call("PATCH", path, json={"title": "天空", "system": "Be brief."})
    assert (changed["title"], changed["system"]) == ("天空", "Be brief.")
    _, reply = client.ask(id, "A question")
    client.hear(reply)
    assert client.read(id)["title"] == "天空"
    changed = client.call("PATCH", path, json={"system": None, "settings": {"top_k": 3}})
    assert (changed["system"], changed["settings"]) == (None, {"top_k": 3})
    assert client.error("PATCH", path, 404, json={"leaf": "none"}) == "history-no-message"
    assert client.error("PATCH", path, 400, json={"title": ""})


def test_exports_come_back(serve: Callable[..., Client]) -> None:
    client = serve()
    id = client.begin()
    _, reply = client.ask(id, 'Why? "a/b" 天空')
    client.hear(reply)
    before = client.read(id)
    one = client.http.get(f"/api/conversations/{id}/export")
    assert one.headers["content-disposition"] == (
        f'attachment; filename="{id}.json"; '
        "filename*=UTF-8''Why%20a%20b%20%E5%A4%A9%E7%A9%BA.json"
    )
    every = client.http.get("/api/export?format=json").json()
    assert every["conversations"] == one.json()["conversations"]
    assert client.call("POST", "/api/import", json=every) == {"imported": 0}
    client.call("DELETE", f"/api/conversations/{id}", 204)
    assert client.call("POST", "/api/import", json=every) == {"imported": 1}
    assert client.read(id) == before
    text = client.http.get(f"/api/conversations/{id}/export?format=markdown")
    assert text.headers["content-type"].startswith("text/markdown")
    assert "Hello there." in text.text and "> Let me think." in text.text
    assert client.error("GET", f"/api/conversations/{id}/export?format=pdf", 400)
    every["conversations"][0]["messages"][0]["parent"] = "nobody"
    assert client.error("POST", "/api/import", 400, json=every) == "history-import"


def test_a_store_that_cannot_be_used_is_told_and_the_rest_works(
    serve: Callable[..., Client], tmp_path: Path
) -> None:
    (tmp_path / FILE).write_bytes(b"no database at all, and long enough to tell" * 100)
    client = serve()
    assert client.error("GET", "/api/conversations", 500) == "history-foreign"
    assert client.call("GET", "/api/info")["model"]["name"] == "fake"
    (tmp_path / FILE).unlink()
    assert client.call("GET", "/api/conversations")["conversations"] == []


def test_info_and_load_say_what_there_is(serve: Callable[..., Client], tmp_path: Path) -> None:
    client = serve()
    info = client.call("GET", "/api/info")
    assert info["model"]["max_context"] == 4096 and info["defaults"]["temperature"] == 0.6
    assert info["privacy"]["conversations"] == str(tmp_path / FILE)
    assert client.call("GET", "/api/load")["kv_pages_limit"] == 64


def test_a_server_that_ends_keeps_its_replies_as_stopped(tmp_path: Path) -> None:
    settings = Settings(port=0, data=tmp_path)
    app = build_app(FakeBackend(SLOW), settings)
    with RunningServer(app, settings) as server:
        http = httpx.Client(base_url=server.url, trust_env=False)
        client = Client(app.state.backend, http)
        id = client.begin()
        _, reply = client.ask(id, "Hello")
        client.listen(reply).connect(until=8)
    http.close()
    with History(tmp_path / FILE) as kept:
        message = kept.message(reply["id"])
    assert message.state == "stopped" and message.content.startswith("word ")


def test_a_reply_of_another_process_is_followed(
    serve: Callable[..., Client], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replies, "_LOOK_SECONDS", 0.01)
    client = serve()
    id = client.begin()
    with History(tmp_path / FILE) as terminal:
        from pocketr1.chat.history import Outcome

        _, reply = terminal.ask(id, None, "typed in a terminal")
        terminal.grow(reply.id, "", "an answer")
        assert client.last(id)["state"] == "running"
        terminal.finish(reply.id, Outcome("done", "stop"))
    source = EventSource(client.http, f"/api/replies/{reply.id}/events")
    source.last = "57"  # heard from a server that has been started anew since
    assert source.connect() == 200
    assert [kind for kind, _ in source.heard] == ["ended"]
    assert source.heard[0][1]["content"] == "an answer"
    assert source.connect() == 204


SERVER = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from fake_backend import FakeBackend, Script
from pocketr1.server.app import Settings, build_app
from pocketr1.server.http import run
settings = Settings(port=0, data=Path({data!r}))
backend = FakeBackend(Script(answer=["word "] * 4000, delay=0.01))
run(build_app(backend, settings), settings, on_ready=lambda url: print(url, flush=True))
"""


def test_a_killed_server_loses_little(serve: Callable[..., Client], tmp_path: Path) -> None:
    tests = str(Path(__file__).parent)
    program = SERVER.format(tests=tests, data=str(tmp_path))
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=os.environ
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        with httpx.Client(base_url=url, trust_env=False) as http:
            client = Client(FakeBackend(), http)
            id = client.begin()
            _, reply = client.ask(id, "Hello")
            until(lambda: client.last(id)["content"] != "")
            seen = client.last(id)["content"]
            assert client.last(id)["state"] == "running"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    client = serve()
    kept = client.last(id)
    assert kept["state"] == "stopped" and kept["content"].startswith(seen)
    source = client.listen(reply)
    source.last = "12"
    source.connect()
    assert source.heard == [("ended", kept)]
    assert source.connect() == 204


def test_a_full_disk_is_told_with_the_reply(
    serve: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pocketr1.errors import HistoryError

    def full(*_: object, **__: object) -> None:
        raise HistoryError("history-full", path="conversations.db")

    client = serve()
    id = client.begin()
    monkeypatch.setattr(History, "finish", full)
    monkeypatch.setattr("pocketr1.server.conversations.running._RETRY_SECONDS", (0.01,))
    _, reply = client.ask(id, "Hello")
    ended = client.hear(reply).heard[-1]
    assert ended[0] == "ended" and ended[1]["content"] == "Hello there."
    assert ended[1]["error"]["code"] == "history-full"


def test_the_event_loop_never_waits_for_the_store(
    serve: Callable[..., Client], tmp_path: Path
) -> None:
    client = serve()
    client.begin()
    with ExitStack() as stack:
        other = stack.enter_context(History(tmp_path / FILE))
        stack.enter_context(other._database.transaction())
        # Another process holds the store; what needs no store is answered at once.
        with pytest.raises(httpx.ReadTimeout):
            client.http.post("/api/conversations", json={}, timeout=0.2)
        assert client.call("GET", "/api/load")


def test_the_openapi_document_describes_the_routes(serve: Callable[..., Client]) -> None:
    paths = serve().call("GET", "/openapi.json")["paths"]
    assert {"get", "patch", "delete"} <= set(paths["/api/conversations/{id}"])
    events = paths["/api/replies/{id}/events"]["get"]["responses"]
    assert "text/event-stream" in events["200"]["content"] and "204" in events
    export = paths["/api/conversations/{id}/export"]["get"]["responses"]["200"]["content"]
    assert {"application/json", "text/markdown"} <= set(export)
