"""Exercises without a story: expressions, comparisons, unit conversions, equations."""

from __future__ import annotations

from random import Random

from tiny_r1 import calculate
from tiny_r1.problem import Problem
from tiny_r1.words import THINGS, names

__all__ = ["comparison", "conversion", "decimals", "equation", "expression", "who_has_more"]


def expression(random: Random, language: str) -> Problem:
    """One operation on two numbers."""
    sign = random.choice("+-×÷")
    if sign == "+":
        a, b = random.randint(2, 999), random.randint(2, 999)
        answer, line = calculate.add(a, b)
    elif sign == "-":
        b, a = sorted((random.randint(2, 999), random.randint(2, 999)))
        answer, line = calculate.subtract(a, b)
    elif sign == "×":
        a, b = random.randint(2, 99), random.randint(2, 99)
        answer, line = calculate.multiply(a, b)
    else:
        b, answer = random.randint(2, 9), random.randint(2, 120)
        a = answer * b
        answer, line = calculate.divide(a, b)
    typed = {"×": "*", "÷": "/"}.get(sign, sign)  # as a keyboard has it
    if language == "en":
        word = {"+": "plus", "-": "minus", "×": "times", "÷": "divided by"}[sign]
        question = random.choice(
            (
                f"What is {a} {word} {b}?",
                f"What is {a} {sign} {b}?",
                f"Calculate {a} {sign} {b}.",
                f"{a}{sign}{b}=?",
                f"{a}{typed}{b}",
            )
        )
        reply = f"The answer is \\boxed{{{answer}}}."
        thought = line + "."
    else:
        word = {"+": "加", "-": "减", "×": "乘", "÷": "除以"}[sign]
        question = random.choice(
            (
                f"{a}{word}{b}等于多少？",
                f"{a}{sign}{b}等于多少？",
                f"计算{a}{sign}{b}。",
                f"{a}{sign}{b}=?",
                f"{a}{typed}{b}",
            )
        )
        reply = f"答案是\\boxed{{{answer}}}。"
        thought = line + "。"
    return Problem(f"expression {sign}", (a, b), language, question, thought, reply, str(answer))


def comparison(random: Random, language: str) -> Problem:
    """The larger or smaller of two whole numbers, digit by digit."""
    digits = random.choice((2, 3, 3, 4))
    low = 10 ** (digits - 1)
    a = random.randint(low, 10 * low - 1)
    b = random.randint(low, 10 * low - 1)
    if random.random() < 0.5:  # alike but in the last places
        b = a - a % 100 + random.randint(0, 99) if digits > 2 else a - a % 10 + random.randint(0, 9)
    if a == b:
        return comparison(random, language)
    lines = []
    for x, y in zip(str(a), str(b), strict=True):
        sign = "=" if x == y else "<" if x < y else ">"
        lines.append(f"{x}{sign}{y}")
        if x != y:
            break
    return _compared(
        random, language, "comparison", (a, b), (str(a), str(b)), ",".join(lines), a < b
    )


def decimals(random: Random, language: str) -> Problem:
    """The larger or smaller of two decimals with unlike numbers of places, such as 9.11 and 9.9."""
    whole = random.randint(0, 99)
    short, long = random.randint(1, 9), random.randint(1, 99)
    if long % 10 == 0 or short * 10 == long:
        return decimals(random, language)
    shown = [f"{whole}.{short}", f"{whole}.{long:02d}"]
    padded = [f"{short}0", f"{long:02d}"]
    order = random.sample((0, 1), 2)
    a, b = (padded[i] for i in order)
    lines = [f"{whole}.{a} , {whole}.{b}".replace(" ", "")]
    for x, y in zip(a, b, strict=True):
        sign = "=" if x == y else "<" if x < y else ">"
        lines.append(f"{x}{sign}{y}")
        if x != y:
            break
    texts = tuple(shown[i] for i in order)
    operands = (whole, *(int(padded[i]) for i in order))
    return _compared(random, language, "decimals", operands, texts, ",".join(lines), a < b)


