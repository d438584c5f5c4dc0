"""benchmarks/serving*.py: the trace, the arithmetic, the baseline's batches, and the client."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import pocketr1
from pocketr1 import messages

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"

pytestmark = pytest.mark.skipif(
    not BENCHMARKS.is_dir(), reason="the benchmarks are not beside the tests"
)


@pytest.fixture(autouse=True)
def path(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    messages.set_language("en")
    yield
    messages.set_language(None)


def module(name: str) -> Any:
    return importlib.import_module(f"serving_{name}")


def script() -> Any:
    """Return serving.py, under a name of its own: the server's tests have a module called so."""
    spec = importlib.util.spec_from_file_location("serving_script", BENCHMARKS / "serving.py")
    assert spec is not None and spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def asked(due: float, times: list[float], tokens: int | None = None, **more: Any) -> Any:
    """Return a request that was answered with a piece at each of ``times``."""
    record = module("client").Asked(0, 10, len(times), due, **more)
    record.times, record.tokens = times, len(times) if tokens is None else tokens
    record.ended = times[-1] if times else due
    return record


# The trace.


def test_a_trace_is_the_same_for_the_same_seed_and_arrives_at_its_rate() -> None:
    trace = module("trace").trace
    requests = trace(2000, 5.0, variation=2.0, seed=3)
    assert requests == trace(2000, 5.0, variation=2.0, seed=3)
    assert requests != trace(2000, 5.0, variation=2.0, seed=4)
    gaps = np.diff([each.at for each in requests])
    assert requests[0].at == 0 and (gaps >= 0).all()
    assert np.mean(gaps) == pytest.approx(0.2, rel=0.15)
    assert np.std(gaps) / np.mean(gaps) == pytest.approx(2.0, rel=0.15)


def test_many_of_its_requests_are_short_and_some_long() -> None:
    found = module("trace")
    requests = found.trace(4000, 1.0)
    lengths = sorted(each.prompt_tokens for each in requests)
    assert lengths[2000] == pytest.approx(found.PROMPTS.median, rel=0.1)
    assert lengths[0] >= found.PROMPTS.least and lengths[-1] <= found.PROMPTS.most
    assert sum(length > 512 for length in lengths) > 0.01 * len(lengths)
    assert np.median([each.answer_tokens for each in requests]) == pytest.approx(80, rel=0.1)


def test_the_rate_changes_when_requests_come_and_not_what_they_ask() -> None:
    trace = module("trace").trace
    slow, fast = trace(50, 0.5), trace(50, 5.0)
    sizes = [[(each.prompt_tokens, each.answer_tokens) for each in of] for of in (slow, fast)]
    assert sizes[0] == sizes[1]
    assert [each.at for each in slow] == pytest.approx([10 * each.at for each in fast])


def test_no_two_prompts_begin_alike() -> None:
    ids = module("trace").prompt_ids
    assert ids(1, 20, 4000) == ids(1, 20, 4000)
    assert ids(1, 20, 4000)[0:4] != ids(2, 20, 4000)[0:4]
    assert ids(1, 20, 4000) != ids(1, 20, 4000, seed=1)
    assert all(10 <= each < 40 for each in ids(5, 500, 40))


@pytest.mark.parametrize("bad", [(0, 1.0, 1.0), (5, 0.0, 1.0), (5, 1.0, 0.0)])
def test_an_impossible_trace_is_refused(bad: tuple[int, float, float]) -> None:
    with pytest.raises(ValueError, match="positive"):
        module("trace").trace(bad[0], bad[1], variation=bad[2])


# The arithmetic.


def test_percentiles_lie_between_their_neighbours() -> None:
    percentile = module("summary").percentile
    assert percentile([3.0, 1.0, 2.0, 4.0], 50) == 2.5
    assert percentile([1.0, 2.0, 3.0, 4.0, 5.0], 95) == pytest.approx(4.8)
    assert percentile([], 50) is None


def test_speed_counts_all_tokens_from_the_first_due_time_to_the_last_end() -> None:
    two = [asked(1.0, [2.0, 3.0, 4.0]), asked(2.0, [2.5, 4.0, 6.0])]
    found = module("summary").summary(two)
    assert found["tok_s"] == pytest.approx(6 / 5)
    assert found["first_token_s"]["p50"] == pytest.approx(0.75)
    assert found["gap_s"]["max"] == 2.0
    assert found["latency_s"]["mean"] == pytest.approx(3.5)
    # From 2.5, when both have begun, to 4.0, when one ends: three pieces of text.
    assert found["together_tok_s"] == pytest.approx(3 / 1.5)


def test_what_failed_or_came_short_is_counted_and_not_hidden() -> None:
    failed = asked(0.0, [], error="500")
    short = asked(0.0, [1.0, 2.0], refused=2)
    short.wanted = 5
    found = module("summary").summary([failed, short])
    assert (found["failed"], found["short"], found["refused"]) == (1, 1, 2)
    assert found["errors"] == ["500"] and found["tokens"] == 2
    assert "tok_s" not in module("summary").summary([failed])


