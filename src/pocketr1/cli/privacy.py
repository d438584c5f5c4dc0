"""``pocketr1 privacy``: what is kept of a person, and how it is erased."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pocketr1 import messages
from pocketr1.cli.imported import Cache
from pocketr1.cli.kvstore import store_path
from pocketr1.cli.options import Json
from pocketr1.cli.output import is_terminal, print_error, print_json, say, show
from pocketr1.errors import CancelledError, UsageError

if TYPE_CHECKING:
    from pocketr1.chat.privacy import Erased, Kept, Kind, Places

__all__ = ["privacy", "tell_once"]


def privacy(
    action: Annotated[str, typer.Argument(metavar="ACTION", help="cli-argument-privacy-action")],
    conversations: Annotated[
        bool, typer.Option("--conversations", help="cli-option-privacy-conversations")
    ] = False,
    kv_store: Annotated[
        bool, typer.Option("--kv-store", help="cli-option-privacy-kv-store")
    ] = False,
    history: Annotated[bool, typer.Option("--history", help="cli-option-privacy-history")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="cli-option-privacy-yes")] = False,
    directory: Cache = None,
    json: Json = False,
) -> None:
    """Show what is kept, or erase it."""
    from pocketr1.chat.privacy import Places

    places = Places(kv_store=store_path(None, directory))
    chosen = {"conversations": conversations, "kv-store": kv_store, "history": history}
    if action == "show":
        given = {f"--{kind}": flag for kind, flag in chosen.items()} | {"--yes": yes}
        for option, flag in given.items():
            if flag:
                raise UsageError("cli-privacy-option", option=option)
        _show(places, json)
    elif action == "erase":
        kinds = {kind for kind, flag in chosen.items() if flag} or set(chosen)
        _erase(places, kinds, yes=yes, json=json)
    else:
        raise UsageError("cli-privacy-action", action=action)


def tell_once(kv_store: Path | None) -> None:
    """Say on stderr, at the first start of all, what is kept where and how it is erased.

    kv_store: the store in use, ``None`` for none.
    """
    from pocketr1.chat.privacy import Places, first_notice

    if not first_notice():
        return
    store = messages.text("cli-privacy-off") if kv_store is None else _short(kv_store)
    say("cli-privacy-notice", conversations=_short(Places().conversations), kv_store=store)


def _show(places: Places, json: bool) -> None:
    from pocketr1.chat.privacy import kept

    found = kept(places)
    cache = places.kv_store.parent
    if json:
        print_json({"kept": [one.to_dict() for one in found]})
        return
    for one in found:
        show(messages.text(f"cli-privacy-{one.kind}"))
        show(f"  {_short(one.path)}")
        show(f"  {_described(one)}")
    show()
    show(messages.text("cli-privacy-rest", cache=_short(cache)))


def _erase(places: Places, kinds: set[str], *, yes: bool, json: bool) -> None:
    from pocketr1.chat.privacy import KINDS, erase, kept

    wanted = [kind for kind in KINDS if kind in kinds]
    there = [one for one in kept(places) if one.kind in wanted and one.bytes and one.count != 0]
    if not yes and there:
        if json or not is_terminal(sys.stdin):
            raise UsageError("cli-privacy-yes")
        for one in there:
            say("cli-privacy-going", path=_short(one.path), what=_described(one))
        _confirm()
    results = erase(places, wanted)
    if json:
        print_json({"erased": [one.to_dict() for one in results]})
    else:
        _tell(results, {one.kind for one in there})
    if not json and there:
        say("cli-privacy-flash")
    if any(one.problem is not None for one in results):
        raise typer.Exit(1)


def _tell(results: list[Erased], there: set[Kind]) -> None:
    for one in results:
        if one.problem is not None:
            print_error(one.problem, as_json=False)
        elif one.bytes or one.kind in there:
            show(messages.text("cli-privacy-erased", path=_short(one.path), size=one.bytes / 1e6))
        else:
            show(messages.text("cli-privacy-nothing", path=_short(one.path)))


def _confirm() -> None:
    """Raise CancelledError unless the person says yes."""
    print(messages.text("cli-privacy-ask"), end=" ", file=sys.stderr, flush=True)
    answer = sys.stdin.readline().strip().lower()
    if answer not in ("y", "yes", "是"):
        raise CancelledError("cli-privacy-left")


def _described(one: Kept) -> str:
    if one.problem is not None:
        return one.problem.what
    if not one.bytes:
        return messages.text("cli-privacy-none")
    count, size = one.count, one.bytes / 1e6
    text = messages.text(f"cli-privacy-{one.kind}-count", count=count, size=size)
    if one.newest is not None:
        text += messages.text("cli-privacy-newest", day=_day(one.newest))
    if one.oldest is not None:
        text += messages.text("cli-privacy-oldest", day=_day(one.oldest))
    return text


def _short(path: Path) -> str:
    """Return a path as people write it: from their home on."""
    try:
        return str("~" / path.absolute().relative_to(Path.home()))
    except (ValueError, RuntimeError):  # elsewhere; nobody's home
        return str(path)


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(seconds))
