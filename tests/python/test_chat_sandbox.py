"""Hostile templates stop, and reach nothing."""

from __future__ import annotations

import resource
import threading
import time

import chat_support as support
import pytest

from pocketr1 import errors
from pocketr1.chat import ChatTemplate, Message
from pocketr1.chat.sandbox import Limits

LIMITS = Limits(seconds=0.3)
MESSAGES: list[Message] = [{"role": "user", "content": "hello " * 100}]
DOUBLING = (
    "{% set ns = namespace(x='x') %}{% for i in range(99) %}{% set ns.x = EXPR %}{% endfor %}"
)

TOO_LONG = {
    "a loop in loops that emits nothing": "{% for a in range(99999) %}{% for b in range(99999) %}"
    "{% for c in range(99999) %}{% endfor %}{% endfor %}{% endfor %}",
    "a filtered loop": "{% for a in range(99999) %}{% for b in range(99999) if b < 0 %}"
    "{% endfor %}{% endfor %}",
    "a macro that calls itself twice": "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}"
    "{% endif %}{% endmacro %}{{ f(60) }}",
    "a recursive loop": "{% for n in [1, 2] recursive %}{{ loop([1, 2]) }}{% endfor %}",
    "calls without a loop of its own": "{% macro f(n) %}{% if n %}{% set a = f(n - 1) %}"
    "{% set b = f(n - 1) %}{% endif %}{% endmacro %}{% set x = f(60) %}",
    "map over map": "{% for i in range(99999) %}"
    "{% set x = range(99999) | map('string') | map('upper') | list %}{% endfor %}",
}
TOO_LARGE = {
    "a loop that emits": "{% for a in range(99999) %}{% for b in range(99999) %}"
    + "x" * 1000
    + "{% endfor %}{% endfor %}",
    "a loop that emits into a variable": "{% set x %}{% for a in range(99999) %}"
    "{% for b in range(99999) %}" + "x" * 1000 + "{% endfor %}{% endfor %}{% endset %}",
    "a repeated string": "{{ 'x' * 10**9 }}",
    "a repeated list": "{{ [0] * 10**9 }}",
    "a repeated list, the other way": "{% set x = 10**9 * [0] %}",
    "doubling by +": DOUBLING.replace("EXPR", "ns.x + ns.x"),
    "doubling by ~": DOUBLING.replace("EXPR", "ns.x ~ ns.x"),
    "doubling by join": DOUBLING.replace("EXPR", "[ns.x, ns.x] | join"),
    "doubling by str.join": DOUBLING.replace("EXPR", "'-'.join([ns.x, ns.x])"),
    "doubling by replace": DOUBLING.replace("EXPR", "ns.x | replace('x', 'xx')"),
    "doubling by str.replace": DOUBLING.replace("EXPR", "ns.x.replace('x', 'xx')"),
    "doubling lists": DOUBLING.replace("EXPR", "[ns.x, ns.x]"),
    "doubling tuples": DOUBLING.replace("EXPR", "(ns.x, ns.x)"),
    "doubling dictionaries": DOUBLING.replace("EXPR", "{'a': ns.x, 'b': ns.x}"),
    "doubling dict()": DOUBLING.replace("EXPR", "dict(a=ns.x, b=ns.x)"),
    "doubling JSON": DOUBLING.replace("EXPR", "[ns.x, ns.x] | tojson"),
    "doubling set blocks": "{% set ns = namespace(x='x') %}{% for i in range(99) %}"
    "{% set y %}{{ ns.x }}{{ ns.x }}{% endset %}{% set ns.x = y %}{% endfor %}",
    "a wide indent": "{{ 'a\nb' | indent(10**9) }}",
    "many large texts": "".join(
        f"{{% set x{n} = 'x' * 900000 %}}{{% set y{n} = x{n} | upper %}}" for n in range(200)
    ),
    "slices": "{% set x = 'x' * 900000 %}"
    + "".join(f"{{% set y{n} = x[1:] %}}" for n in range(200)),
    "a huge power": "{% set x = 10 ** (10 ** 10) %}",
    "a huge product": "{% set ns = namespace(x=2) %}{% for i in range(99) %}"
    "{% set ns.x = ns.x * ns.x %}{% endfor %}",
    "a number read from text": "{% set x = ('9' * 900000) | int %}",
    "a wide date": "{{ strftime_now('%999999999Y') }}",
    "a quadratic strip": "{{ ('a' * 900000).strip('b' * 900000) }}",
    "a wide JSON indent": "{{ [[1]] | tojson(indent=10**9) }}",
}
OUT_OF_REACH = {
    "formatting by %": "{{ '%999999999d' % 1 }}",
    "format": "{{ '{:999999999}'.format(1) }}",
    "format_map": "{{ '{a}'.format_map({}) }}",
    "center": "{{ 'x'.center(10**9) }}",
    "the filter center": "{{ 'x' | center(10**9) }}",
    "lipsum": "{{ lipsum(n=10**9) }}",
    "to_bytes": "{{ (1).to_bytes(10**9, 'big') }}",
    "translate": "{{ 'aa'.translate({97: 'b' * 900000}) }}",
    "classes": "{{ ''.__class__.__mro__ }}",
    "globals of a function": "{{ raise_exception.__globals__ }}",
    "the environment": "{{ raise_exception.__self__ }}",
    "a method of ours": "{{ messages[0].content._marks }}",
    "changing a message": "{{ messages[0].update({'content': 'x'}) }}",
    "changing a list": "{{ messages.append(1) }}",
    "changing through a class": "{{ dict.update(messages[0], {'content': 'x'}) }}",
    "files": "{% include '/etc/passwd' %}",
    "modules": "{% import 'os' as os %}",
    "printing objects": "{{ namespace(x=1) }}",
    "lists of objects": "{{ [namespace(x=1)] | string }}",
    "attr": "{{ 'x' | attr('__class__') }}",
    "a function printed": "{{ range }}",
}


