"""A server on loopback that speaks enough of the Hugging Face hub's protocol, well or badly."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"
#: Sends a file in its own way: (handler, the file's bytes, the first byte asked for).
Answer = Callable[[BaseHTTPRequestHandler, bytes, int], None]


@dataclass
class FakeHub:
    """Repositories and how they misbehave.

    fault: called with (method, file name) before a file is sent; it may return a status to answer
    with, "drop" (half of what is left, then the connection breaks), "wrong" (other bytes of the
    same length), "no-ranges" (ignores Range), an :data:`Answer` of its own, or None. authorized:
    whether a request brought a token, for each.
    """

    repositories: dict[str, dict[str, bytes]]
    fault: Callable[[str, str], int | str | Answer | None] = lambda method, name: None
    api_status: int | None = None
    silent: bool = False  # takes every request and answers none, until the server ends
    gated: bool = False
    sizes: dict[str, int] = field(default_factory=dict)  # lies of the listing
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    authorized: list[bool] = field(default_factory=list)
    asked: threading.Event = field(default_factory=threading.Event)  # by a first request
    ended: threading.Event = field(default_factory=threading.Event)
    address: str = ""

    def gets(self, name: str) -> list[str | None]:
        """Return the Range headers of all GETs of a file."""
        return [ranges for method, path, ranges in self.requests if (method, path) == ("GET", name)]


def read_directory(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir()}


@contextmanager
def serving(hub: FakeHub) -> Iterator[FakeHub]:
    """Run the server while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer("HEAD")

        def do_GET(self) -> None:
            self._answer("GET")

        def log_message(self, *args: Any) -> None:
            pass

        def _answer(self, method: str) -> None:
            hub.authorized.append("Authorization" in self.headers)
            hub.asked.set()
            if hub.silent:
                hub.ended.wait()
                self.close_connection = True
                return
            path = self.path.partition("?")[0]
            api = re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?", path)
            if api:
                self._model_info(api[1], api[2])
                return
            resolve = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
            if resolve and resolve[3] in hub.repositories.get(resolve[1], {}):
                self._file(method, resolve[3], hub.repositories[resolve[1]][resolve[3]])
            else:
                self._plain(404, b"", {"X-Error-Code": "EntryNotFound"})

        def _model_info(self, repository: str, revision: str | None) -> None:
            if hub.api_status is not None:
                self._plain(hub.api_status, b"{}")
            elif hub.gated:
                self._plain(403, b"{}", {"X-Error-Code": "GatedRepo"})
            elif repository not in hub.repositories:
                self._plain(404, b"{}", {"X-Error-Code": "RepoNotFound"})
            elif revision not in (None, "main", COMMIT):
                self._plain(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            else:
                siblings = [
                    self._sibling(name, content)
                    for name, content in hub.repositories[repository].items()
                ]
                info = {"id": repository, "sha": COMMIT, "siblings": siblings}
                content = json.dumps(info).encode()
                self._plain(200, content, {"Content-Type": "application/json"})

        def _sibling(self, name: str, content: bytes) -> dict[str, Any]:
            size = hub.sizes.get(name, len(content))
            entry: dict[str, Any] = {"rfilename": name, "size": size, "blobId": git_sha1(content)}
            if name.endswith((".safetensors", ".gguf")):
                entry["lfs"] = {"sha256": sha256(content), "size": size, "pointerSize": 134}
            return entry

        def _file(self, method: str, name: str, content: bytes) -> None:
            ranges = self.headers.get("Range")
            hub.requests.append((method, name, ranges))
            fault = hub.fault(method, name)
            if isinstance(fault, int):
                self._plain(fault, b"")
                return
            if callable(fault):
                asked = re.match(r"bytes=(\d+)-", ranges or "")
                fault(self, content, int(asked[1]) if asked else 0)
                return
            etag = sha256(content) if name.endswith(".safetensors") else git_sha1(content)
            headers = {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
            if fault == "wrong":
                content = bytes(byte ^ 1 for byte in content)
            status, begin, end = 200, 0, len(content)
            match = re.fullmatch(r"bytes=(\d+)-(\d*)", ranges or "")
            if match and fault != "no-ranges":
                begin = int(match[1])
                end = min(int(match[2]) + 1, end) if match[2] else end
                status = 206
                headers["Content-Range"] = f"bytes {begin}-{end - 1}/{len(content)}"
            body = content[begin:end]
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if method == "GET":
                if fault == "drop":
                    self.wfile.write(body[: len(body) // 2])
                    self.wfile.flush()
                    self.connection.close()
                    self.close_connection = True
                else:
                    self.wfile.write(body)

        def _plain(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for key, value in (headers or {}).items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that left
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.ended.set()
        server.shutdown()
        server.server_close()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
