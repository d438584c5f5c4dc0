"""The page that a person opens in a browser: its files, as they were built from ``web/``.

They are listed once, from the package itself. A request's path is looked up in that list and never
becomes a path of the file system.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from pocketr1.server.errors import RequestError
from pocketr1.server.guard.headers import PAGE_POLICY

__all__ = ["routes"]

_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "png": "image/png",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
    "webmanifest": "application/manifest+json",
    "woff2": "font/woff2",
}
# Names carry a hash of what they hold, so that a browser need not ask again.
_FOREVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"


@dataclass(frozen=True)
class _File:
    """One built file, and what a browser is told of it."""

    place: Path
    kind: str
    caching: str

    def answer(self, request: Request) -> Response:
        """Return the file, or 304 where the browser has this very one."""
        data = self.place.read_bytes()
        tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
        headers = {"ETag": tag, "Cache-Control": self.caching, "X-DNS-Prefetch-Control": "off"}
        if self.place.suffix == ".html":
            # With 304 too, which has no type to tell it by: a browser takes the newest headers.
            headers["Content-Security-Policy"] = PAGE_POLICY
        known = {each.strip() for each in request.headers.get("if-none-match", "").split(",")}
        if known & {tag, f"W/{tag}", "*"}:
            return Response(status_code=304, headers=headers)
        return Response(data, media_type=self.kind, headers=headers)


def routes() -> list[BaseRoute]:
    """Return the routes of the page: ``/``, ``/assets/…``, and the licences of what is in it."""
    folder = Path(__file__).parent / "web"
    known = {
        "/": _file(folder / "index.html", _ASK_AGAIN),
        "/assets/LICENSES.txt": _file(folder / "LICENSES.txt", _ASK_AGAIN),
    }
    for place in (folder / "assets").iterdir():
        known[f"/assets/{place.name}"] = _file(place, _FOREVER)
    icons = [path for path in known if path.endswith(".png")]
    known["/favicon.ico"] = _file(known[icons[0]].place, _ASK_AGAIN)

    async def answer(request: Request) -> Response:
        file = known.get(request.scope["path"])
        if file is None:
            path = str(request.scope["path"])[:200]
            raise RequestError("request-route", status=404, path=path, method=request.method)
        return file.answer(request)

    paths = ["/", "/favicon.ico", "/assets/{name}"]
    return [Route(path, answer, methods=["GET"]) for path in paths]


def _file(place: Path, caching: str) -> _File:
    return _File(place, _TYPES[place.name.rpartition(".")[2]], caching)
