"""Word problems of everyday situations: shopping, journeys, ages, reading, seats, areas, marks."""

from __future__ import annotations

from random import Random

from tiny_r1 import calculate
from tiny_r1.problem import Problem
from tiny_r1.words import THINGS, names

__all__ = ["age", "average", "journey", "reading", "rectangle", "seats", "shopping"]


def shopping(random: Random, language: str) -> Problem:
    """What two kinds of things cost together, or the change from a note."""
    (who,) = names(random, language, 1)
    first, second = random.sample(THINGS, 2)
    i, j = random.randint(2, 9), random.randint(2, 9)
    p, q = random.randint(2, 25), random.randint(2, 25)
    one, line_one = calculate.multiply(p, i)
    two, line_two = calculate.multiply(q, j)
    total, line_total = calculate.add(one, two)
    lines = [line_one, line_two, line_total]
    notes = [note for note in (50, 100, 200, 500) if note > total]
    change = bool(notes) and random.random() < 0.4
    operands: tuple[int, ...] = (i, p, j, q)
    answer = total
    if change:
        note = random.choice(notes)
        answer, line = calculate.subtract(note, total)
        lines.append(line)
        operands += (note,)
    if language == "en":
        question = random.choice(
            (
                f"A {first.singular} costs {p} dollars and a {second.singular} costs {q} dollars. "
                f"{who} buys {i} {first.plural} and {j} {second.plural}.",
                f"{who} buys {i} {first.plural} for {p} dollars each and {j} {second.plural} for "
                f"{q} dollars each.",
            )
        )
        labels = (
            f"{first.plural.capitalize()}",
            f"{second.plural.capitalize()}",
            "Together",
            "Change",
        )
        if change:
            question += f" {who} pays with {note} dollars. How much change does {who} get?"
            reply = f"{who} gets \\boxed{{{answer}}} dollars back."
        else:
            question += random.choice((f" How much does {who} pay?", " How many dollars is that?"))
            reply = f"{who} pays \\boxed{{{answer}}} dollars."
        thought = "\n".join(f"{label}: {line}." for label, line in zip(labels, lines, strict=False))
    else:
        a, b = f"{first.measure}{first.name}", f"{second.measure}{second.name}"
        question = random.choice(
            (
                f"一{a}{p}元，一{b}{q}元。{who}买了{i}{a}和{j}{b}。",
                f"{who}买了{i}{a}，每{first.measure}{p}元，又买了{j}{b}，每{second.measure}{q}元。",
            )
        )
        labels = (first.name, second.name, "一共", "找回")
        if change:
            question += f"{who}付了{note}元，应找回多少元？"
            reply = f"应找回\\boxed{{{answer}}}元。"
        else:
            question += random.choice((f"{who}一共要付多少元？", "一共多少钱？"))
            reply = f"一共要付\\boxed{{{answer}}}元。"
        thought = "\n".join(
            f"{label}：{line}。" for label, line in zip(labels, lines, strict=False)
        )
    template = "shopping change" if change else "shopping"
    return Problem(template, operands, language, question, thought, reply, str(answer))


def journey(random: Random, language: str) -> Problem:
    """Two stretches at two speeds; how far, or how far is left."""
    v, w = random.randint(4, 90), random.randint(4, 90)
    t, u = random.randint(2, 9), random.randint(2, 9)
    one, line_one = calculate.multiply(v, t)
    two, line_two = calculate.multiply(w, u)
    answer, line = calculate.add(one, two)
    lines = [line_one, line_two, line]
    operands: tuple[int, ...] = (v, t, w, u)
    whole = 0
    if random.random() < 0.4:
        whole = answer + random.randint(5, 200)
        answer, line = calculate.subtract(whole, answer)
        lines.append(line)
        operands += (whole,)
    if language == "en":
        what = random.choice(("car", "train", "bus", "ship"))
        question = (
            f"A {what} goes {v} km per hour for {t} hours, then {w} km per hour for {u} hours."
        )
        if whole:
            question += f" The whole way is {whole} km. How many km are left?"
            reply = f"\\boxed{{{answer}}} km are left."
        else:
            question += random.choice((" How far does it go?", " How many km is that in all?"))
            reply = f"It goes \\boxed{{{answer}}} km."
        labels = ("First", "Second", "Together", "Left")
        thought = "\n".join(f"{label}: {line}." for label, line in zip(labels, lines, strict=False))
    else:
        what = random.choice(("汽车", "火车", "客车", "轮船"))
        question = f"一辆{what}" if what != "轮船" else "一艘轮船"
        question += f"先以每小时{v}千米行驶{t}小时，再以每小时{w}千米行驶{u}小时。"
        if whole:
            question += f"全程{whole}千米，还剩多少千米？"
            reply = f"还剩\\boxed{{{answer}}}千米。"
        else:
            question += random.choice(("一共行驶了多少千米？", "它共走了多少千米？"))
            reply = f"一共行驶了\\boxed{{{answer}}}千米。"
        labels = ("第一段", "第二段", "一共", "还剩")
        thought = "\n".join(
            f"{label}：{line}。" for label, line in zip(labels, lines, strict=False)
        )
    template = "journey left" if whole else "journey"
    return Problem(template, operands, language, question, thought, reply, str(answer))


