"""Stories about a quantity that events change one after the other."""

from __future__ import annotations

from random import Random

from tiny_r1 import calculate
from tiny_r1.problem import Problem
from tiny_r1.words import THINGS, names

__all__ = ["story"]

_TEXT = {
    "en": {
        "has": ("{who} has {n} {things}.", "At first {who} has {n} {things}."),
        "gain": (
            "{who} buys {n} more.",
            "Then {other} gives {who} {n} more.",
            "{who} finds {n} {things}.",
        ),
        "lose": (
            "{who} gives {n} to {other}.",
            "{who} loses {n}.",
            "Then {who} sells {n} of them.",
        ),
        "packs": (
            "{who} buys {k} bags with {n} {things} each.",
            "Then {other} brings {k} boxes of {n}.",
        ),
        "share": (
            "All of them are shared equally among {k} children. "
            "How many {things} does each child get?",
            "{who} puts them all into {k} boxes, the same number in each. How many are in one box?",
        ),
        "ask": (
            "How many {things} does {who} have now?",
            "How many {things} are there in the end?",
        ),
        "start": "{who} starts with {n}.",
        "gained": "{n} more: {line}.",
        "lost": "{n} fewer: {line}.",
        "packed": "{k} times {n} come in: {line}. In all: {sum}.",
        "shared": "Shared by {k}: {line}.",
        "reply": "{who} has \\boxed{{{answer}}} {things}.",
        "each": "There are \\boxed{{{answer}}} {things} for each.",
    },
    "zh": {
        "has": ("{who}有{n}{m}{things}。", "{who}原来有{n}{m}{things}。"),
        "gain": (
            "{who}又买了{n}{m}。",
            "{other}又给了{who}{n}{m}。",
            "{who}又捡到{n}{m}{things}。",
        ),
        "lose": ("{who}给了{other}{n}{m}。", "{who}丢了{n}{m}。", "后来{who}卖掉了{n}{m}。"),
        "packs": ("{who}又买了{k}袋，每袋{n}{m}{things}。", "{other}又拿来{k}盒，每盒{n}{m}。"),
        "share": (
            "把它们平均分给{k}个小朋友，每人分到多少{m}{things}？",
            "{who}把它们平均装进{k}个盒子，每盒有多少{m}？",
        ),
        "ask": ("{who}现在有多少{m}{things}？", "最后一共有多少{m}{things}？"),
        "start": "{who}开始有{n}。",
        "gained": "多了{n}：{line}。",
        "lost": "少了{n}：{line}。",
        "packed": "来了{k}个{n}：{line}。一共：{sum}。",
        "shared": "分成{k}份：{line}。",
        "reply": "{who}有\\boxed{{{answer}}}{m}{things}。",
        "each": "每份有\\boxed{{{answer}}}{m}{things}。",
    },
}


def story(random: Random, language: str) -> Problem:
    """One to three events, then a question; two to four operations."""
    text = _TEXT[language]
    who, other = names(random, language, 2)
    thing = random.choice(THINGS)
    words = {"who": who, "other": other, "m": thing.measure}
    words["things"] = thing.plural if language == "en" else thing.name

    start = random.randint(5, 99)
    total = start
    kinds, operands, lines = [], [start], []
    told = [random.choice(text["has"]).format(n=start, **words)]
    lines.append(text["start"].format(n=start, **words))
    operations = random.randint(2, 4)
    share = random.random() < 0.25
    left = operations - share
    while left:
        kind = random.choice(("gain", "lose", "packs")[: 3 if left > 1 else 2])
        if kind == "lose" and total < 12:
            kind = "gain"
        left -= 2 if kind == "packs" else 1
        k = n = 0
        if kind == "gain":
            n = random.randint(2, 80)
            total, line = calculate.add(total, n)
            lines.append(text["gained"].format(n=n, line=line))
        elif kind == "lose":
            n = random.randint(2, min(total - 5, 80))
            total, line = calculate.subtract(total, n)
            lines.append(text["lost"].format(n=n, line=line))
        else:
            k, n = random.randint(2, 9), random.randint(2, 25)
            product, line = calculate.multiply(n, k)
            total, sum_line = calculate.add(total, product)
            lines.append(text["packed"].format(k=k, n=n, line=line, sum=sum_line))
        kinds.append(kind)
        operands += [k, n] if k else [n]
        told.append(random.choice(text[kind]).format(k=k, n=n, **words))
    if share:
        divisors = [d for d in range(2, 10) if total % d == 0]
        if not divisors:
            return story(random, language)
        k = random.choice(divisors)
        total, line = calculate.divide(total, k)
        lines.append(text["shared"].format(k=k, line=line))
        kinds.append("share")
        operands.append(k)
        told.append(random.choice(text["share"]).format(k=k, **words))
        reply = text["each"]
    else:
        told.append(random.choice(text["ask"]).format(**words))
        reply = text["reply"]
    return Problem(
        template="story " + " ".join(kinds),
        operands=tuple(operands),
        language=language,
        question=(" " if language == "en" else "").join(told),
        thought="\n".join(lines),
        reply=reply.format(answer=total, **words),
        answer=str(total),
    )
