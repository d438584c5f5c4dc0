"""Reading the JSON of a request."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request

from pocketr1.server.errors import RequestError
from pocketr1.server.guard.limits import Limits

__all__ = ["read_json"]


async def read_json(request: Request, limits: Limits) -> Any:
    """Return the body's JSON. Raises RequestError."""
    try:
        return json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise RequestError("request-json", reason=str(error)) from error
