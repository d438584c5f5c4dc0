"""Hold a conversation with a local server over Server-Sent Events, with Python alone.

    pocketr1 serve tiny
    python examples/serve/event_source.py 'What is 17 times 23?' [--url http://127.0.0.1:8080]

The reply belongs to the server: where the connection is lost, the same reply is asked for again
from the last event on, and nothing is missing. A browser's EventSource does just that.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

RETRIES = 5


def post(url: str, document: dict[str, Any], key: str | None) -> dict[str, Any]:
    """Post JSON and return the JSON that comes back."""
    headers = {"Content-Type": "application/json", **_authorization(key)}
    with urlopen(Request(url, json.dumps(document).encode(), headers)) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def events(url: str, key: str | None) -> Iterator[tuple[str, Any]]:
    """Yield each event's name and data; a lost connection is taken up behind the last one."""
    last, name, data, failures = "", "message", [], 0
    while True:
        headers = {"Accept": "text/event-stream", **_authorization(key)}
        if last:
            headers["Last-Event-ID"] = last
        try:
            with urlopen(Request(url, headers=headers)) as answer:
                if answer.status == 204:  # nothing comes behind the last event
                    return
                for raw in answer:
                    field, _, value = raw.decode().rstrip("\r\n").partition(": ")
                    if field == "event":
                        name = value
                    elif field == "data":
                        data.append(value)
                    elif field == "id":
                        last, failures = value, 0
                    elif not field and data:
                        yield name, json.loads("\n".join(data))
                        name, data = "message", []
        except (URLError, OSError):
            failures += 1
            if failures > RETRIES:
                raise
        name, data = "message", []  # half an event is none
        time.sleep(0.2 * failures)


def _authorization(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Authorization": f"Bearer {key}"}


def main() -> int:
    """Begin a conversation and show the reply: the thought on stderr, the answer on stdout."""
    parser = argparse.ArgumentParser(description="Ask a local server over Server-Sent Events.")
    parser.add_argument("question")
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--key", help="where the server was given an API key")
    options = parser.parse_args()
    try:
        return show(f"{options.url}/api", options.question, options.key)
    except OSError as error:
        print(f"{options.url}: {error}", file=sys.stderr)
        return 1


def show(api: str, question: str, key: str | None) -> int:
    """Ask, and show what comes."""
    conversation = post(f"{api}/conversations", {}, key)
    message = {"parent": None, "content": question}
    sent = post(f"{api}/conversations/{conversation['id']}/messages", message, key)
    for name, data in events(f"{api}/replies/{sent['reply']['id']}/events", key):
        if name == "piece":
            out = sys.stderr if data["kind"] == "reasoning" else sys.stdout
            print(data["text"], end="", file=out, flush=True)
        elif name == "ended":
            print(f"\n[{data['finish_reason']}]", file=sys.stderr)
            return 0
        elif name == "failed":
            print(f"\n{data['message']}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