def test_a_stall_is_held_to_the_gaps_of_the_quiet_time() -> None:
    steady = [0.1 * n for n in range(21)]  # until 2.0
    stalled = [2.5, 3.0, 3.9, 4.0, 4.1, 4.2]
    stream = asked(0.0, [*steady, *stalled])
    prompt = asked(2.0, [4.0])
    found = module("summary").stall([stream], [prompt], (0.5, 1.95))
    assert found["quiet_median_s"] == pytest.approx(0.1)
    assert found["largest_s"] == pytest.approx(0.9)
    assert found["over_quiet"] == pytest.approx(9.0)
    assert found["busy_median_s"] == pytest.approx(0.5)
    assert found["over_busy"] == pytest.approx(1.8)


def test_a_gap_that_began_before_the_prompts_counts_as_theirs() -> None:
    between = module("summary").gaps_between
    assert between([0.0, 1.0, 5.0, 6.0], 2.0, 4.0, whole=False) == [4.0]
    assert between([0.0, 1.0, 5.0, 6.0], 2.0, 4.0, whole=True) == []


def test_a_stream_that_ended_too_early_voids_the_round() -> None:
    found = module("summary").stall([asked(0.0, [0.1, 0.2])], [asked(1.0, [3.0])], (0.0, 1.0))
    assert "over_quiet" not in found and found["errors"]


# The baseline.


def test_a_batch_has_the_size_that_the_guide_names_for_its_input_length() -> None:
    size = module("baseline").batch_size
    assert [size(tokens) for tokens in (1, 31, 32, 127, 128, 5000)] == [8, 8, 4, 4, 2, 2]


def test_a_batch_takes_the_oldest_request_and_others_of_its_class() -> None:
    arrival = module("trace").Arrival
    waiting = [
        arrival(number, 0.0, tokens, 10)
        for number, tokens in enumerate([50, 10, 60, 300, 70, 80, 90])
    ]
    batch = module("baseline").next_batch(waiting)
    assert [each.number for each in batch] == [0, 2, 4, 5]
    assert [each.number for each in module("baseline").next_batch(waiting[1:2])] == [1]