def _compared(
    random: Random,
    language: str,
    template: str,
    operands: tuple[int, ...],
    texts: tuple[str, ...],
    line: str,
    second_larger: bool,
) -> Problem:
    a, b = texts
    larger = random.random() < 0.6
    answer = b if second_larger == larger else a
    sign = "<" if second_larger else ">"
    if language == "en":
        word = "larger" if larger else "smaller"
        question = random.choice(
            (
                f"Which is {word}, {a} or {b}?",
                f"Which number is {word}: {a} or {b}?",
                f"Compare {a} and {b}. Which is {word}?",
            )
        )
        thought = f"{line}, so {a}{sign}{b}."
        reply = f"\\boxed{{{answer}}} is {word}."
    else:
        word = "大" if larger else "小"
        question = random.choice(
            (
                f"{a}和{b}哪个更{word}？",
                f"{a}与{b}相比，哪个{word}？",
                f"比较{a}和{b}，哪个数更{word}？",
            )
        )
        thought = f"{line}，所以{a}{sign}{b}。"
        reply = f"\\boxed{{{answer}}}更{word}。"
    name = f"{template} {'larger' if larger else 'smaller'}"
    return Problem(name, operands, language, question, thought, reply, answer)


def who_has_more(random: Random, language: str) -> Problem:
    """How many more or fewer one has than the other."""
    one, two = names(random, language, 2)
    thing = random.choice(THINGS)
    b, a = sorted((random.randint(3, 200), random.randint(3, 200)))
    if a == b:
        return who_has_more(random, language)
    answer, line = calculate.subtract(a, b)
    first = random.random() < 0.5
    if language == "en":
        has = [f"{one} has {a} {thing.plural}", f"{two} has {b}"]
        if not first:
            has = [f"{two} has {b} {thing.plural}", f"{one} has {a}"]
        question = f"{has[0]}, {has[1]}. "
        question += random.choice(
            (
                f"How many more {thing.plural} does {one} have than {two}?",
                f"How many fewer {thing.plural} does {two} have than {one}?",
            )
        )
        thought = f"{line}."
        reply = f"The difference is \\boxed{{{answer}}} {thing.plural}."
    else:
        m, name = thing.measure, thing.name
        has = [f"{one}有{a}{m}{name}", f"{two}有{b}{m}"]
        if not first:
            has = [f"{two}有{b}{m}{name}", f"{one}有{a}{m}"]
        question = f"{has[0]}，{has[1]}，"
        question += random.choice((f"{one}比{two}多多少{m}？", f"{two}比{one}少多少{m}？"))
        thought = f"{line}。"
        reply = f"相差\\boxed{{{answer}}}{m}{name}。"
    return Problem("difference", (a, b), language, question, thought, reply, str(answer))


# (factor, largest count): singular and plural of the large unit, the small unit, in both languages.
_UNITS = (
    (100, 99, ("meter", "meters", "centimeters"), ("米", "厘米")),
    (1000, 9, ("kilometer", "kilometers", "meters"), ("千米", "米")),
    (1000, 9, ("kilogram", "kilograms", "grams"), ("千克", "克")),
    (60, 24, ("hour", "hours", "minutes"), ("小时", "分钟")),
    (60, 30, ("minute", "minutes", "seconds"), ("分钟", "秒")),
    (24, 14, ("day", "days", "hours"), ("天", "小时")),
    (7, 20, ("week", "weeks", "days"), ("星期", "天")),
    (10, 99, ("centimeter", "centimeters", "millimeters"), ("厘米", "毫米")),
    (100, 99, ("dollar", "dollars", "cents"), ("元", "分")),
    (12, 20, ("year", "years", "months"), ("年", "个月")),
)


