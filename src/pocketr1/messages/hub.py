"""Texts about pulling a model from a hub."""

from __future__ import annotations

from pocketr1.messages.catalog import Text

__all__ = ["TEXTS"]

_AGAIN_EN = "Run the same command again: what has come is kept, and it goes on where it stopped."
_AGAIN_ZH = "请重新运行同一条命令：已下载的部分会保留，并从中断处继续。"

TEXTS: dict[str, Text] = {
    "hub-name": Text(
        "{name!r} is no model a hub could have.",
        "{name!r} 不是有效的模型名称。",
        "Use one of {known}, or ORG/NAME as the hub shows it.",
        "请使用 {known} 之一，或平台上显示的 ORG/NAME。",
    ),
    "hub-origin": Text(
        "Models cannot be pulled from {value!r}.",
        "不能从 {value!r} 下载模型。",
        "Use hf, modelscope, or the address (https://…) of a server that speaks the Hugging Face "
        "hub's protocol.",
        "请使用 hf、modelscope，或支持 Hugging Face 协议的服务器地址（https://…）。",
    ),
    "hub-client-missing": Text(
        "Pulling needs {client}, which is not installed.",
        "下载模型需要 {client}，但尚未安装。",
        "Install it: pip install 'pocketr1[{extra}]' (or pip install {client}).",
        "请安装：pip install 'pocketr1[{extra}]'（或 pip install {client}）。",
    ),
    "hub-offline-mode": Text(
        "HF_HUB_OFFLINE forbids the network, which pulling needs.",
        "HF_HUB_OFFLINE 禁止联网，而下载模型需要网络。",
        "Unset HF_HUB_OFFLINE for this command.",
        "请在运行此命令时取消 HF_HUB_OFFLINE。",
    ),
    "hub-gated": Text(
        "{where} may be pulled only by those who accepted its terms.",
        "{where} 只允许已接受其条款的用户下载。",
        "Accept them on the model's page, then set HF_TOKEN to an access token of yours. A "
        "mirror named by --from is sent no token; name one you trust by HF_ENDPOINT.",
        "请先在模型页面接受条款，再把 HF_TOKEN 设为您的访问令牌。"
        "--from 指定的镜像不会收到令牌；您信任的镜像请用 HF_ENDPOINT 指定。",
    ),
    "hub-not-found": Text(
        "There is no model at {where}, or it is private.",
        "{where} 处没有模型，或者它是私有的。",
        "Check the spelling; for a private model set HF_TOKEN to an access token of yours.",
        "请检查拼写；私有模型请把 HF_TOKEN 设为您的访问令牌。",
    ),
    "hub-revision": Text(
        "{where} has no revision {revision!r}.",
        "{where} 没有版本 {revision!r}。",
        "Leave --revision out, or use a branch, tag or commit that the model's page shows.",
        "请省略 --revision，或使用模型页面上列出的分支、标签或提交。",
    ),
    "hub-file-missing": Text(
        "{where} lists {file} but does not have it.",
        "{where} 列出了 {file}，但无法提供该文件。",
        "Try again later, or another mirror with --from.",
        "请稍后重试，或用 --from 换一个镜像。",
    ),
    "hub-answer": Text(
        "The answer of {where} makes no sense: {reason}.",
        "{where} 的应答无效：{reason}。",
        "Check the address, or try another mirror with --from.",
        "请检查地址，或用 --from 换一个镜像。",
    ),
    "hub-busy": Text(
        "{where} turns us away: too many requests.",
        "{where} 拒绝了请求：请求过多。",
        "Wait some minutes, then run the same command again: it goes on where it stopped.",
        "请等待几分钟后重新运行同一条命令，它会从中断处继续。",
    ),
    "hub-size": Text(
        "{where} sent another number of bytes for {file} than it had announced.",
        "{where} 发送的 {file} 字节数与其声明的不一致。",
        _AGAIN_EN,
        _AGAIN_ZH,
    ),
    "hub-hash": Text(
        "{file} from {where} does not have the hash it should have, twice; it was deleted.",
        "来自 {where} 的 {file} 两次校验失败，已删除。",
        "Try another mirror with --from; on a network that changes downloads, use a VPN.",
        "请用 --from 换一个镜像；如果网络会篡改下载内容，请使用 VPN。",
    ),
    "hub-unreachable": Text(
        "{where} does not answer, or broke off ({reason}).",
        "{where} 没有应答或连接中断（{reason}）。",
        "Check the network and proxy (HTTPS_PROXY); a mirror is named with HF_ENDPOINT or --from. "
        + _AGAIN_EN,
        "请检查网络和代理（HTTPS_PROXY）；可用 HF_ENDPOINT 或 --from 指定镜像。" + _AGAIN_ZH,
    ),
    "hub-no-ranges": Text(
        "{where} cannot send a part of {file}, which compressing while pulling needs.",
        "{where} 不能发送 {file} 的一部分，而边下载边压缩需要这一功能。",
        "Leave --compress out and compress afterwards, or try another mirror with --from.",
        "请去掉 --compress 并在下载后再压缩，或用 --from 换一个镜像。",
    ),
    "hub-gguf": Text(
        "{where} holds GGUF files, which `pocketr1 pull` does not fetch.",
        "{where} 中是 GGUF 文件，`pocketr1 pull` 不下载这种文件。",
        "Pull the model they were made from: pocketr1 pull {alias}. Or download one of the files "
        "yourself: `pocketr1 run FILE` takes it.",
        "请下载生成它们的原模型：pocketr1 pull {alias}。也可自行下载其中一个文件，"
        "再用 `pocketr1 run FILE` 运行。",
    ),
    "hub-no-weights": Text(
        "{where} holds no safetensors weights.",
        "{where} 中没有 safetensors 权重。",
        "Pull a model that has model.safetensors, or an index with its shards.",
        "请下载含有 model.safetensors（或索引及其分片）的模型。",
    ),
    "hub-no-config": Text(
        "{where} holds no config.json, so what its weights mean is not known.",
        "{where} 中没有 config.json，无法得知权重的含义。",
        "Pull the model it was made from.",
        "请下载它的原模型。",
    ),
    "hub-quantized": Text(
        "{where} is quantized already, in a way Pocket R1 does not read ({method}).",
        "{where} 已经量化，且其方式 Pocket R1 无法读取（{method}）。",
        "Pull the original, compressed on the way: pocketr1 pull {alias} --compress 4",
        "请下载原模型并边下载边压缩：pocketr1 pull {alias} --compress 4",
    ),
    "hub-other": Text(
        "{path} holds the unfinished pull of something else ({what}).",
        "{path} 中是另一次未完成的下载（{what}）。",
        "Finish that one, delete the directory, or name another one with -o.",
        "请先完成那次下载、删除该目录，或用 -o 指定其他目录。",
    ),
    "hub-unreadable": Text(
        "The unfinished pull {path} cannot be taken up: {reason}.",
        "无法继续未完成的下载 {path}：{reason}。",
        "Delete the directory it lies in, and start again.",
        "请删除它所在的目录，然后重新开始。",
    ),
    "hub-out-exists": Text(
        "{path} exists already.",
        "{path} 已经存在。",
        "Delete it, or name another directory with -o.",
        "请删除它，或用 -o 指定其他目录。",
    ),
    "hub-disk-space": Text(
        "{path} has {free} MB free; the pull needs {needed} MB.",
        "{path} 可用空间为 {free} MB，下载需要 {needed} MB。",
        "Make room, name another disk with -o, or add --compress 4, which deletes each weight file "
        "when it is compressed.",
        "请腾出空间、用 -o 指定其他磁盘，或加上 --compress 4（每个权重文件压缩后即删除）。",
    ),
    "hub-disk-full": Text(
        "The disk filled up while {file} came.",
        "下载 {file} 时磁盘已满。",
        "Make room. " + _AGAIN_EN,
        "请腾出空间。" + _AGAIN_ZH,
    ),
    "hub-write": Text(
        "{path} cannot be written: {reason}.",
        "无法写入 {path}：{reason}。",
        "Name a directory of yours with -o.",
        "请用 -o 指定一个可写的目录。",
    ),
}
