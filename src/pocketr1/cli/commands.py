"""The command classes: help and mistakes in the user's language.

The ``help`` of a command and of a parameter is a code of :mod:`pocketr1.messages`: ``what`` is the
one-line text, ``mend`` of a command its details. They are looked up when help is asked for.
"""

from __future__ import annotations

import difflib
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from pocketr1 import messages
from pocketr1.cli import layout
from pocketr1.errors import UsageError

__all__ = ["Command", "Group", "make_app", "parameter_rows", "usage"]


class Command(TyperCommand):
    """One command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse what is left over; the base class is told to let it through."""
        super().parse_args(ctx, args)
        if ctx.args:
            raise UsageError("cli-extra-argument", value=ctx.args[0], command=ctx.command_path)
        return []

    def get_help(self, ctx: Any) -> str:
        """Return the whole help text."""
        room = layout.width()
        lines = [usage(self, ctx), "", *layout.paragraphs(messages.text(str(self.help)), room)]
        details = messages.text(str(self.help), "mend")
        if details:
            lines += ["", *layout.paragraphs(details, room)]
        for title, kind in (("cli-arguments", "argument"), ("cli-options", "option")):
            rows = parameter_rows(self, ctx, kind)
            if rows:
                lines += ["", messages.text(title), *layout.two_columns(rows, room)]
        return "\n".join(lines)


class Group(TyperGroup):
    """``pocketr1`` itself."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the commands in the order they were added."""
        return list(self.commands)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Name the nearest command where there is none of that name."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            known = ", ".join(self.commands)
            near = difflib.get_close_matches(args[0], self.commands, 1)
            if near:
                raise UsageError("cli-no-such-command-near", name=args[0], near=near[0])
            raise UsageError("cli-no-such-command", name=args[0], known=known)
        return super().resolve_command(ctx, args)

    def get_help(self, ctx: Any) -> str:
        """Return the whole help text."""
        room = layout.width()
        commands = [(name, messages.text(str(c.help))) for name, c in self.commands.items()]
        lines = [usage(self, ctx), "", *layout.paragraphs(messages.text(str(self.help)), room)]
        lines += ["", messages.text("cli-commands"), *layout.two_columns(commands, room)]
        options = parameter_rows(self, ctx, "option")
        lines += ["", messages.text("cli-options"), *layout.two_columns(options, room)]
        lines += ["", *layout.paragraphs(messages.text(str(self.help), "mend"), room)]
        return "\n".join(lines)


def usage(command: TyperCommand | TyperGroup, ctx: Any) -> str:
    """Return the usage line."""
    parts = [p.metavar or "" for p in command.params if p.param_type_name == "argument"]
    if isinstance(command, TyperGroup):
        parts = ["COMMAND"]
    return " ".join([messages.text("cli-usage-line"), ctx.command_path, *parts, "[OPTIONS]"])


def parameter_rows(
    command: TyperCommand | TyperGroup, ctx: Any, kind: str
) -> list[tuple[str, str]]:
    """Return (term, description) of a command's arguments or options, in the current language."""
    rows = []
    for param in command.get_params(ctx):
        if param.param_type_name != kind:
            continue
        is_help = "--help" in param.opts
        if kind == "argument":
            term = param.metavar or ""
        else:
            names = sorted([*param.opts, *param.secondary_opts], key=len)
            term = " ".join([", ".join(names), *filter(None, [param.metavar])])
        text = messages.text("cli-option-help" if is_help else str(getattr(param, "help", "")))
        default = getattr(param, "show_default", None)
        if isinstance(default, str):
            text += messages.text("cli-default", value=default)
        rows.append((term, text))
    return rows


def make_app() -> typer.Typer:
    """Return an empty application with these classes."""
    return typer.Typer(
        name="pocketr1",
        cls=Group,
        help="cli-app",
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        invoke_without_command=True,
    )
