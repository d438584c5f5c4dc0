"""A reply as it streams: the chunks of OpenAI's protocol, one event each."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Any, Protocol

from starlette.requests import Request

from pocketr1.errors import PocketR1Error
from pocketr1.server import streams
from pocketr1.server.backend import Event
from pocketr1.server.errors import error_body, fault

__all__ = ["Chunks", "stream"]


class Chunks(Protocol):
    """Turns a backend's events into chunks."""

    def opening(self) -> Iterable[Mapping[str, Any]]:
        """Return what stands before the first event."""
        ...

    def of(self, event: Event) -> Iterable[Mapping[str, Any]]:
        """Return the chunks of an event."""
        ...

    def last(self) -> Iterable[Mapping[str, Any]]:
        """Return what stands at the end."""
        ...


async def stream(
    request: Request,
    events: AsyncGenerator[Event, None],
    chunks: Chunks,
    headers: dict[str, str],
) -> streams.EventStream:
    """Return the response that streams ``events`` as ``chunks`` say, then ``[DONE]``.

    Raises what the first event raises, as long as there is a status to tell it by; what is wrong
    later comes as an event.
    """
    patient = streams.Patient(events)
    try:
        wait = patient.next(streams.KEEP_ALIVE_SECONDS)
        first = await streams.while_connected(request, wait)
    except BaseException:
        await patient.aclose()
        raise
    return streams.EventStream(_lines(patient, first, chunks), headers, held=patient)


async def _lines(
    patient: streams.Patient[Event], event: Event | None, chunks: Chunks
) -> AsyncGenerator[str, None]:
    """Yield the chunks, comments while there are none, and the end."""
    try:
        for chunk in chunks.opening():
            yield streams.data_line(chunk)
        while True:
            if event is None:
                yield streams.KEEP_ALIVE
            else:
                for chunk in chunks.of(event):
                    yield streams.data_line(chunk)
            event = await patient.next(streams.KEEP_ALIVE_SECONDS)
    except StopAsyncIteration:
        for chunk in chunks.last():
            yield streams.data_line(chunk)
    except PocketR1Error as error:
        yield streams.data_line(error_body(error))
    except Exception as error:
        yield streams.data_line(error_body(fault(error)))
    yield "data: [DONE]\n\n"
