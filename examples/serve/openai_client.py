"""Ask a local server with OpenAI's own client (``pip install openai``), thought and answer apart.

pocketr1 serve tiny
python examples/serve/openai_client.py 'What is 17 times 23?'
python examples/serve/openai_client.py 'What is 17 times 23?' --url http://127.0.0.1:8080/v1

Nothing leaves the machine; any other client of that protocol will do as well.
"""

from __future__ import annotations

import argparse
import sys

from openai import OpenAI


def main() -> int:
    """Stream one reply: the thought to stderr, the answer to stdout."""
    parser = argparse.ArgumentParser(description="Ask a local server with OpenAI's client.")
    parser.add_argument("question")
    parser.add_argument("--url", default="http://127.0.0.1:8080/v1")
    parser.add_argument("--key", default="none", help="where the server was given an API key")
    parser.add_argument("--max-tokens", type=int, default=1024)
    options = parser.parse_args()
    client = OpenAI(base_url=options.url, api_key=options.key)
    model = client.models.list().data[0].id
    stream = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": options.question}],
        max_tokens=options.max_tokens,
        stream=True,
        stream_options={"include_usage": True},
    )
    for chunk in stream:
        if chunk.usage is not None:
            print(f"\n[{chunk.usage.completion_tokens} tokens]", file=sys.stderr)
        for choice in chunk.choices:
            # DeepSeek's field for the thought; the client's own types do not name it.
            thought = getattr(choice.delta, "reasoning_content", None)
            print(thought or "", end="", file=sys.stderr, flush=True)
            print(choice.delta.content or "", end="", flush=True)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