def test_static_batches_give_every_answer_its_own_length() -> None:
    requests = module("trace").trace(7, 1000.0, seed=2)
    small = [
        module("trace").Arrival(each.number, each.at, each.prompt_tokens // 8 + 1, 3 + each.number)
        for each in requests
    ]
    with pocketr1.load("tiny", threads=1) as engine:
        found = module("baseline").serve(engine, small)
    assert [each.number for each in found] == list(range(7))
    assert [each.tokens for each in found] == [3 + number for number in range(7)]
    assert all(len(each.times) == each.tokens for each in found)
    assert all(each.due <= each.sent < each.times[0] <= each.ended for each in found)


def test_a_batch_runs_to_its_end_before_the_next_starts() -> None:
    arrival = module("trace").Arrival
    requests = [arrival(0, 0.0, 10, 5), arrival(1, 0.0, 10, 20), arrival(2, 0.0, 40, 5)]
    with pocketr1.load("tiny", threads=1) as engine:
        found = module("baseline").serve(engine, requests)
    assert found[2].sent >= max(found[0].ended, found[1].ended)


# The client.


Handler = Callable[[dict[str, Any], asyncio.StreamWriter], Awaitable[None]]


def chunk(data: str) -> bytes:
    encoded = data.encode()
    return f"{len(encoded):x}\r\n".encode() + encoded + b"\r\n"


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def event(text: str, **more: Any) -> str:
    return f"data: {json.dumps({'choices': [{'index': 0, 'text': text}], **more})}\n\n"


async def answered(handler: Handler, wanted: int = 3) -> Any:
    """Return what the client notes of a server that answers each request by ``handler``."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        )
        await handler(json.loads(await reader.readexactly(length)), writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        client = module("client")
        record = client.Asked(0, 2, wanted, client.perf_counter())
        url = f"http://127.0.0.1:{port}/v1/completions"
        return await client.ask(url, [7, 8], record, {"ignore_eos": True})


def test_the_client_notes_each_piece_and_takes_the_servers_count() -> None:
    seen = []

    async def handler(body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        seen.append(body)
        writer.write(HEAD + chunk(event("a") + event("")))
        first, second = event("b")[:9], event("b")[9:]  # an event may come in two parts
        writer.write(chunk(first))
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(chunk(second))
        usage = {"choices": [], "usage": {"completion_tokens": 3}}
        writer.write(
            chunk(f"data: {json.dumps(usage)}\n\n") + chunk("data: [DONE]\n\n") + chunk("")
        )

    record = asyncio.run(answered(handler))
    assert record.error is None and record.tokens == 3 and len(record.times) == 2
    assert record.gaps_s[0] > 0.02
    assert record.due <= record.sent <= record.times[0] <= record.ended
    wanted = {"prompt": [7, 8], "max_tokens": 3, "temperature": 0, "stream": True}
    assert wanted.items() <= seen[0].items() and seen[0]["ignore_eos"] is True


def test_the_client_comes_again_when_it_is_told_to() -> None:
    turns = []

    async def handler(body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        turns.append(body)
        if len(turns) < 3:
            writer.write(b"HTTP/1.1 429 Busy\r\nRetry-After: 0\r\nContent-Length: 2\r\n\r\n{}")
        else:
            writer.write(HEAD + chunk(event("a")) + chunk(""))

    record = asyncio.run(answered(handler))
    assert (record.refused, record.error, len(record.times)) == (2, None, 1)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 400 Bad\r\nContent-Length: 9\r\n\r\nno prompt", "400 no prompt"),
        (HEAD + chunk('data: {"error": {"message": "lost"}}\n\n') + chunk(""), "lost"),
        (HEAD + chunk(event("a")), "RemoteProtocolError"),
        (b"", "RemoteProtocolError"),
    ],
)
def test_the_client_says_what_went_wrong(answer: bytes, error: str) -> None:
    async def handler(body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    record = asyncio.run(answered(handler))
    assert error in record.error


# The report.


def report() -> dict[str, Any]:
    """Return a report as the script writes it, of requests made up here."""
    summary, stall = module("summary").summary, module("summary").stall
    one = summary([asked(0.0, [0.1 * n for n in range(1, 11)])])
    eight = summary([asked(0.0, [0.2 * n for n in range(1, 11)]) for _ in range(8)])
    held = stall([asked(0.0, [0.1 * n for n in range(40)])], [asked(2.0, [3.0])], (0.5, 1.95))
    return {
        "kind": "serving",
        "model": "m-int4",
        "machine": {"cpu": "A CPU <&>", "system": "Linux 6.1-mine x86_64"},
        "threads": 2,
        "streams": {name: {"1": [one], "8": [eight, eight]} for name in ("pocketr1", "llama.cpp")},
        "stall": {"pocketr1": [held], "llama.cpp": [{"errors": ["lost"]}]},
        "static": {"pocketr1": [eight], "static": [one]},
        "load": {"pocketr1": [{"rate": 0.5, **one}, {"rate": 2.0, **eight}]},
    }


def test_each_scenario_has_a_table() -> None:
    results = importlib.import_module("results")
    tables = results.tables(results.stamp(report()))
    assert set(tables) == {"streams", "stall", "static", "load"}
    assert "4.00×" in tables["streams"].splitlines()[-1]
    assert "| pocketr1 | 100 | 100 | 1.00× |" in tables["stall"]
    assert "| llama.cpp | – |" in tables["stall"]
    assert "+300%" in tables["static"] and "| 2 | pocketr1 | 40.0 |" in tables["load"]


@pytest.mark.parametrize(("language", "word"), [("en", "Under load"), ("zh", "负载之下")])
def test_the_plots_speak_both_languages(language: str, word: str) -> None:
    messages.set_language(language)
    results = importlib.import_module("results")
    plots = results.plots(results.stamp(report()), language)
    assert set(plots) == {"streams", "load"}
    roots = {name: ElementTree.fromstring(plot) for name, plot in plots.items()}
    texts = [node.text for node in roots["load"].iter("{http://www.w3.org/2000/svg}text")]
    assert word in texts and "pocketr1" in texts and any("A CPU <&>" in str(t) for t in texts)


def test_the_guides_show_every_kept_result_and_a_second_time_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results, serving = importlib.import_module("results"), script()
    monkeypatch.setattr(results, "ROOT", tmp_path)
    monkeypatch.setattr(results, "RESULTS", tmp_path / "kept")
    monkeypatch.setattr(results, "IMAGES", tmp_path / "docs" / "images")
    (tmp_path / "kept").mkdir()
    kept = {**results.stamp(report()), "servers": [{"name": "llama.cpp", "version": "9"}]}
    kept["options"] = dict.fromkeys(("short", "answer", "repeat", "long", "static_requests"), 3)
    kept["options"] |= {"static_rate": 2.0, "seconds": 5.0}
    (tmp_path / "kept" / "serving-m.json").write_text(json.dumps(kept))
    for _, name in serving.PAGES:
        page = tmp_path / name
        page.parent.mkdir(parents=True)
        page.write_text("a\n\n<!-- serving -->\nearlier\n<!-- serving: end -->\n\nb\n", "utf-8")
    written = serving.write_pages()
    texts = {path: path.read_text("utf-8") for path in written}
    english = texts[tmp_path / "docs" / "guide" / "benchmark.md"]
    assert english.startswith("a\n") and english.endswith("\nb\n") and "earlier" not in english
    assert "llama.cpp 9" in english and "| 8 over 1 | 4.00× |" in english
    assert "![Under load](../images/serving-m-load.en.svg)" in english
    assert (tmp_path / "docs" / "images" / "serving-m-load.zh.svg").is_file()
    assert {path: path.read_text("utf-8") for path in serving.write_pages()} == texts
