"""Pulling: from a hub that behaves, and from hubs that do not."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from fake_hub import COMMIT, FakeHub, read_directory, serving

import pocketr1
from pocketr1 import checkpoint

pytest.importorskip("huggingface_hub", reason="the extra `pull` is not installed")
from pocketr1 import hub as hubs

WEIGHTS = "model.safetensors"
QUANTIZED = Path(__file__).parents[2] / "golden" / "quantized"
Fault = Callable[[str, str], "int | str | None"]


QUICK = hubs.Patience(tries=3, read_s=2.0, wait_s=0.01, longest_wait_s=0.1)


@pytest.fixture(scope="module", autouse=True)
def users_settings_are_ignored() -> Iterator[None]:
    """The user's token, endpoint and proxy are nothing to these tests."""
    patch = pytest.MonkeyPatch()
    for name in ("HF_TOKEN", "HF_ENDPOINT", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy"):
        patch.delenv(name, raising=False)
    yield
    patch.undo()


@pytest.fixture(scope="module")
def sharded(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the tiny checkpoint in three shards, as a hub has the large ones."""
    directory = tmp_path_factory.mktemp("sharded")
    for path in tiny_checkpoint.iterdir():
        if path.name != WEIGHTS:
            shutil.copyfile(path, directory / path.name)
    tensors = list(checkpoint.open(tiny_checkpoint).tensors.values())
    weight_map = {}
    for number in range(3):
        part = tensors[number * len(tensors) // 3 : (number + 1) * len(tensors) // 3]
        name = f"model-{number + 1:05d}-of-00003.safetensors"
        header, content = {}, b""
        for tensor in part:
            begin = len(content)
            content += np.fromfile(
                tensor.file, np.uint8, tensor.nbytes, offset=tensor.offset
            ).tobytes()
            header[tensor.source_name] = {
                "dtype": "BF16",
                "shape": list(tensor.shape),
                "data_offsets": [begin, len(content)],
            }
            weight_map[tensor.source_name] = name
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        (directory / name).write_bytes(len(text).to_bytes(8, "little") + text + content)
    (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return directory


@pytest.fixture
def hub(tiny_checkpoint: Path, sharded: Path) -> Iterator[FakeHub]:
    repositories = {
        "me/tiny": read_directory(tiny_checkpoint) | {"README.md": b"x", "pytorch_model.bin": b"y"},
        "me/sharded": read_directory(sharded),
    }
    with serving(FakeHub(repositories)) as server:
        yield server


def pull(hub: FakeHub, out: Path, repository: str = "me/tiny") -> hubs.PullReport:
    origin = hubs.open_origin(repository, hub.address, None, QUICK)
    with hubs.Pull(origin, out.with_name(out.name + ".partial")) as begun:
        begun.check()
        begun.weights_all()
        return begun.finish(out)


def command(hub: FakeHub, *arguments: object) -> list[str]:
    words = [sys.executable, "-m", "pocketr1", "pull", *map(str, arguments), "--from", hub.address]
    return [*words, "--lang", "en"]


def once(name: str, fault: int | str, times: int = 1) -> Fault:
    """Return a fault that happens to the first GETs of a file."""
    left = [times]

    def happen(method: str, asked: str) -> int | str | None:
        if method != "GET" or asked != name or not left[0]:
            return None
        left[0] -= 1
        return fault

    return happen


def assert_goes_on(ranges: str | None, source: Path) -> None:
    """Check that a file whose first half had come was asked for from the very byte on."""
    assert ranges == f"bytes={(source / WEIGHTS).stat().st_size // 2}-"


def same_files(one: Path, other: Path) -> bool:
    return read_directory(one) == read_directory(other)


@pytest.mark.parametrize("repository", ["me/tiny", "me/sharded"])
def test_what_a_model_needs_is_pulled_and_nothing_else(
    hub: FakeHub, tmp_path: Path, tiny_checkpoint: Path, sharded: Path, repository: str
) -> None:
    report = pull(hub, tmp_path / "out", repository)

    assert same_files(tmp_path / "out", tiny_checkpoint if repository == "me/tiny" else sharded)
    assert set(report.checked) == {path.name for path in (tmp_path / "out").iterdir()}
    assert report.unchecked == ()
    assert report.revision == COMMIT
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


@pytest.mark.parametrize("fault", ["drop", 429])
def test_a_hiccup_is_got_over_without_starting_anew(
    hub: FakeHub, tmp_path: Path, tiny_checkpoint: Path, fault: int | str
) -> None:
    hub.fault = once(WEIGHTS, fault)

    pull(hub, tmp_path / "out")

    assert same_files(tmp_path / "out", tiny_checkpoint)
    if fault == "drop":
        assert_goes_on(hub.gets(WEIGHTS)[1], tiny_checkpoint)


def test_a_hub_that_goes_away_is_an_error_and_the_next_pull_goes_on(
    hub: FakeHub, tmp_path: Path, tiny_checkpoint: Path
) -> None:
    after_the_drop = once(WEIGHTS, "drop")

    def vanish(method: str, name: str) -> int | str | None:
        answer = after_the_drop(method, name)
        return answer or (503 if len(hub.gets(WEIGHTS)) > 1 and method == "GET" else None)

    hub.fault = vanish
    with pytest.raises(pocketr1.HubError) as caught:
        pull(hub, tmp_path / "out")
    assert caught.value.code == "hub-unreachable"
    assert not (tmp_path / "out").exists()
    with pytest.raises(pocketr1.CheckpointError):
        checkpoint.open(tmp_path / "out.partial")

    hub.fault = lambda method, name: None
    hub.requests.clear()
    pull(hub, tmp_path / "out")

    (ranges,) = hub.gets(WEIGHTS)
    assert_goes_on(ranges, tiny_checkpoint)
    assert hub.gets("tokenizer.json") == []
    assert same_files(tmp_path / "out", tiny_checkpoint)


def test_a_hub_that_ignores_ranges_starts_the_file_anew(
    hub: FakeHub, tmp_path: Path, tiny_checkpoint: Path
) -> None:
    drop = once(WEIGHTS, "drop")
    hub.fault = lambda method, name: drop(method, name) or "no-ranges"

    pull(hub, tmp_path / "out")

    assert same_files(tmp_path / "out", tiny_checkpoint)


@pytest.mark.parametrize("name", [WEIGHTS, "tokenizer.json"])
def test_wrong_bytes_are_fetched_again_once_and_then_refused(
    hub: FakeHub, tmp_path: Path, tiny_checkpoint: Path, name: str
) -> None:
    hub.fault = once(name, "wrong")
    pull(hub, tmp_path / "out")
    assert same_files(tmp_path / "out", tiny_checkpoint)

    hub.fault = lambda method, asked: "wrong" if asked == name else None
    with pytest.raises(pocketr1.HubError) as caught:
        pull(hub, tmp_path / "other")

    assert caught.value.code == "hub-hash"
    assert not (tmp_path / "other").exists()
    assert not (tmp_path / "other.partial" / name).exists()


@pytest.mark.parametrize("lie", [-100, 100])
def test_a_size_that_is_a_lie_is_refused(hub: FakeHub, tmp_path: Path, lie: int) -> None:
    hub.sizes[WEIGHTS] = len(hub.repositories["me/tiny"][WEIGHTS]) + lie

    with pytest.raises(pocketr1.HubError) as caught:
        pull(hub, tmp_path / "out")

    assert caught.value.code in ("hub-hash", "hub-size")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("prepare", "code"),
    [
        (lambda hub: setattr(hub, "gated", True), "hub-gated"),
        (lambda hub: setattr(hub, "api_status", 401), "hub-not-found"),
        (lambda hub: setattr(hub, "api_status", 500), "hub-unreachable"),
        (lambda hub: hub.repositories.pop("me/tiny"), "hub-not-found"),
        (lambda hub: hub.repositories["me/tiny"].pop("config.json"), "hub-no-config"),
        (lambda hub: hub.repositories["me/tiny"].pop(WEIGHTS), "hub-no-weights"),
    ],
)
def test_what_cannot_be_pulled_is_told_apart(
    hub: FakeHub, tmp_path: Path, prepare: Callable[[FakeHub], None], code: str
) -> None:
    prepare(hub)

    with pytest.raises(pocketr1.HubError) as caught:
        pull(hub, tmp_path / "out")

    assert caught.value.code == code
    assert "me/tiny" in str(caught.value)
    assert hub.gets(WEIGHTS) == []


def test_a_revision_that_does_not_exist_is_named(hub: FakeHub) -> None:
    with pytest.raises(pocketr1.HubError, match="nowhere"):
        hubs.open_origin("me/tiny", hub.address, "nowhere")


def test_a_server_that_is_not_there_is_an_error(hub: FakeHub) -> None:
    with pytest.raises(pocketr1.HubError) as caught:
        hubs.open_origin("me/tiny", "http://127.0.0.1:1", None)
    assert caught.value.code == "hub-unreachable"
    assert "main" not in caught.value.what  # nobody asked for that revision


def test_a_server_that_takes_the_request_and_never_answers_is_given_up(hub: FakeHub) -> None:
    hub.silent = True
    impatient = hubs.Patience(read_s=0.2)
    with pytest.raises(pocketr1.HubError) as caught:
        hubs.open_origin("me/tiny", hub.address, None, impatient)
    assert caught.value.code == "hub-unreachable"


def test_who_is_asked_is_said_and_ctrl_c_ends_the_wait(hub: FakeHub, tmp_path: Path) -> None:
    hub.silent = True
    process = subprocess.Popen(
        command(hub, "me/tiny", "-o", tmp_path / "out", "--lang", "en"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert hub.asked.wait(60)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)  # sooner than patience ends
    finally:
        process.kill()
    assert process.returncode == 1
    assert said.startswith(f"Asking {hub.address.removeprefix('http://')} for me/tiny")
    assert "error[cli-interrupted]" in said


def test_the_host_of_an_origin_is_the_one_that_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MODELSCOPE_ENDPOINT", raising=False)
    assert hubs.host_of(None) == hubs.host_of("hf") == "huggingface.co"
    assert hubs.host_of("modelscope") == "modelscope.cn"
    assert hubs.host_of("https://me:secret@mirror.example:8000/x") == "mirror.example:8000"
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example")
    assert hubs.host_of(None) == "mirror.example"


@pytest.mark.parametrize("method", ["bitsandbytes", "gptq", "fbgemm_fp8"])
def test_quantized_models_that_cannot_be_read_are_refused_before_their_weights_come(
    hub: FakeHub, tmp_path: Path, method: str
) -> None:
    name = "someone/DeepSeek-R1-Distill-Qwen-7B-GPTQ"
    files = dict(hub.repositories["me/tiny"])
    config = json.loads(files["config.json"]) | {
        "quantization_config": {"quant_method": method, "bits": 5}
    }
    files["config.json"] = json.dumps(config).encode()
    hub.repositories[name] = files

    with pytest.raises(pocketr1.HubError, match=r"pocketr1 pull r1-7b --compress 4") as caught:
        pull(hub, tmp_path / "out", name)

    assert caught.value.code == "hub-quantized"
    assert method in caught.value.what
    assert hub.gets(WEIGHTS) == []


def test_quantized_models_that_can_be_read_are_pulled(hub: FakeHub, tmp_path: Path) -> None:
    hub.repositories["someone/R1-AWQ"] = read_directory(QUANTIZED / "awq-g32")
    pull(hub, tmp_path / "out", "someone/R1-AWQ")
    opened = checkpoint.open(tmp_path / "out")
    assert opened.quantization is not None
    assert opened.quantization.method == "awq"


def test_quantized_models_are_not_compressed_on_the_way(hub: FakeHub, tmp_path: Path) -> None:
    hub.repositories["someone/R1-AWQ"] = read_directory(QUANTIZED / "awq-g32")
    words = command(hub, "someone/R1-AWQ", "-o", tmp_path / "out", "--compress", 4)
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "checkpoint-encoded-missing-file" in done.stderr
    assert "without --compress" in done.stderr
    assert not any(ranges is None for ranges in hub.gets(WEIGHTS))


def test_a_repository_of_gguf_files_is_refused_with_what_to_pull(
    hub: FakeHub, tmp_path: Path
) -> None:
    name = "someone/DeepSeek-R1-Distill-Llama-8B-GGUF"
    hub.repositories[name] = {"model-Q4_K_M.gguf": b"GGUF", "config.json": b"{}"}

    with pytest.raises(pocketr1.HubError, match="pocketr1 pull r1-llama-8b"):
        pull(hub, tmp_path / "out", name)


def test_another_architecture_is_refused_before_its_weights_come(
    hub: FakeHub, tmp_path: Path
) -> None:
    config = json.loads(hub.repositories["me/tiny"]["config.json"]) | {"model_type": "mamba"}
    hub.repositories["me/tiny"]["config.json"] = json.dumps(config).encode()

    with pytest.raises(pocketr1.CheckpointError, match="mamba"):
        pull(hub, tmp_path / "out")

    assert hub.gets(WEIGHTS) == []


def test_a_disk_that_is_too_small_is_found_out_first(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=66 << 20))

    with pytest.raises(pocketr1.HubError) as caught:
        pull(hub, tmp_path / "out")

    assert caught.value.code == "hub-disk-space"
    assert hub.gets(WEIGHTS) == []


def test_the_unfinished_pull_of_something_else_is_left_alone(hub: FakeHub, tmp_path: Path) -> None:
    staging = tmp_path / "out.partial"
    with hubs.Pull(hubs.open_origin("me/sharded", hub.address, None), staging) as begun:
        begun.check()
    tiny = hubs.open_origin("me/tiny", hub.address, None)

    with pytest.raises(pocketr1.HubError) as caught, hubs.Pull(tiny, staging):
        pass
    assert caught.value.code == "hub-other"

    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    with pytest.raises(pocketr1.HubError), hubs.Pull(tiny, mine):
        pass
    assert (mine / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("bits", [8, 4, 3, 2])
@pytest.mark.parametrize("repository", ["me/tiny", "me/sharded"])
def test_compressing_on_the_way_gives_the_bundle_of_the_whole_checkpoint(
    hub: FakeHub, tmp_path: Path, sharded: Path, tiny_checkpoint: Path, repository: str, bits: int
) -> None:
    source = sharded if repository == "me/sharded" else tiny_checkpoint
    pocketr1.Quantizer(
        source,
        output_path=tmp_path / "whole",
        bits=bits,
        group_size={8: 128, 4: 64, 3: 64, 2: 32}[bits],
    ).run()

    done = subprocess.run(
        command(hub, repository, "-o", tmp_path / "way", "--compress", bits, "--json"),
        capture_output=True,
        text=True,
        check=True,
    )

    assert read_directory(tmp_path / "way" / "blocks") == read_directory(
        tmp_path / "whole" / "blocks"
    )
    ours, whole = (
        json.loads((tmp_path / name / "bundle.json").read_text()) for name in ("way", "whole")
    )
    assert ours == whole
    assert {path.name for path in tmp_path.iterdir()} == {"way", "whole"}
    assert json.loads(done.stdout)["compression"]["bundle"]["file_bytes"] > 0


def test_at_most_one_shard_lies_on_the_disk_at_a_time(hub: FakeHub, tmp_path: Path) -> None:
    most = [0]
    staging = tmp_path / "staging"

    def look(method: str, name: str) -> None:
        shards = [path for path in staging.glob("model-*.safetensors") if path.is_file()]
        most[0] = max(most[0], len(shards))

    hub.fault = look  # called when a file is asked for, so before it is there
    with hubs.Pull(hubs.open_origin("me/sharded", hub.address, None), staging) as begun:
        begun.check()
        pocketr1.Quantizer(
            staging, output_path=tmp_path / "out", bits=4, discard_source=True, arrivals=begun
        ).run()

    # Layers lie across the cuts here, so a shard may still be needed while the next one comes.
    assert most[0] <= 1
    assert list(staging.glob("model-*.safetensors")) == []


def test_compressing_on_the_way_refuses_a_disk_that_is_too_small(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    staging = tmp_path / "staging"
    with hubs.Pull(hubs.open_origin("me/sharded", hub.address, None), staging) as begun:
        begun.check()
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10**6))
        quantizer = pocketr1.Quantizer(
            staging, output_path=tmp_path / "out", bits=4, arrivals=begun
        )
        with pytest.raises(pocketr1.CompressionError) as caught:
            quantizer.run()

    assert caught.value.code == "compress-disk-space"
    assert not any(
        hub.gets(name)
        for name in hub.repositories["me/sharded"]
        if "-of-" in name[5:] and any(ranges is None for ranges in hub.gets(name))
    )


@pytest.mark.parametrize("compress", [False, True])
def test_killed_anywhere_a_pull_goes_on_and_ends_right(
    hub: FakeHub, tmp_path: Path, sharded: Path, compress: bool
) -> None:
    delay = [0.0]

    def slow(method: str, name: str) -> None:
        time.sleep(delay[0])

    hub.fault = slow
    out = tmp_path / "out"
    words = command(hub, "me/sharded", "-o", out, *(["--compress", 4] if compress else []))
    delay[0] = 0.05
    for seconds in (0.9, 1.3, 1.7, 2.1):
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if out.exists():
            break
    delay[0] = 0.0
    if not out.exists():
        subprocess.run(words, check=True, capture_output=True)

    if compress:
        pocketr1.Quantizer(sharded, output_path=tmp_path / "whole", bits=4, group_size=64).run()
        assert read_directory(out / "blocks") == read_directory(tmp_path / "whole" / "blocks")
    else:
        assert same_files(out, sharded)


def test_the_command_says_what_it_did_and_what_comes_next(hub: FakeHub, tmp_path: Path) -> None:
    done = subprocess.run(
        command(hub, "me/tiny", "-o", tmp_path / "out"), capture_output=True, text=True, check=True
    )

    assert "files whose hash was checked" in done.stdout
    assert f"pocketr1 compress {tmp_path / 'out'}" in done.stderr

    again = subprocess.run(
        command(hub, "me/tiny", "-o", tmp_path / "out"), capture_output=True, text=True, check=False
    )
    assert again.returncode == 1
    assert "hub-out-exists" in again.stderr


def test_an_endpoint_from_the_environment_is_honoured(hub: FakeHub, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "pocketr1", "pull", "me/tiny", "-o", str(tmp_path / "out")]

    subprocess.run(
        words, env={**os.environ, "HF_ENDPOINT": hub.address}, check=True, capture_output=True
    )

    assert (tmp_path / "out" / WEIGHTS).exists()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["no-slash"], "hub-name"),
        (["../x"], "hub-name"),
        (["me/tiny", "--from", "ftp://x"], "hub-origin"),
        (["me/tiny", "--compress", "5"], "cli-pull-bits"),
    ],
)
def test_misuse_is_told(arguments: list[str], code: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pocketr1", "pull", *arguments, "--json"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )

    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["code"] == code