def fails(source: str) -> errors.ChatError:
    with pytest.raises(errors.ChatError) as caught:
        template = ChatTemplate(source, support.small_tokenizer(), limits=LIMITS)
        template.render(MESSAGES)
    return caught.value


@pytest.mark.parametrize("source", TOO_LONG.values(), ids=TOO_LONG.keys())
def test_a_template_that_runs_for_too_long_is_stopped(source: str) -> None:
    began = time.thread_time()
    error = fails(source)
    assert error.code in ("chat-template-limit", "chat-template-failed")
    assert "too long" in str(error) or "recursion" in str(error)
    assert time.thread_time() - began < 10 * LIMITS.seconds


@pytest.mark.parametrize("source", TOO_LARGE.values(), ids=TOO_LARGE.keys())
def test_a_template_that_grows_too_large_is_stopped(source: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.thread_time()
    assert fails(source).code == "chat-template-limit"
    assert time.thread_time() - began < 10 * LIMITS.seconds
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 200_000  # KiB


@pytest.mark.parametrize("source", OUT_OF_REACH.values(), ids=OUT_OF_REACH.keys())
def test_a_template_reaches_nothing(source: str) -> None:
    try:
        # To print what is out of reach prints nothing; to use it is an error.
        assert ChatTemplate(source, support.small_tokenizer()).render(MESSAGES) == ""
    except errors.ChatError as error:
        assert error.code in ("chat-template-failed", "chat-template-damaged")
    assert MESSAGES == [{"role": "user", "content": "hello " * 100}]


def test_a_template_may_refuse() -> None:
    error = fails("{{ raise_exception('Roles must alternate: ' + messages[0].role) }}")
    assert error.code == "chat-template-refused"
    assert "Roles must alternate: user" in str(error)


def test_a_mistake_of_a_template_is_no_traceback() -> None:
    error = fails("{{ messages[7].content + 1 }}")
    assert error.code == "chat-template-failed" and error.mend


def test_what_templates_do_every_day_works() -> None:
    source = """
    {%- macro line(role, text='') -%}{{ role | upper ~ ': ' ~ text }}{%- endmacro -%}
    {%- for m in messages if m.role != 'system' -%}
        {%- if loop.index > 2 %}{% break %}{% endif -%}
        {%- generation -%}{{ line(m['role'], m.content | trim) }}|{%- endgeneration -%}
    {%- endfor -%}
    {{- messages | map(attribute='role') | unique | join(',') -}}
    {{- messages | selectattr('role', 'equalto', 'user') | list | length -}}
    {{- (messages[0].get('name', 'none') | default('x', true)).split('o')[0] -}}
    {%- for key, value in {'b': 1, 'a': [1, 2.5, none, true]} | dictsort -%}
        {{ key }}={{ value | tojson }};
    {%- endfor -%}
    {{- '%' ~ 7 // 2 ~ (5 - 2 * 2) ** 2 ~ range(3) | list -}}
    """
    messages = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": " a "},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    ]
    template = ChatTemplate(source, support.small_tokenizer())
    expected = "USER: a|ASSISTANT: b|system,user,assistant2na=[1, 2.5, null, true];b=1;%31[0, 1, 2]"
    assert template.render(messages) == expected


def test_a_long_conversation_is_within_the_limits() -> None:
    content = "text of a long conversation, 中文 too. " * 100
    messages = [
        {"role": role, "content": content} for _ in range(200) for role in ("user", "assistant")
    ]
    prompt = ChatTemplate.r1(support.small_tokenizer()).render(messages)
    assert prompt.count(content) == 400


def test_threads_have_their_own_limits() -> None:
    template = ChatTemplate("{{ 'x' * messages[0].content | int }}", support.small_tokenizer())
    found: list[str] = []

    def run(count: str) -> None:
        try:
            found.append(str(len(template.render([{"role": "user", "content": count}]))))
        except errors.ChatError as error:
            found.append(error.code)

    threads = [threading.Thread(target=run, args=(count,)) for count in ("1000", "99999999")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == ["1000", "chat-template-limit"]
