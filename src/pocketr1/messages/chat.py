"""Texts about tokenizers, templates and conversations."""

from __future__ import annotations

from pocketr1.messages.catalog import Text

__all__ = ["TEXTS"]

TEXTS: dict[str, Text] = {
    "tokenizer-missing": Text(
        what_en="The model has no tokenizer: {where} does not exist.",
        what_zh="模型缺少分词器：{where} 不存在。",
        mend_en="Copy tokenizer.json (and tokenizer_config.json) of the original model into this "
        "directory.",
        mend_zh="请把原模型的 tokenizer.json（以及 tokenizer_config.json）复制到该目录。",
    ),
    "tokenizer-damaged": Text(
        what_en="The tokenizer file {where} cannot be read: {reason}.",
        what_zh="无法读取分词器文件 {where}：{reason}。",
        mend_en="Copy it again from the original model; it may have been cut short on the way.",
        mend_zh="请从原模型重新复制；文件可能在传输中被截断。",
    ),
    "tokenizer-too-large": Text(
        what_en="{where} is larger than {limit} MiB, more than any file of this kind needs.",
        what_zh="{where} 超过 {limit} MiB，远大于此类文件的正常大小。",
        mend_en="Check that the right file lies there, and copy it again from the original model.",
        mend_zh="请确认文件无误，并从原模型重新复制。",
    ),
}
