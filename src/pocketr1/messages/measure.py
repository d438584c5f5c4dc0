"""Texts about measuring a model."""

from __future__ import annotations

from pocketr1.messages.catalog import Text

__all__ = ["TEXTS"]

TEXTS: dict[str, Text] = {
    "measure-window": Text(
        "A window cannot hold {value} tokens.",
        "窗口不能是 {value} 个词元。",
        "Use a whole number from 4 to {limit}, the context of the loaded model.",
        "请使用 4 到 {limit} 之间的整数（上限是已加载模型的上下文长度）。",
    ),
    "measure-text-short": Text(
        "A text of {tokens} tokens is too short to measure.",
        "文本只有 {tokens} 个词元，太短，无法测量。",
        "Use a text of at least 4 tokens; a few thousand give a figure worth having.",
        "请使用至少 4 个词元的文本；几千个词元才有可用的结果。",
    ),
    "measure-vocabulary": Text(
        "The models have different vocabularies: {reference} and {model} tokens.",
        "两个模型的词表不同：{reference} 和 {model} 个词元。",
        "Compare a model with the checkpoint it was made from.",
        "请把模型与生成它的检查点作比较。",
    ),
    "task-file": Text(
        "The task {path} cannot be used: {reason}.",
        "无法使用任务文件 {path}：{reason}。",
        'Name a UTF-8 file with one JSON object a line: {{"question": "…", "answer": "…"}}.',
        '请指定一个 UTF-8 文件，每行一个 JSON 对象：{{"question": "…", "answer": "…"}}。',
    ),
    "task-empty": Text(
        "The task {path} holds no problem.",
        "任务文件 {path} 中没有题目。",
        'Write one JSON object a line: {{"question": "…", "answer": "…"}}.',
        '请每行写一个 JSON 对象：{{"question": "…", "answer": "…"}}。',
    ),
    "task-field": Text(
        'Line {line} of the task {path} has no text under "{key}".',
        "任务文件 {path} 第 {line} 行的 “{key}” 不是文本或为空。",
        'Write it as {{"question": "…", "answer": "…"}}, with "group" if there are several kinds.',
        '请写成 {{"question": "…", "answer": "…"}}；如有多类题目，可加 "group"。',
    ),
    "task-line": Text(
        "Line {line} of the task {path} is not JSON: {reason}.",
        "任务文件 {path} 第 {line} 行不是 JSON：{reason}。",
        'Write it as {{"question": "…", "answer": "…"}}, with "group" if there are several kinds.',
        '请写成 {{"question": "…", "answer": "…"}}；如有多类题目，可加 "group"。',
    ),
}
