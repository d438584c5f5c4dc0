"""Every text a user may meet exists in both languages and takes what its callers give."""

from __future__ import annotations

import ast
import re
import string
from pathlib import Path

import pytest

import pocketr1
from pocketr1 import errors, messages

SOURCE = Path(pocketr1.__file__).parent
CORE = SOURCE.parents[1] / "core"
CATALOG = messages.CATALOG
ERROR_CLASSES = {name for name in errors.__all__ if isinstance(getattr(errors, name), type)}


def parameters(template: str) -> set[str]:
    return {name.split(".")[0] for _, name, _, _ in string.Formatter().parse(template) if name}


def raised() -> list[tuple[str, int, str, set[str] | None]]:
    """Every ``SomeError("code", name=…)`` in the package: file, line, code, parameter names."""
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else None
            code = node.args[0]
            if name not in ERROR_CLASSES or not isinstance(code, ast.Constant):
                continue
            given = {keyword.arg for keyword in node.keywords}
            names = None if None in given else {n for n in given if n is not None}
            found.append((path.name, node.lineno, str(code.value), names))
    return found


def raised_by_core() -> set[str]:
    """Every slug the C++ core throws."""
    pattern = re.compile(r'\bError\(\s*"([a-z0-9-]+)"')
    found: set[str] = set()
    for path in [*CORE.rglob("*.cc"), *CORE.rglob("*.h")]:
        found |= set(pattern.findall(path.read_text(encoding="utf-8")))
    return found


@pytest.mark.parametrize("code", sorted(CATALOG))
def test_a_text_takes_the_same_parameters_in_both_languages(code: str) -> None:
    text = CATALOG[code]
    assert parameters(text.what_en) == parameters(text.what_zh)
    assert parameters(text.mend_en) == parameters(text.mend_zh)
    assert bool(text.what_en) == bool(text.what_zh)
    assert bool(text.mend_en) == bool(text.mend_zh)


def test_what_and_mend_are_joined_as_the_language_has_it() -> None:
    error = errors.HistoryError("history-busy", path="P")
    try:
        messages.set_language("zh")
        assert str(error) == "另一个进程一直锁定 P 中的对话。请稍后再试，或结束另一进程。"
        messages.set_language("en")
        assert "locked. Try again" in str(error)
    finally:
        messages.set_language(None)


def test_chinese_has_one_word_for_one_thing() -> None:
    """People are 您, replies 回答, and a system prompt is 系统提示词: on the page too."""
    page = (SOURCE.parents[1] / "web" / "src" / "texts.ts").read_text(encoding="utf-8")
    texts = [*(t.what_zh + t.mend_zh for t in CATALOG.values()), page]
    assert [t for t in texts if re.search("你|回复|系统提示(?!词)", t)] == []


def test_a_code_stands_in_one_catalog_only() -> None:
    rooms = [room for room in vars(messages).values() if hasattr(room, "TEXTS")]
    assert sum(len(room.TEXTS) for room in rooms) == len(CATALOG)


def test_every_error_raised_has_its_texts_and_their_parameters() -> None:
    sites = raised()
    assert len(sites) > 20
    for file, line, code, names in sites:
        place = f"{file}:{line} {code}"
        assert code in CATALOG, place
        text = CATALOG[code]
        assert text.mend_en, place
        if names is not None:
            wanted = parameters(text.what_en) | parameters(text.mend_en)
            assert wanted <= names, f"{place}: {wanted - names} missing"


@pytest.mark.skipif(not CORE.is_dir(), reason="the sources of the core are not beside the package")
def test_every_error_of_the_core_has_texts() -> None:
    for code in sorted(raised_by_core()):
        assert code in CATALOG, code
        text = CATALOG[code]
        wanted = parameters(text.what_en) | parameters(text.mend_en)
        assert wanted <= {"where", "reason"}, code


def test_the_language_is_the_locale_s_or_the_one_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert messages.language() == "zh"
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    assert messages.language() == "en"
    messages.set_language("zh")
    try:
        assert messages.text("engine-closed") == CATALOG["engine-closed"].what_zh
    finally:
        messages.set_language(None)