def age(random: Random, language: str) -> Problem:
    """Somebody's age from another's: a difference, then a multiple."""
    one, two, three = names(random, language, 3)
    a, b, k = random.randint(5, 15), random.randint(2, 15), random.randint(2, 6)
    older = a - b < 2 or random.random() < 0.5
    middle, line = (calculate.add if older else calculate.subtract)(a, b)
    answer, line_last = calculate.multiply(middle, k)
    if language == "en":
        relation = "older" if older else "younger"
        question = (
            f"{one} is {a} years old. {two} is {b} years {relation} than {one}. "
            f"{three} is {k} times as old as {two}. How old is {three}?"
        )
        thought = f"{two}: {line}.\n{three}: {line_last}."
        reply = f"{three} is \\boxed{{{answer}}} years old."
    else:
        relation = "大" if older else "小"
        question = (
            f"{one}今年{a}岁，{two}比{one}{relation}{b}岁，{three}的年龄是{two}的{k}倍。"
            f"{three}今年多少岁？"
        )
        thought = f"{two}：{line}。\n{three}：{line_last}。"
        reply = f"{three}今年\\boxed{{{answer}}}岁。"
    template = f"age {'older' if older else 'younger'}"
    return Problem(template, (a, b, k), language, question, thought, reply, str(answer))


def reading(random: Random, language: str) -> Problem:
    """Pages a day for some days; how many are left."""
    (who,) = names(random, language, 1)
    n, d = random.randint(6, 45), random.randint(2, 9)
    read, line_read = calculate.multiply(n, d)
    pages = read + random.randint(5, 200)
    answer, line = calculate.subtract(pages, read)
    if language == "en":
        question = (
            f"A book has {pages} pages. {who} reads {n} pages a day for {d} days. "
            "How many pages are left?"
        )
        thought = f"Read: {line_read}.\nLeft: {line}."
        reply = f"\\boxed{{{answer}}} pages are left."
    else:
        question = f"一本书有{pages}页，{who}每天读{n}页，读了{d}天，还剩多少页？"
        thought = f"已读：{line_read}。\n还剩：{line}。"
        reply = f"还剩\\boxed{{{answer}}}页。"
    return Problem("reading", (pages, n, d), language, question, thought, reply, str(answer))


def seats(random: Random, language: str) -> Problem:
    """Rows of seats, some of them empty, some people standing."""
    rows, columns = random.randint(3, 30), random.randint(4, 30)
    total, line_total = calculate.multiply(columns, rows)
    empty = random.randint(2, min(total - 2, 60))
    answer, line = calculate.subtract(total, empty)
    if language == "en":
        question = (
            f"A hall has {rows} rows of {columns} seats. {empty} seats are empty. "
            "How many seats are taken?"
        )
        thought = f"Seats: {line_total}.\nTaken: {line}."
        reply = f"\\boxed{{{answer}}} seats are taken."
    else:
        question = f"礼堂有{rows}排座位，每排{columns}个，空着{empty}个，坐了多少人？"
        thought = f"座位：{line_total}。\n坐了：{line}。"
        reply = f"坐了\\boxed{{{answer}}}人。"
    return Problem("seats", (rows, columns, empty), language, question, thought, reply, str(answer))


def rectangle(random: Random, language: str) -> Problem:
    """Perimeter or area of a rectangle."""
    long, wide = sorted((random.randint(3, 60), random.randint(2, 30)), reverse=True)
    perimeter = random.random() < 0.5
    if perimeter:
        total, line = calculate.add(long, wide)
        answer, line_twice = calculate.multiply(total, 2)
        lines = [line, line_twice]
    else:
        answer, line = calculate.multiply(long, wide)
        lines = [line]
    if language == "en":
        what = "perimeter" if perimeter else "area"
        unit = "cm" if perimeter else "square cm"
        question = random.choice(
            (
                f"A rectangle is {long} cm long and {wide} cm wide. What is its {what}?",
                f"What is the {what} of a rectangle of {long} cm by {wide} cm?",
            )
        )
        labels = ("Long and wide", "Twice") if perimeter else ("Long times wide",)
        thought = "\n".join(f"{label}: {line}." for label, line in zip(labels, lines, strict=True))
        reply = f"The {what} is \\boxed{{{answer}}} {unit}."
    else:
        what = "周长" if perimeter else "面积"
        unit = "厘米" if perimeter else "平方厘米"
        question = random.choice(
            (
                f"一个长方形长{long}厘米，宽{wide}厘米，{what}是多少？",
                f"长{long}厘米、宽{wide}厘米的长方形，它的{what}是多少{unit}？",
            )
        )
        labels = ("长加宽", "两倍") if perimeter else ("长乘宽",)
        thought = "\n".join(f"{label}：{line}。" for label, line in zip(labels, lines, strict=True))
        reply = f"{what}是\\boxed{{{answer}}}{unit}。"
    template = "perimeter" if perimeter else "area"
    return Problem(template, (long, wide), language, question, thought, reply, str(answer))


def average(random: Random, language: str) -> Problem:
    """The mean of three marks."""
    (who,) = names(random, language, 1)
    mean = random.randint(50, 97)
    a, b = (mean + random.randint(-3, 3) * random.randint(1, 8) for _ in range(2))
    c = 3 * mean - a - b
    if not 1 <= min(a, b, c) <= max(a, b, c) <= 100:
        return average(random, language)
    two, line_two = calculate.add(a, b)
    three, line_three = calculate.add(two, c)
    answer, line = calculate.divide(three, 3)
    if language == "en":
        question = f"{who} scored {a}, {b} and {c} in three tests. What is the average?"
        thought = f"Two: {line_two}.\nThree: {line_three}.\nShared by 3: {line}."
        reply = f"The average is \\boxed{{{answer}}}."
    else:
        question = f"{who}三次考试得了{a}分、{b}分和{c}分，平均多少分？"
        thought = f"两次：{line_two}。\n三次：{line_three}。\n分成3份：{line}。"
        reply = f"平均\\boxed{{{answer}}}分。"
    return Problem("average", (a, b, c), language, question, thought, reply, str(answer))
