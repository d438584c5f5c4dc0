"""A job killed at any moment goes on, byte for byte, and never leaves half a bundle."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_files import TINY, random_tensors, tiny_shapes, write_checkpoint
from compress_support import compress, files, kill_after

from pocketr1 import _core, bundle
from pocketr1.bundle import BundleWriter, layout, partial_path, writer
from pocketr1.compress import Progress, quantizer
from pocketr1.errors import CheckpointError, PocketR1Error

NAMES = list(tiny_shapes(TINY))
# A layer that spans two shards, a shard that is needed twice, one whose tensors come first.
SHARDS = [NAMES[9:20], [*NAMES[:9], NAMES[-1]], NAMES[20:-1]]


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """A directory in memory where there is one: a killed process loses nothing it wrote there."""
    memory = Path("/dev/shm")
    if not (memory.is_dir() and os.access(memory, os.W_OK)):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as directory:
        yield Path(directory)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A small checkpoint in three shards, with a tokenizer."""
    write_checkpoint(tmp_path / "source", shards=SHARDS)
    (tmp_path / "source/tokenizer.json").write_text("{}")
    return tmp_path / "source"


@pytest.fixture(autouse=True)
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several segments in each of several shards."""
    monkeypatch.setattr(layout, "SEGMENT_LIMIT", 700)
    monkeypatch.setattr(layout, "SHARD_LIMIT", 80_000)


def refused(code: str, work: Callable[[], Any]) -> PocketR1Error:
    """Return the error, which must have that code and texts."""
    with pytest.raises(PocketR1Error) as caught:
        work()
    assert caught.value.code == code, caught.value
    assert caught.value.what and caught.value.mend
    return caught.value


class StopError(Exception):
    """Raised by a progress callback."""


def stop_at(tensor: str) -> Callable[[Progress], None]:
    """A progress callback that stops the job when it has read from a tensor."""

    def progress(step: Progress) -> None:
        if step.tensor == tensor:
            raise StopError

    return progress


def interrupt(source: Path, output: Path, tensor: str, **options: Any) -> None:
    """Run a job that stops while it works on a tensor."""
    with pytest.raises(StopError):
        compress(source, output, progress=stop_at(tensor), **options)


@pytest.mark.parametrize("discard", [False, True])
def test_killed_at_every_change_to_the_disk_it_resumes(tmp_path: Path, discard: bool) -> None:
    saved = tmp_path / "saved"
    write_checkpoint(saved, shards=SHARDS)
    compress(saved, tmp_path / "whole")
    want = files(tmp_path / "whole")
    out = tmp_path / "out"
    for count in range(1, 5000, 19 if discard else 11):
        shutil.rmtree(tmp_path / "source", ignore_errors=True)
        shutil.copytree(saved, tmp_path / "source")
        options = {"discard_source": discard}
        killed = kill_after(count, lambda o=options: compress(tmp_path / "source", out, **o))
        if out.exists():
            assert files(out) == want
        else:
            # Twice more, each time a little further, and then to the end.
            kill_after(9, lambda o=options: compress(tmp_path / "source", out, **o))
            if not out.exists():
                compress(tmp_path / "source", out, **options)
            assert files(out) == want
        if discard and not partial_path(out).exists():
            assert not list((tmp_path / "source").glob("*.safetensors"))
        shutil.rmtree(out)
        shutil.rmtree(partial_path(out), ignore_errors=True)
        if not killed:
            return
    raise AssertionError("the job never ended")


def test_a_job_killed_again_and_again_ends(tmp_path: Path, source: Path) -> None:
    compress(source, tmp_path / "whole")
    out = tmp_path / "out"
    kills = 0
    while not out.exists():
        assert kill_after(40, lambda: compress(source, out)) or out.exists()
        kills += 1
        assert kills < 200
    assert kills > 3
    assert files(out) == files(tmp_path / "whole")


def test_replacing_a_bundle_keeps_the_old_one_until_the_new_is_whole(
    tmp_path: Path, source: Path
) -> None:
    out = tmp_path / "out"
    compress(source, tmp_path / "new", bits=8)
    compress(source, out)
    old, new = files(out), files(tmp_path / "new")
    for count in range(1, 5000, 13):
        killed = kill_after(count, lambda: compress(source, out, bits=8, overwrite=True))
        if out.exists():
            assert files(out) in (old, new)
        else:  # between the two renames: both are there
            partial = partial_path(out)
            assert files(partial / "replaced") == old and files(partial / "bundle") == new
        compress(source, out, bits=8, overwrite=True)
        assert files(out) == new and not partial_path(out).exists()
        if not killed:
            return
        shutil.rmtree(out)
        compress(source, out)


def test_hashes_of_large_chunks_survive_a_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "SEGMENT_LIMIT", 3_000_000)
    monkeypatch.setattr(layout, "SHARD_LIMIT", 10_000_000)
    config = {**TINY, "hidden_size": 120, "vocab_size": 60_000}
    write_checkpoint(tmp_path / "source", config, random_tensors(tiny_shapes(config)))
    options = {"bits": 8, "group_size": 64}
    compress(tmp_path / "source", tmp_path / "whole", **options)
    for tensor in ("embed.weight", "layers.1.down.weight", "head.weight"):
        interrupt(tmp_path / "source", tmp_path / "out", tensor, **options)
    made = compress(tmp_path / "source", tmp_path / "out", **options)
    assert made.resumed_segments > 5
    assert files(tmp_path / "out") == files(tmp_path / "whole")
    report = bundle.inspect(tmp_path / "out", verify=True)
    assert report.shards > 1


def test_only_what_is_missing_is_done_again(tmp_path: Path, source: Path) -> None:
    interrupt(source, tmp_path / "out", "layers.1.up.weight")
    seen: list[str] = []
    made = compress(source, tmp_path / "out", progress=lambda step: seen.append(step.tensor))
    assert made.resumed_segments > 0
    assert "embed.weight" not in seen and "" not in seen  # nor hashed again
    assert seen[-1] == "head.weight"


def test_the_source_is_discarded_shard_by_shard(tmp_path: Path, source: Path) -> None:
    compress(source, tmp_path / "whole")
    there: list[tuple[str, list[str]]] = []

    def progress(step: Progress) -> None:
        names = sorted(path.name[6:11] for path in source.glob("*.safetensors"))
        there.append((step.tensor, names))

    compress(source, tmp_path / "out", discard_source=True, progress=progress)
    assert files(tmp_path / "out") == files(tmp_path / "whole")
    assert not list(source.glob("*.safetensors"))
    assert (source / "config.json").exists() and (source / "tokenizer.json").exists()
    during = dict(there)
    assert during["layers.0.down.weight"] == ["00001", "00002", "00003"]
    assert during["final_norm.weight"] == ["00002", "00003"]
    assert during["head.weight"] == ["00002"]


def test_it_goes_on_when_part_of_the_source_is_gone(tmp_path: Path, source: Path) -> None:
    compress(source, tmp_path / "whole")
    interrupt(source, tmp_path / "out", "final_norm.weight", discard_source=True)
    assert len(list(source.glob("*.safetensors"))) == 2
    compress(source, tmp_path / "out", discard_source=True)
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def test_a_link_into_a_cache_is_discarded_with_what_it_links_to(
    tmp_path: Path, source: Path
) -> None:
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    for path in source.glob("*.safetensors"):
        path.replace(blobs / path.name)
        path.symlink_to(blobs / path.name)
    compress(source, tmp_path / "out", discard_source=True)
    assert not list(blobs.iterdir()) and not list(source.glob("*.safetensors"))


def test_a_shard_that_went_missing_is_named(tmp_path: Path, source: Path) -> None:
    interrupt(source, tmp_path / "out", "layers.0.down.weight")
    next(source.glob("*00003*.safetensors")).unlink()
    with pytest.raises(CheckpointError) as caught:
        compress(source, tmp_path / "out")
    assert "00003" in caught.value.what


@pytest.mark.parametrize("change", ["size", "bytes", "options", "config"])
def test_a_job_is_not_taken_up_with_something_else(
    tmp_path: Path, source: Path, change: str
) -> None:
    out = tmp_path / "out"
    interrupt(source, out, "layers.1.up.weight")
    before = files(partial_path(out))
    options: dict[str, Any] = {}
    shard = next(source.glob("*00001*.safetensors"))
    if change == "size":
        shard.write_bytes(shard.read_bytes() + b"\0")
        with pytest.raises(PocketR1Error):
            compress(source, out)
        assert files(partial_path(out)) == before
        return
    if change == "bytes":
        data = bytearray(shard.read_bytes())
        data[-1] ^= 1
        shard.write_bytes(bytes(data))
        os.utime(shard, (1, 1))
    if change == "options":
        options = {"bits": 8}
    if change == "config":
        config = json.loads((source / "config.json").read_text())
        (source / "config.json").write_text(json.dumps({**config, "rope_theta": 5e5}))
    error = refused("compress-job-differs", lambda: compress(source, out, **options))
    assert str(partial_path(out)) in error.what
    assert files(partial_path(out)) == before


def test_a_source_that_was_only_touched_is_the_same(tmp_path: Path, source: Path) -> None:
    interrupt(source, tmp_path / "out", "layers.1.up.weight")
    for path in source.glob("*.safetensors"):
        os.utime(path, (1, 1))
    assert compress(source, tmp_path / "out").resumed_segments > 0


def test_a_second_process_is_refused(tmp_path: Path, source: Path) -> None:
    out = tmp_path / "out"

    def compete(step: Progress) -> None:
        if step.tensor == "layers.0.up.weight":
            refused("compress-busy", lambda: compress(source, out))

    compress(source, out, progress=compete)
    assert bundle.inspect(out, verify=True).verified


def test_an_output_that_exists_is_left_as_it_is(tmp_path: Path, source: Path) -> None:
    out = tmp_path / "out"
    compress(source, out)
    before = files(tmp_path)
    refused("compress-output-exists", lambda: compress(source, out))
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/cat.jpg").write_bytes(b"cat")
    (tmp_path / "note").write_text("a file")
    for name in ("photos", "note"):
        for overwrite in (False, True):
            error = refused(
                "compress-output-foreign",
                lambda n=name, o=overwrite: compress(source, tmp_path / n, overwrite=o),
            )
            assert str(tmp_path / name) in error.what
    refused("compress-output-foreign", lambda: compress(source, source, overwrite=True))
    assert files(tmp_path).items() >= before.items()
    assert not list(tmp_path.glob("*.partial"))
    (tmp_path / "empty").mkdir()
    compress(source, tmp_path / "empty")
    assert files(tmp_path / "empty") == files(out)


class FullDisk:
    """Lets writes through until so many bytes are written, then fails as a full disk does."""

    def __init__(self, room: int, code: int) -> None:
        self.room, self.code, self.write = room, code, os.write

    def __call__(self, descriptor: int, data: Any) -> int:
        if len(data) > self.room:
            if self.room == 0:
                raise OSError(self.code, os.strerror(self.code))
            data = memoryview(data)[: self.room]
        done = self.write(descriptor, data)
        self.room -= done
        return done


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (errno.ENOSPC, "compress-disk-full"),
        (errno.EDQUOT, "compress-disk-full"),
        (errno.EIO, "compress-write"),
    ],
)
def test_a_disk_that_fills_up_is_explained_and_the_job_goes_on(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch, failure: int, code: str
) -> None:
    compress(source, tmp_path / "whole")
    want = files(tmp_path / "whole")
    total = sum(map(len, want.values()))
    for room in range(0, total, total // 7):
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", FullDisk(room, failure))
            error = refused(code, lambda: compress(source, tmp_path / "out"))
            assert str(tmp_path / "out") in error.what
        compress(source, tmp_path / "out")
        assert files(tmp_path / "out") == want
        shutil.rmtree(tmp_path / "out")


def test_too_little_room_is_said_before_the_work(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    seen: list[Progress] = []
    error = refused(
        "compress-disk-space", lambda: compress(source, tmp_path / "out", progress=seen.append)
    )
    assert not seen and "MB" in error.what


def test_an_interrupt_after_the_rename_does_not_fail_the_job(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    want = compress(source, tmp_path / "whole").bundle.tensors
    out = tmp_path / "out"

    def once(module: Any, name: str) -> None:
        """The first call once the output is there is interrupted before it does its work."""
        work = getattr(module, name)

        def interrupted(*args: Any, **options: Any) -> Any:
            if out.exists():
                monkeypatch.setattr(module, name, work)
                raise KeyboardInterrupt
            return work(*args, **options)

        monkeypatch.setattr(module, name, interrupted)

    for module, name in (
        (writer, "sync_directory"),
        (writer.shutil, "rmtree"),
        (quantizer, "inspect"),
    ):
        once(module, name)
        assert compress(source, out).bundle.tensors == want
        assert getattr(module, name).__name__ != "interrupted"
        assert not partial_path(out).exists()
        shutil.rmtree(out)


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_a_kill_after_the_rename_left_behind_is_cleared(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch, overwrite: bool
) -> None:
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(BundleWriter, "_leave", BundleWriter._close)
        compress(source, out)
    assert (partial_path(out) / "job.json").exists()
    if overwrite:
        compress(source, out, overwrite=True)
    else:
        refused("compress-output-exists", lambda: compress(source, out))
    assert not partial_path(out).exists()
    assert bundle.inspect(out, verify=True).verified


def test_a_job_that_has_finished_nothing_gives_way_to_other_options(
    tmp_path: Path, source: Path
) -> None:
    def stop(step: Progress) -> None:
        if step.stage == "compress":
            raise StopError

    with pytest.raises(StopError):
        compress(source, tmp_path / "out", progress=stop)
    made = compress(source, tmp_path / "out", bits=8).bundle
    assert made.plan["bits"] == 8


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_one_may_not_write_in_is_named(tmp_path: Path, source: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    refused("compress-write", lambda: compress(source, tmp_path / "locked/out"))


def test_a_parent_that_is_a_file_is_named(tmp_path: Path, source: Path) -> None:
    (tmp_path / "file").write_text("")
    error = refused("compress-output-foreign", lambda: compress(source, tmp_path / "file/out"))
    assert "file" in error.what
    refused("compress-output-foreign", lambda: compress(source, Path("/")))


def test_a_journal_cut_anywhere_loses_only_its_last_line(tmp_path: Path, source: Path) -> None:
    out = tmp_path / "out"
    compress(source, tmp_path / "whole")
    interrupt(source, out, "head.weight")
    journal = (partial_path(out) / "journal").read_bytes()
    shutil.copytree(partial_path(out), tmp_path / "saved")
    for size in range(0, len(journal), 61):
        (partial_path(out) / "journal").write_bytes(journal[:size])
        compress(source, out)
        assert files(out) == files(tmp_path / "whole")
        shutil.rmtree(out)
        shutil.copytree(tmp_path / "saved", partial_path(out))


def test_segments_whose_bytes_are_gone_are_made_again(tmp_path: Path, source: Path) -> None:
    out = tmp_path / "out"
    compress(source, tmp_path / "whole")
    interrupt(source, out, "head.weight")
    shard = partial_path(out) / "bundle/blocks/00000.safetensors"
    os.truncate(shard, 40_000)
    interrupt(source, out, "layers.1.up.weight")
    compress(source, out)
    assert files(out) == files(tmp_path / "whole")


def test_a_damaged_job_is_explained(tmp_path: Path, source: Path) -> None:
    out = tmp_path / "out"
    interrupt(source, out, "head.weight")
    (partial_path(out) / "job.json").write_text("{}")
    refused("compress-job-unreadable", lambda: compress(source, out))


@pytest.mark.parametrize(
    ("weight_format", "scale", "fine"),
    [
        *(("w8g32", scale, False) for scale in (np.inf, np.nan, -1.0)),
        *(("w3g32", scale, False) for scale in (-np.inf, np.nan)),
        ("w3g32z", -1.0, False),
        ("w3g32", -1.0, True),
        ("w2g32", -65504.0, True),
    ],
)
def test_the_writer_refuses_scales_that_cannot_be_used(
    weight_format: str, scale: float, fine: bool, tmp_path: Path
) -> None:
    tensors = (bundle.TensorPlan("head.weight", weight_format, (16, 32)),)
    job = bundle.Job("tests", {}, {}, tensors, (), {})
    codes, scales, zeros = _core.packed_size(weight_format, 16, 32)
    data = np.zeros(codes + scales + zeros, np.uint8)
    data[codes + scales - 2 : codes + scales] = np.float16([scale]).view(np.uint8)
    with BundleWriter(tmp_path / "out") as writer:
        writer.begin(job, [])
        write = partial(writer.write_segment, 0, [(data, bundle.PartError(0.0, 0.0, 0.0))])
        if fine:
            write()
            return
        with pytest.raises(PocketR1Error) as caught:
            write()
        assert caught.value.code == "bundle-scales" and "head.weight" in caught.value.what


RUN = """
import sys
from pathlib import Path
from pocketr1.bundle import layout
layout.SEGMENT_LIMIT, layout.SHARD_LIMIT = 700, 80_000
from compress_support import compress
compress(Path(sys.argv[1]), Path(sys.argv[2]), discard_source=sys.argv[3] == "True")
"""


def kill_in_time(tmp_path: Path, rounds: int, discard: bool) -> int:
    """SIGKILL a job at random times; returns how many kills fell before its end."""
    saved, source, out = tmp_path / "saved", tmp_path / "source", tmp_path / "out"
    config = {**TINY, "num_hidden_layers": 6, "vocab_size": 900}
    tensors = random_tensors(tiny_shapes(config))
    names = list(tensors)
    write_checkpoint(saved, config, tensors, [names[:30], names[30:]])
    compress(saved, tmp_path / "whole")
    want = files(tmp_path / "whole")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    rng = random.Random(1)
    kills = 0
    longest = 0.25  # seconds a job may go on: halved by a kill that came too late
    shutil.copytree(saved, source)
    for _ in range(rounds):
        command = [sys.executable, "-c", RUN, str(source), str(out), str(discard)]
        with subprocess.Popen(command, env=env, stderr=subprocess.PIPE) as job:
            deadline = time.monotonic() + 20
            while job.poll() is None and not partial_path(out).exists():
                assert time.monotonic() < deadline
                time.sleep(0.002)
            time.sleep(rng.uniform(0, longest))
            job.send_signal(signal.SIGKILL)
            job.wait()
        kills += not out.exists()
        longest = min(0.25, longest * 1.1)
        if out.exists():
            longest /= 2
            assert files(out) == want
            shutil.rmtree(out)
            shutil.rmtree(partial_path(out), ignore_errors=True)
            shutil.rmtree(source)
            shutil.copytree(saved, source)
    compress(source, out, discard_source=discard)
    assert files(out) == want
    return kills


def test_killed_from_outside_it_resumes(tmp_path: Path) -> None:
    assert kill_in_time(tmp_path, 5, discard=False) > 0


@pytest.mark.soak
@pytest.mark.parametrize("discard", [False, True])
def test_killed_from_outside_hundreds_of_times_it_resumes(tmp_path: Path, discard: bool) -> None:
    assert kill_in_time(tmp_path, 250, discard) > 50
