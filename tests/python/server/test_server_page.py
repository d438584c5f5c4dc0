"""The page's files, as the server gives them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fake_backend import FakeBackend
from starlette.testclient import TestClient

import pocketr1.server
from pocketr1.server.app import Settings, build_app

BUILT = Path(pocketr1.server.__file__).parent / "web"
# Names of XML namespaces, and what highlight.js would say on a console: nobody is asked for these.
NAMES = re.compile(r"https?://(www\.w3\.org/|github\.com/highlightjs/|\$\{|(?=[\"'`)]))")


@pytest.fixture
def client(tmp_path: Path) -> TestClient:
    app = build_app(FakeBackend(), Settings(data=tmp_path))
    return TestClient(app, base_url="http://127.0.0.1:8080")


def addresses() -> list[str]:
    """Return what the page names: in its first file, its style and its manifest."""
    found = []
    for path in (BUILT / "index.html", *BUILT.glob("assets/*.css"), *BUILT.glob("assets/*.webm*")):
        found += re.findall(r"/assets/[\w.-]+", path.read_text(encoding="utf-8"))
    return sorted(set(found))


def test_the_page_may_run_and_load_what_lies_beside_it_alone(client: TestClient) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy


def test_everything_the_page_names_is_there_and_may_be_kept_for_ever(client: TestClient) -> None:
    kinds = {"js": "text/javascript", "css": "text/css", "woff2": "font/woff2"}
    kinds |= {"svg": "image/svg+xml", "png": "image/png"}
    kinds |= {"webmanifest": "application/manifest+json"}
    assert len(addresses()) > 20
    for address in addresses():
        answer = client.get(address)
        assert answer.status_code == 200, address
        assert answer.headers["content-type"].split(";")[0] == kinds[address.rsplit(".", 1)[1]]
        assert "immutable" in answer.headers["cache-control"]


def test_every_built_file_is_named_by_the_page() -> None:
    assert addresses() == [f"/assets/{path.name}" for path in sorted(BUILT.glob("assets/*"))]


def test_a_browser_that_has_a_file_gets_304_under_the_same_policy(client: TestClient) -> None:
    first = client.get("/")
    again = client.get("/", headers={"If-None-Match": f'"other", {first.headers["etag"]}'})
    assert again.status_code == 304
    assert again.content == b""
    assert again.headers["content-security-policy"] == first.headers["content-security-policy"]
    assert client.get("/", headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/assets/",
        "/assets/index.html",
        "/assets/..%2findex.html",
        "/assets/..%2f..%2fpage.py",
        "/assets/%2e%2e/page.py",
        "/assets/....//page.py",
        "/assets/%2fetc%2fpasswd",
        "/assets/app.js%00.png",
        "/assets/..\\page.py",
        "/assets/" + "a" * 3000,
        "/index.html",
        "/web/index.html",
    ],
)
def test_no_other_path_gives_a_file(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code in {400, 404}
    assert "error" in answer.json()


def test_files_are_only_read(client: TestClient) -> None:
    for path in ("/", addresses()[0]):
        assert client.head(path).status_code == 200
        for method in ("POST", "PUT", "DELETE"):
            assert client.request(method, path).status_code == 405


def test_the_page_can_be_left_out(tmp_path: Path) -> None:
    app = build_app(FakeBackend(), Settings(data=tmp_path, page=False))
    client = TestClient(app, base_url="http://127.0.0.1:8080")
    assert client.get("/").status_code == 404
    assert client.get(addresses()[0]).status_code == 404


def test_the_licences_of_what_is_built_in_come_along(client: TestClient) -> None:
    text = client.get("/assets/LICENSES.txt").text
    for name in ("preact", "markdown-it", "dompurify", "highlight.js", "katex"):
        assert re.search(rf"^{re.escape(name)} \d+\.\d+\.\d+ \(", text, re.MULTILINE), name


def test_the_built_page_names_no_other_machine() -> None:
    for path in (BUILT / "index.html", *BUILT.glob("assets/app-*"), *BUILT.glob("assets/*.webm*")):
        text = path.read_text(encoding="utf-8")
        others = {
            text[match.start() : match.start() + 60]
            for match in re.finditer(r"https?://", text)
            if not NAMES.match(text, match.start())
        }
        assert others == set(), path.name


def test_the_built_page_is_small() -> None:
    size = sum(path.stat().st_size for path in BUILT.rglob("*") if path.is_file())
    assert size < 950_000
