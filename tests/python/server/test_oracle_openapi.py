"""The published document, held against the running server by schemathesis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

schemathesis = pytest.importorskip("schemathesis")
pytestmark = pytest.mark.oracle

from fake_backend import FakeBackend  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402
from serving import serving  # noqa: E402
from starlette.testclient import TestClient  # noqa: E402

from pocketr1.server.app import Settings, build_app  # noqa: E402
from pocketr1.server.http import RunningServer  # noqa: E402


def published() -> Any:
    """Return the document a server gives; it is wanted before any test begins."""
    asked = TestClient(build_app(FakeBackend(), Settings()), base_url="http://127.0.0.1")
    return schemathesis.openapi.from_dict(asked.get("/openapi.json").raise_for_status().json())


schema = published()


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with serving(FakeBackend()) as running:
        yield running


@schema.parametrize()
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_every_answer_is_one_the_document_names(case: Any, server: RunningServer) -> None:
    # What a schema cannot say is refused too (an image, a result without its call), and some that
    # it refuses is let be; every status, header and body must be as described, and none a 5xx.
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    case.call_and_validate(
        base_url=server.url,
        checks=[
            not_a_server_error,
            checks.status_code_conformance,
            checks.content_type_conformance,
            checks.response_headers_conformance,
            checks.response_schema_conformance,
            checks.unsupported_method,
        ],
    )
