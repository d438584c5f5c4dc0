"""Texts about bundles."""

from __future__ import annotations

from pocketr1.messages.catalog import Text

__all__ = ["TEXTS"]

TEXTS: dict[str, Text] = {
    "bundle-unreadable": Text(
        what_en="The bundle's file {where} cannot be read: {reason}.",
        what_zh="无法读取模型包文件 {where}：{reason}。",
        mend_en="Check the path and your permission to read it. A bundle is a directory with "
        "bundle.json and blocks/, complete and without symbolic links inside; copy it again "
        "(cp -rL) where parts are missing.",
        mend_zh="请检查路径和读取权限。模型包是一个包含 bundle.json 和 blocks/ 的目录，必须完整，"
        "且内部没有符号链接；如有缺失，请重新复制（cp -rL）。",
    ),
    "bundle-foreign": Text(
        what_en="{where} is not a Pocket R1 bundle: {reason}.",
        what_zh="{where} 不是 Pocket R1 模型包：{reason}。",
        mend_en="Give the directory that `pocketr1 compress` wrote.",
        mend_zh="请指定由 `pocketr1 compress` 生成的目录。",
    ),
    "bundle-version": Text(
        what_en="The bundle {where} was written for another version of Pocket R1: {reason}.",
        what_zh="模型包 {where} 由其他版本的 Pocket R1 写成：{reason}。",
        mend_en="Update Pocket R1, or compress the model again with this version.",
        mend_zh="请升级 Pocket R1，或用当前版本重新压缩模型。",
    ),
    "bundle-encoding": Text(
        what_en="The bundle {where} is encoded in a way this version cannot read: {reason}.",
        what_zh="模型包 {where} 的编码方式是当前版本无法读取的：{reason}。",
        mend_en="Update Pocket R1, or compress the model again with this version.",
        mend_zh="请升级 Pocket R1，或用当前版本重新压缩模型。",
    ),
    "bundle-invalid": Text(
        what_en="The bundle is damaged or malformed, in {where}: {reason}.",
        what_zh="模型包已损坏或格式不正确，位于 {where}：{reason}。",
        mend_en="Copy or download the bundle again, or compress the model again.",
        mend_zh="请重新复制或下载模型包，或重新压缩模型。",
    ),
    "bundle-hash": Text(
        what_en="The bundle's file {where} is not what was written: {reason}.",
        what_zh="模型包文件 {where} 的内容与写入时不一致：{reason}。",
        mend_en="Copy or download this file again; if it happens again, check the storage device.",
        mend_zh="请重新复制或下载该文件；若问题再次出现，请检查存储设备。",
    ),
    "bundle-scales": Text(
        what_en="The bundle's file {where} holds weights that cannot be used: {reason}.",
        what_zh="模型包文件 {where} 中含有无法使用的权重：{reason}。",
        mend_en="Copy or download this file again, or compress the model again.",
        mend_zh="请重新复制或下载该文件，或重新压缩模型。",
    ),
    "bundle-codes": Text(
        what_en="The bundle's file {where} holds weights that cannot be used: {reason}.",
        what_zh="模型包文件 {where} 中含有无法使用的权重：{reason}。",
        mend_en="Copy or download this file again, or compress the model again.",
        mend_zh="请重新复制或下载该文件，或重新压缩模型。",
    ),
    "json-invalid": Text(
        what_en="A JSON text cannot be used: {where}: {reason}.",
        what_zh="JSON 内容无法使用：{where}：{reason}。",
        mend_en="Restore the file it comes from, by downloading or compressing again.",
        mend_zh="请重新下载或重新压缩，恢复该文件。",
    ),
}
