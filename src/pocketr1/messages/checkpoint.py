"""Texts about source checkpoints."""

from __future__ import annotations

from pocketr1.messages.catalog import Text

__all__ = ["TEXTS"]

TEXTS: dict[str, Text] = {
    "safetensors-invalid": Text(
        what_en="The safetensors file {where} is damaged or malformed: {reason}.",
        what_zh="safetensors 文件 {where} 已损坏或格式不正确：{reason}。",
        mend_en="Download the file again, and compare its size and checksum with the publisher's.",
        mend_zh="请重新下载该文件，并与发布方公布的大小和校验值核对。",
    ),
    "safetensors-unreadable": Text(
        what_en="The safetensors file {where} cannot be read: {reason}.",
        what_zh="无法读取 safetensors 文件 {where}：{reason}。",
        mend_en="Check that the path is right, that the download is complete and that you may read it.",
        mend_zh="请检查路径是否正确、下载是否完整，以及您是否有读取权限。",
    ),
}
