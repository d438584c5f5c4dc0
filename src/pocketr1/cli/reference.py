"""The page ``docs/reference/cli.md``, as ``python -m pocketr1.cli.reference`` prints it."""

from __future__ import annotations

from typing import Any

import typer

from pocketr1 import messages
from pocketr1.cli.app import build_app
from pocketr1.cli.commands import parameter_rows, usage

__all__ = ["reference"]


def reference() -> str:
    """Return the page, in English."""
    messages.set_language("en")
    try:
        group: Any = typer.main.get_command(build_app())
        context = group.make_context("pocketr1", ["--lang", "en"], resilient_parsing=True)
        lines = [
            "# The command line",
            "",
            "Made from the commands themselves: `python -m pocketr1.cli.reference`.",
            "",
            *_section(group, context),
        ]
        for name, command in group.commands.items():
            inner = command.make_context(name, [], parent=context, resilient_parsing=True)
            lines += ["", f"## pocketr1 {name}", "", *_section(command, inner)]
        return "\n".join(lines) + "\n"
    finally:
        messages.set_language(None)


def _section(command: Any, context: Any) -> list[str]:
    lines = [f"`{usage(command, context).split(' ', 1)[1]}`", ""]
    lines += [messages.text(command.help), ""]
    details = messages.text(command.help, "mend")
    lines += [_code_blocks(details), ""] if details else []
    lines += ["| | |", "|---|---|"]
    for kind in ("argument", "option"):
        for term, text in parameter_rows(command, context, kind):
            lines.append(f"| `{term}` | {text} |")
    return lines


def _code_blocks(text: str) -> str:
    blocks = text.split("\n\n")
    return "\n\n".join(
        "```\n" + "\n".join(line[2:] for line in block.split("\n")) + "\n```"
        if block.startswith("  ")
        else block
        for block in blocks
    )


if __name__ == "__main__":
    print(reference(), end="")
