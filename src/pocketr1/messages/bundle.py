"""Texts about bundles."""

from __future__ import annotations

from pocketr1.messages.catalog import Text

__all__ = ["TEXTS"]

TEXTS: dict[str, Text] = {
    "json-invalid": Text(
        what_en="A JSON text cannot be used: {where}: {reason}.",
        what_zh="JSON 内容无法使用：{where}：{reason}。",
        mend_en="Restore the file it comes from, by downloading or compressing again.",
        mend_zh="请重新下载或重新压缩，恢复该文件。",
    ),
}
