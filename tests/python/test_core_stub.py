"""src/pocketr1/_core.pyi says what the compiled core offers, no more and no less."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from pocketr1 import _core

STUB = Path(__file__).parent.parent.parent / "src" / "pocketr1" / "_core.pyi"


def stub_signatures() -> dict[str, list[str]]:
    """Return the parameter names of every function and property in the stub."""
    found: dict[str, list[str]] = {}

    def visit(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef):
                visit(node.body, f"{node.name}.")
            elif isinstance(node, ast.FunctionDef):
                arguments = node.args
                names = [*arguments.posonlyargs, *arguments.args]
                star = ["*"] if arguments.kwonlyargs else []
                keywords = [argument.arg for argument in arguments.kwonlyargs]
                found[prefix + node.name] = [argument.arg for argument in names] + star + keywords

    visit(ast.parse(STUB.read_text(encoding="utf-8")).body, "")
    return found


def parameters(signature: str) -> list[str]:
    """Return the parameter names of a nanobind signature such as ``def f(a: int, *, b = \\0)``."""
    text = re.sub(r"\\\d+", "None", signature.replace("\n", " ")).removeprefix("def ")
    text = text[text.index("(") :]
    depth = 0
    names: list[str] = []
    start = 1
    for at, letter in enumerate(text):
        depth += (letter in "([") - (letter in ")]")
        if (letter == "," and depth == 1) or depth == 0:
            part = text[start:at].strip()
            if part:
                names.append(re.split(r"[:=]", part)[0].strip())
            start = at + 1
        if depth == 0:
            break
    return names


def core_signatures() -> dict[str, list[str]]:
    """Return the parameter names of every function and property of the compiled module."""
    found: dict[str, list[str]] = {}

    def visit(names: dict[str, object], prefix: str) -> None:
        for name, value in names.items():
            if isinstance(value, type):
                visit(dict(vars(value)), f"{value.__name__}.")
            elif isinstance(value, property):
                found[prefix + name] = ["self"]
            else:
                signatures = getattr(value, "__nb_signature__", None)
                if signatures and (name == "__init__" or not name.startswith("_")):
                    found[prefix + name] = parameters(signatures[0][0])

    visit({name: value for name, value in vars(_core).items() if name[0] != "_"}, "")
    return found


def test_the_stub_lists_what_the_core_has() -> None:
    assert sorted(stub_signatures()) == sorted(core_signatures())


def test_parameters_have_the_same_names() -> None:
    stub = stub_signatures()
    assert {name: stub.get(name) for name in core_signatures()} == core_signatures()
