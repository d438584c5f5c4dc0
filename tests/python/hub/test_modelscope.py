"""ModelScope's own client against a server that speaks its documented protocol."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest
from fake_hub import read_directory

import pocketr1

pytestmark = pytest.mark.oracle
pytest.importorskip("modelscope_hub", reason="the extra `modelscope` is not installed")


@pytest.fixture
def endpoint(tiny_checkpoint: Path) -> Iterator[str]:
    """Serve the tiny checkpoint as me/tiny."""
    files = read_directory(tiny_checkpoint)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            url = urlparse(self.path)
            name = parse_qs(url.query).get("FilePath", [""])[0]
            if url.path == "/api/v1/models/me/tiny/repo/files":
                entries = [
                    {
                        "Path": name,
                        "Size": len(content),
                        "Sha256": hashlib.sha256(content).hexdigest(),
                        "Type": "blob",
                    }
                    for name, content in files.items()
                ]
                answer = {"Code": 200, "Success": True, "Data": {"Files": entries}}
                self._send(200, json.dumps(answer).encode())
            elif url.path == "/api/v1/models/me/tiny/repo" and name in files:
                self._file(files[name])
            else:
                self._send(404, b'{"Code": 404, "Success": false, "Message": "not found"}')

        def log_message(self, *args: Any) -> None:
            pass

        def _file(self, content: bytes) -> None:
            match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
            if match is None:
                self._send(200, content)
                return
            begin = int(match[1])
            end = min(int(match[2]) + 1, len(content)) if match[2] else len(content)
            place = f"bytes {begin}-{end - 1}/{len(content)}"
            self._send(206, content[begin:end], {"Content-Range": place})

        def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for key, value in (headers or {}).items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def pull(
    endpoint: str, home: Path, repository: str, *options: object
) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "pocketr1", "pull", repository, "--from", "modelscope"]
    environment = {**os.environ, "MODELSCOPE_ENDPOINT": endpoint, "HOME": str(home)}
    return subprocess.run(
        [*words, *map(str, options), "--lang", "en"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_model_is_pulled_whole(endpoint: str, tmp_path: Path, tiny_checkpoint: Path) -> None:
    done = pull(endpoint, tmp_path, "me/tiny", "-o", tmp_path / "out")

    assert done.returncode == 0, done.stderr
    assert read_directory(tmp_path / "out") == read_directory(tiny_checkpoint)


def test_a_model_is_compressed_on_the_way(
    endpoint: str, tmp_path: Path, tiny_checkpoint: Path
) -> None:
    whole = tmp_path / "whole"
    pocketr1.Quantizer(tiny_checkpoint, output_path=whole, bits=4, group_size=64).run()

    done = pull(endpoint, tmp_path, "me/tiny", "-o", tmp_path / "out", "--compress", 4)

    assert done.returncode == 0, done.stderr
    assert read_directory(tmp_path / "out" / "blocks") == read_directory(whole / "blocks")


def test_a_model_that_is_not_there_is_an_error(endpoint: str, tmp_path: Path) -> None:
    done = pull(endpoint, tmp_path, "me/nothing", "-o", tmp_path / "out")

    assert done.returncode == 1
    assert "hub-unreachable" in done.stderr
    assert "ModelScope me/nothing" in done.stderr
