"""Names and things that stories are about, in both languages."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

__all__ = ["THINGS", "Thing", "names"]

_NAMES = {
    "en": ("Tom", "Anna", "Ben", "Mia", "Sam", "Lily", "Jack", "Emma", "Leo", "Ruth"),
    "zh": ("小明", "小红", "小华", "小丽", "小刚", "小军", "小美", "小强", "小芳", "小林"),
}


@dataclass(frozen=True)
class Thing:
    """Something countable: its English singular and plural, its Chinese measure word and name."""

    singular: str
    plural: str
    measure: str
    name: str


THINGS = (
    Thing("apple", "apples", "个", "苹果"),
    Thing("pear", "pears", "个", "梨"),
    Thing("egg", "eggs", "个", "鸡蛋"),
    Thing("book", "books", "本", "书"),
    Thing("notebook", "notebooks", "本", "笔记本"),
    Thing("pencil", "pencils", "支", "铅笔"),
    Thing("pen", "pens", "支", "钢笔"),
    Thing("sticker", "stickers", "张", "贴纸"),
    Thing("card", "cards", "张", "卡片"),
    Thing("marble", "marbles", "颗", "弹珠"),
)


def names(random: Random, language: str, count: int) -> list[str]:
    """Draw ``count`` different names."""
    return random.sample(_NAMES[language], count)