def conversion(random: Random, language: str) -> Problem:
    """A length, mass, time or sum in its smaller unit, or back in its larger one."""
    factor, most, english, chinese = random.choice(_UNITS)
    count = random.randint(2, most)
    rest = random.randint(1, factor - 1) if random.random() < 0.5 else 0
    if factor % 10 == 0 and factor != 60:
        product = count * factor
        line = f"{count}×{factor}={product}"
    else:
        product, line = calculate.multiply(count, factor)
    back = not rest and random.random() < 0.5
    lines = [line]
    answer = product
    if rest:
        answer, sum_line = calculate.add(product, rest)
        lines.append(sum_line)
    if back:
        answer = count
        lines = [line, f"{product}÷{factor}={count}"]
        if factor % 10 == 0 and factor != 60:
            lines = lines[1:]
    if language == "en":
        large = english[1]
        small = english[2]
        if back:
            question = random.choice(
                (
                    f"How many {english[1]} are {product} {small}?",
                    f"Convert {product} {small} to {english[1]}.",
                )
            )
            reply = f"{product} {small} are \\boxed{{{answer}}} {large}."
        else:
            what = f"{count} {large}" + (f" {rest} {small}" if rest else "")
            question = random.choice(
                (f"How many {small} are {what}?", f"Convert {what} to {small}.")
            )
            reply = f"{what} are \\boxed{{{answer}}} {small}."
        thought = f"1 {english[0]} is {factor} {small}. " + ", ".join(lines) + "."
    else:
        large, small = chinese
        if back:
            question = random.choice(
                (f"{product}{small}是多少{large}？", f"{product}{small}等于几{large}？")
            )
            reply = f"{product}{small}是\\boxed{{{answer}}}{large}。"
        else:
            what = f"{count}{large}" + (f"{rest}{small}" if rest else "")
            question = random.choice((f"{what}是多少{small}？", f"{what}等于多少{small}？"))
            reply = f"{what}是\\boxed{{{answer}}}{small}。"
        thought = f"1{large}是{factor}{small}。" + ", ".join(lines) + "。"
    template = f"conversion {english[1]} {'back' if back else 'and' if rest else 'forth'}"
    return Problem(
        template,
        (product,) if back else (count, rest),
        language,
        question,
        thought,
        reply,
        str(answer),
    )


def equation(random: Random, language: str) -> Problem:
    """A linear equation in one unknown with a whole solution."""
    kind = random.choice(("x+b", "x-b", "ax", "ax+b", "ax-b", "a(x+b)"))
    x, a, b = random.randint(2, 60), random.randint(2, 9), random.randint(2, 99)
    steps: list[str]
    if kind == "x+b":
        shown, c = f"x+{b}", x + b
        steps = [f"x={c}-{b}", calculate.subtract(c, b)[1]]
    elif kind == "x-b":
        x = x + b
        shown, c = f"x-{b}", x - b
        steps = [f"x={c}+{b}", calculate.add(c, b)[1]]
    elif kind == "ax":
        shown, c = f"{a}x", a * x
        steps = [f"x={c}÷{a}", calculate.divide(c, a)[1]]
    elif kind == "ax+b":
        shown, c = f"{a}x+{b}", a * x + b
        steps = [f"{a}x={c}-{b}", calculate.subtract(c, b)[1]]
        steps += [f"x={c - b}÷{a}", calculate.divide(c - b, a)[1]]
    elif kind == "ax-b":
        b = min(b, a * x - 1)
        shown, c = f"{a}x-{b}", a * x - b
        steps = [f"{a}x={c}+{b}", calculate.add(c, b)[1]]
        steps += [f"x={c + b}÷{a}", calculate.divide(c + b, a)[1]]
    else:
        b = b % 20 + 1
        shown, c = f"{a}(x+{b})", a * (x + b)
        steps = [f"x+{b}={c}÷{a}", calculate.divide(c, a)[1]]
        steps += [f"x={c // a}-{b}", calculate.subtract(c // a, b)[1]]
    if language == "en":
        question = random.choice(
            (
                f"Solve {shown}={c} for x.",
                f"If {shown}={c}, what is x?",
                f"Solve the equation {shown}={c}.",
            )
        )
        reply = f"x=\\boxed{{{x}}}."
        thought = "\n".join(f"{step}." for step in _pairs(steps))
    else:
        question = random.choice(
            (f"解方程{shown}={c}。", f"已知{shown}={c}，求x。", f"方程{shown}={c}中，x是多少？")
        )
        reply = f"x=\\boxed{{{x}}}。"
        thought = "\n".join(f"{step}。" for step in _pairs(steps))
    return Problem(f"equation {kind}", (a, b, c), language, question, thought, reply, str(x))


def _pairs(steps: list[str]) -> list[str]:
    return [f"{steps[i]}, {steps[i + 1]}" for i in range(0, len(steps), 2)]
