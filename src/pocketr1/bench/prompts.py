"""The questions of the scenarios: one in English and one in Chinese for each."""

from __future__ import annotations

__all__ = ["PROMPTS"]

_TEXT_EN = """\
Our village library opens next month in the old railway station. Write the opening page of its \
newsletter: who restored the building, what readers will find in the former waiting room and in \
the signal box, how a child can borrow the first book, and why the station clock was left at \
twenty to nine. Keep it warm and concrete, about two hundred and fifty words."""

_TEXT_ZH = """\
我们镇上的老粮仓改成了一座小博物馆，下个月开放。请为开馆写一篇介绍：它原来是做什么用的，修缮时保留了哪些东西，\
一楼和二楼各陈列什么，孩子们可以动手试些什么，以及为什么门口的那杆大秤没有移走。语气亲切具体，约四百字。"""

_CODE_EN = """\
Complete this Python function. Keep its signature, explain each step in a comment, and add three \
assertions that would catch a wrong answer.

```python
def merge_intervals(intervals: list[tuple[int, int]]) -> list[tuple[int, int]]:
    \"\"\"Return the union of half-open intervals as the fewest intervals, sorted.

    Touching intervals are joined: [(1, 3), (3, 5)] becomes [(1, 5)]. Empty intervals, such as
    (4, 4), vanish. The input may come in any order and is not changed.
    \"\"\"
```"""

_CODE_ZH = """\
请补全下面的 Python 函数，保持签名不变，逐步用注释说明，并写出三个能发现错误的断言。

```python
def top_words(path: str, count: int) -> list[tuple[str, int]]:
    \"\"\"返回文本文件中出现最多的 count 个单词及次数，次数相同时按字典序排列。

    单词不区分大小写，只由字母组成；文件可能有几个吉字节，不能一次读入内存。
    \"\"\"
```"""

_MATH_EN = """\
A water tank has two inlets and one drain. The first inlet alone fills the empty tank in 6 hours, \
the second alone in 9 hours, and the drain alone empties the full tank in 12 hours. Both inlets \
run from eight in the morning with the tank empty; the drain is opened by mistake at ten and \
closed again at eleven. At what time is the tank full? Reason step by step, and put the final \
time in \\boxed{}."""

_MATH_ZH = """\
甲、乙两人从相距 66 千米的两地同时出发，相向而行。甲每小时走 5 千米，每走 2 小时休息半小时；\
乙每小时走 6 千米，中途不休息。两人相遇时甲一共走了多少千米？\
请逐步推理，并把最后答案写在 \\boxed{} 中。"""

#: Scenario -> prompts.
PROMPTS: dict[str, tuple[str, ...]] = {
    "text": (_TEXT_EN, _TEXT_ZH),
    "code": (_CODE_EN, _CODE_ZH),
    "mathematics": (_MATH_EN, _MATH_ZH),
}
