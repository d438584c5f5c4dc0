"""The application: its commands, its language, and what a failure looks like."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from pocketr1 import __version__, messages
from pocketr1.cli.bench import bench
from pocketr1.cli.cache import cache
from pocketr1.cli.chat import chat
from pocketr1.cli.commands import Command, make_app
from pocketr1.cli.compress import compress
from pocketr1.cli.distill import distill
from pocketr1.cli.doctor import doctor
from pocketr1.cli.evaluate import evaluate
from pocketr1.cli.export import export
from pocketr1.cli.inspect import inspect
from pocketr1.cli.output import print_error, show
from pocketr1.cli.privacy import privacy
from pocketr1.cli.pull import pull
from pocketr1.cli.run import run
from pocketr1.cli.serve import serve
from pocketr1.errors import CancelledError, PocketR1Error, UsageError

__all__ = ["COMMANDS", "build_app", "main"]

COMMANDS: dict[str, Callable[..., None]] = {
    "pull": pull,
    "compress": compress,
    "distill": distill,
    "inspect": inspect,
    "run": run,
    "chat": chat,
    "serve": serve,
    "bench": bench,
    "evaluate": evaluate,
    "export": export,
    "cache": cache,
    "privacy": privacy,
    "doctor": doctor,
}

# The base of everything the parser raises; where it lives depends on typer's version.
_ParserError = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")


def build_app() -> typer.Typer:
    """Return the application with all commands."""
    app = make_app()
    app.callback()(_root)
    settings = {"allow_extra_args": True}
    for name, command in COMMANDS.items():
        app.command(name, cls=Command, help=f"cli-{name}", context_settings=settings)(command)
    return app


def _root(
    ctx: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="cli-option-version")] = False,
    lang: Annotated[
        str | None, typer.Option("--lang", metavar="{en,zh}", help="cli-option-lang")
    ] = None,
) -> None:
    if version:
        show(f"pocketr1 {__version__}")
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        print(ctx.get_help(), file=sys.stderr)
        raise typer.Exit(2)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return 0 for done, 1 for failed, 2 for misused."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show Chinese gets escapes instead of a failure.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    if hasattr(sys.stdin, "reconfigure"):
        sys.stdin.reconfigure(errors="replace")
    as_json = "--json" in _before_separator(arguments)
    try:
        messages.set_language(_take_language(arguments))
        return _run(arguments)
    except BrokenPipeError:
        # The reader has gone; nothing more can be said, also not when Python flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (Exception, KeyboardInterrupt) as error:
        known = _known_error(error)
        print_error(known, as_json=as_json)
        return known.exit_code
    finally:
        messages.set_language(None)


def _run(arguments: list[str]) -> int:
    command = typer.main.get_command(build_app())
    try:
        with command.make_context("pocketr1", arguments) as context:
            command.invoke(context)
    except typer.Exit as end:
        return end.exit_code
    return 0


def _known_error(error: BaseException) -> PocketR1Error:
    """Return ``error`` as one that has a text; what nobody foresaw asks for a report."""
    if isinstance(error, PocketR1Error):
        return error
    if isinstance(error, _ParserError):
        return _usage_error(error)
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return CancelledError("cli-interrupted")
    if isinstance(error, MemoryError):
        return PocketR1Error("cli-memory")
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
        return PocketR1Error("cli-system", path=error.filename or "-", reason=reason)
    if os.environ.get("POCKETR1_DEBUG"):
        traceback.print_exception(error)
    return PocketR1Error("cli-unexpected", kind=type(error).__name__, text=str(error))


def _usage_error(error: Any) -> UsageError:
    """Return what the parser complains about in our words."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "pocketr1"
    kind = type(error).__name__
    if kind == "NoSuchOption" and error.possibilities:
        near = error.possibilities[0]
        return UsageError("cli-no-such-option-near", option=error.option_name, near=near)
    if kind == "NoSuchOption":
        return UsageError("cli-no-such-option", option=error.option_name, command=command)
    if kind == "MissingParameter" and error.param is not None:
        name = error.param.metavar or error.param.opts[0]
        return UsageError("cli-missing", name=name, command=command)
    if kind == "BadOptionUsage":
        return UsageError("cli-option-value", option=error.option_name, command=command)
    return UsageError("cli-usage", reason=error.format_message(), command=command)


def _before_separator(arguments: list[str]) -> list[str]:
    return arguments[: arguments.index("--")] if "--" in arguments else arguments


def _take_language(arguments: list[str]) -> str | None:
    """Remove ``--lang X`` wherever it stands before ``--``; return the language."""
    language = None
    place = 0
    while place < len(_before_separator(arguments)):
        name, equals, value = arguments[place].partition("=")
        if name != "--lang":
            place += 1
            continue
        language = value if equals else next(iter(arguments[place + 1 : place + 2]), "")
        del arguments[place : place + (1 if equals else 2)]
        if language not in messages.LANGUAGES:
            known = ", ".join(messages.LANGUAGES)
            raise UsageError("cli-language", value=language, known=known)
    return language
