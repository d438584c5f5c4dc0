"""Over a line that breaks, from a server that lies: never a wrong file, and it goes on."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from fake_hub import Answer, FakeHub, read_directory, serving

import pocketr1
from pocketr1 import checkpoint

pytest.importorskip("huggingface_hub", reason="the extra `pull` is not installed")
from pocketr1 import hub as hubs

WEIGHTS = "model.safetensors"
QUICK = hubs.Patience(tries=4, read_s=2.0, wait_s=0.01, longest_wait_s=0.05)


@pytest.fixture(autouse=True)
def users_settings_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_TOKEN", "HF_ENDPOINT", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def hub(tiny_checkpoint: Path) -> Iterator[FakeHub]:
    with serving(FakeHub({"me/tiny": read_directory(tiny_checkpoint)})) as server:
        yield server


def begin(hub: FakeHub, staging: Path, origin: str | None = "address") -> hubs.Pull:
    where = hub.address if origin == "address" else origin
    return hubs.Pull(hubs.open_origin("me/tiny", where, None, QUICK), staging)


def pull(hub: FakeHub, out: Path) -> hubs.PullReport:
    with begin(hub, out.with_name(out.name + ".partial")) as begun:
        begun.check()
        begun.weights_all()
        return begun.finish(out)


def refused(hub: FakeHub, out: Path, code: str) -> pocketr1.PocketR1Error:
    with pytest.raises(pocketr1.PocketR1Error) as caught:
        pull(hub, out)
    assert caught.value.code == code, caught.value
    assert not out.exists()
    return caught.value


def weights(*answers: Answer | int, always: bool = False) -> Callable[..., Answer | int | None]:
    """Return the fault that answers the requests for the weights one by one, then no more."""
    left = list(answers)

    def happen(method: str, name: str) -> Answer | int | None:
        if name != WEIGHTS or not left:
            return None
        return left[0] if always else left.pop(0)

    return happen


def head(
    handler: BaseHTTPRequestHandler, content: bytes, begin: int, length: int | None = None
) -> None:
    """Send the head of an answer with the bytes from ``begin`` on."""
    handler.send_response(206 if begin else 200)
    if begin:
        total = len(content)
        handler.send_header("Content-Range", f"bytes {begin}-{total - 1}/{total}")
    handler.send_header("Content-Length", str(len(content) - begin if length is None else length))
    handler.end_headers()


def drop(after: int) -> Answer:
    """Send so many bytes, then break the connection."""

    def answer(handler: BaseHTTPRequestHandler, content: bytes, begin: int) -> None:
        head(handler, content, begin)
        handler.wfile.write(content[begin : begin + after])
        handler.close_connection = True

    return answer


def silent(handler: BaseHTTPRequestHandler, content: bytes, begin: int) -> None:
    """Send a little, then nothing, and keep the connection."""
    head(handler, content, begin)
    handler.wfile.write(content[begin : begin + 1000])
    threading.Event().wait(5.0)
    handler.close_connection = True


def nothing(handler: BaseHTTPRequestHandler, content: bytes, begin: int) -> None:
    """Break the connection without a word."""
    handler.close_connection = True


def unmeasured(handler: BaseHTTPRequestHandler, content: bytes, times: float) -> None:
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    try:
        handler.wfile.write(content[: int(len(content) * min(times, 1.0))])
        for _ in range(int(times) - 1):
            handler.wfile.write(content)
    except OSError:
        pass  # the client has had enough
    handler.close_connection = True


def endless(handler: BaseHTTPRequestHandler, content: bytes, begin: int) -> None:
    """Send the file again and again, without a length."""
    unmeasured(handler, content, 50.0)


def half(handler: BaseHTTPRequestHandler, content: bytes, begin: int) -> None:
    """Send half of it without a length, as if it were all."""
    unmeasured(handler, content, 0.5)


def shorter(handler: BaseHTTPRequestHandler, content: bytes, begin: int) -> None:
    """Announce and send a shorter file."""
    head(handler, content[:-1], 0)
    handler.wfile.write(content[:-1])


def login_page(handler: BaseHTTPRequestHandler, content: bytes, begin: int) -> None:
    """Answer as a network that wants a login first."""
    shorter(handler, b"<html>Welcome to our hotel</html>", 0)


def compressed(handler: BaseHTTPRequestHandler, content: bytes, begin: int) -> None:
    """Compress, unasked."""
    handler.send_response(200)
    handler.send_header("Content-Encoding", "gzip")
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content)


def no_range(handler: BaseHTTPRequestHandler, content: bytes, begin: int) -> None:
    """Call it a part without saying which."""
    handler.send_response(206)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content)


def other_range(handler: BaseHTTPRequestHandler, content: bytes, begin: int) -> None:
    """Send another part than the one asked for."""
    head(handler, content, begin + 1)
    handler.wfile.write(content[begin + 1 :])


@pytest.mark.parametrize(
    "answers",
    [
        [drop(300_000)] * 12,
        [drop(1), drop(1), drop(1), drop(1), drop(1)],
        [drop(0), drop(0)],
        [nothing, 503],
        [silent],
        [half],
        [429, drop(5000), 500, drop(7), 408],
    ],
    ids=["breaks often", "byte by byte", "at once", "no answer", "silent", "half", "all of it"],
)
def test_a_line_that_breaks_brings_the_right_file(
    hub: FakeHub, tmp_path: Path, tiny_checkpoint: Path, answers: list[Answer | int]
) -> None:
    hub.fault = weights(*answers)

    pull(hub, tmp_path / "out")

    assert read_directory(tmp_path / "out") == read_directory(tiny_checkpoint)


def test_it_is_asked_for_from_the_very_byte_on(hub: FakeHub, tmp_path: Path) -> None:
    hub.fault = weights(drop(1234), drop(5))

    pull(hub, tmp_path / "out")

    assert hub.gets(WEIGHTS) == [None, "bytes=1234-", "bytes=1239-"]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (endless, "hub-size"),
        (shorter, "hub-size"),
        (login_page, "hub-size"),
        (compressed, "hub-answer"),
        (no_range, "hub-answer"),
        (other_range, "hub-answer"),
        (404, "hub-unreachable"),
        (503, "hub-unreachable"),
        (429, "hub-busy"),
        (nothing, "hub-unreachable"),
        (drop(0), "hub-unreachable"),
    ],
)
def test_a_server_that_will_not_give_the_file_is_explained(
    hub: FakeHub, tmp_path: Path, tiny_checkpoint: Path, answer: Answer | int, code: str
) -> None:
    hub.fault = weights(answer, always=True)

    refused(hub, tmp_path / "out", code)

    listed = (tiny_checkpoint / WEIGHTS).stat().st_size
    for path in (tmp_path / "out.partial").glob(WEIGHTS + "*"):
        assert path.name != WEIGHTS
        assert path.stat().st_size <= listed
    hub.fault = lambda method, name: None
    pull(hub, tmp_path / "out")
    assert read_directory(tmp_path / "out") == read_directory(tiny_checkpoint)


def test_a_line_that_brings_nothing_new_is_given_up(hub: FakeHub, tmp_path: Path) -> None:
    hub.fault = lambda method, name: (
        (drop(4000) if not hub.gets(WEIGHTS)[1:] else drop(0)) if name == WEIGHTS else None
    )

    refused(hub, tmp_path / "out", "hub-unreachable")

    assert len(hub.gets(WEIGHTS)) == QUICK.tries


def test_a_header_is_read_over_a_bad_line_too(
    hub: FakeHub, tmp_path: Path, tiny_checkpoint: Path
) -> None:
    hub.fault = weights(drop(3), 503)
    with begin(hub, tmp_path / "staging") as begun:
        begun.check()
        (header,) = begun.headers.iterdir()
    assert header.stat().st_size == (tiny_checkpoint / WEIGHTS).stat().st_size


def test_a_mirror_named_by_its_address_is_sent_no_token(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    pull(hub, tmp_path / "out")
    assert hub.authorized and not any(hub.authorized)

    hub.authorized.clear()
    monkeypatch.setenv("HF_ENDPOINT", hub.address)
    with begin(hub, tmp_path / "other", None) as begun:
        begun.check()
    assert hub.authorized and all(hub.authorized)


def test_a_model_that_lacks_a_weight_file_is_refused_before_any_comes(
    hub: FakeHub, tmp_path: Path
) -> None:
    files = hub.repositories["me/tiny"]
    shard = "model-00001-of-00002.safetensors"
    files[shard] = files.pop(WEIGHTS)
    weight_map = {"a": shard, "b": "model-00002-of-00002.safetensors"}
    files["model.safetensors.index.json"] = json.dumps({"weight_map": weight_map}).encode()

    assert "00002-of" in refused(hub, tmp_path / "out", "hub-file-missing").what

    assert hub.gets(shard) == []


def test_weights_that_do_not_fit_the_configuration_are_never_published(
    hub: FakeHub, tmp_path: Path
) -> None:
    files = hub.repositories["me/tiny"]
    config = json.loads(files["config.json"])
    files["config.json"] = json.dumps(config | {"vocab_size": 7}).encode()

    refused(hub, tmp_path / "out", "checkpoint-tensor-shape")


@pytest.mark.parametrize("name", ["quantize_config.json", "quant_config.json"])
def test_models_quantized_by_older_tools_are_recognized(
    hub: FakeHub, tmp_path: Path, name: str
) -> None:
    hub.repositories["me/tiny"][name] = b'{"bits": 5, "w_bit": 5}'

    refused(hub, tmp_path / "out", "checkpoint-quantized")

    assert hub.gets("model.safetensors") == []


def test_a_refused_model_leaves_nothing_in_the_way(hub: FakeHub, tmp_path: Path) -> None:
    files = hub.repositories["me/tiny"]
    good = files["config.json"]
    files["config.json"] = json.dumps(json.loads(good) | {"model_type": "mamba"}).encode()

    refused(hub, tmp_path / "out", "checkpoint-architecture")

    assert list(tmp_path.iterdir()) == []


def test_a_second_pull_into_the_same_place_is_refused(hub: FakeHub, tmp_path: Path) -> None:
    with begin(hub, tmp_path / "out.partial") as first:
        first.check()
        refused(hub, tmp_path / "out", "compress-busy")
        first.weights_all()
    pull(hub, tmp_path / "out")


@pytest.mark.parametrize("state", ["{broken", "{}", "[]"])
def test_a_damaged_state_is_explained(hub: FakeHub, tmp_path: Path, state: str) -> None:
    (tmp_path / "out.partial").mkdir()
    (tmp_path / "out.partial" / "pull.json").write_text(state)

    refused(hub, tmp_path / "out", "hub-unreadable")


def test_a_kill_at_the_very_end_leaves_a_whole_model(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(Exception):
        pass

    def die(*_: object, **__: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch, pytest.raises(KilledError):
        patch.setattr("pocketr1.hub.pull.shutil.rmtree", die)
        pull(hub, tmp_path / "out")

    assert checkpoint.open(tmp_path / "out").missing_shards == ()
    assert not (tmp_path / "out.partial").exists()
