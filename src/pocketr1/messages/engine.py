"""Texts about loading and running models."""

from __future__ import annotations

from pocketr1.messages.catalog import Text

__all__ = ["TEXTS"]

TEXTS: dict[str, Text] = {
    "usage-argument": Text(
        "The argument {where} cannot be used: {reason}.",
        "参数 {where} 无法使用：{reason}。",
        "Pass what pocketr1.h asks for.",
        "请按 pocketr1.h 的要求传入参数。",
    ),
    "model-missing": Text(
        "There is no model at {path}: nothing has that name.",
        "{path} 处没有模型：不存在这个路径。",
        "Check the path. A model is a bundle made by `pocketr1 compress`, a checkpoint directory "
        "with config.json and safetensors, a GGUF file, or `tiny`.",
        "请检查路径。模型可以是 `pocketr1 compress` 生成的模型包、带有 config.json 和 "
        "safetensors 的检查点目录、GGUF 文件，或者 `tiny`。",
    ),
    "model-not-a-directory": Text(
        "{path} is a file, and not a GGUF file; other models are directories.",
        "{path} 是一个文件，但不是 GGUF 文件；其他模型应当是目录。",
        "Give the directory that holds bundle.json or config.json.",
        "请给出包含 bundle.json 或 config.json 的目录。",
    ),
    "model-unfinished": Text(
        "The bundle in {path} belongs to a job that is not finished, or was judged and failed.",
        "{path} 中的模型包属于尚未完成、或未通过评测的任务。",
        "Run the `pocketr1 compress` command that began it again; it goes on where it stopped.",
        "请重新运行当初的 `pocketr1 compress` 命令，任务会从中断处继续。",
    ),
    "model-unknown": Text(
        "{path} holds neither a bundle (bundle.json) nor a checkpoint (config.json).",
        "{path} 里既没有模型包（bundle.json），也没有检查点（config.json）。",
        "Give the directory that directly holds one of them. A compression that was interrupted "
        "leaves no bundle.json: run the same `pocketr1 compress` again to finish it.",
        "请给出直接包含其中之一的目录。被中断的压缩不会留下 bundle.json：再次运行同一条 "
        "`pocketr1 compress` 命令即可继续完成。",
    ),
    "model-tiny-missing": Text(
        "The small model `tiny` is not part of this installation (expected at {path}).",
        "此安装不含小模型 `tiny`（应位于 {path}）。",
        "Give a bundle or a checkpoint directory instead, or install a release that ships it.",
        "请改用模型包或检查点目录，或者安装包含它的版本。",
    ),
    "threads-value": Text(
        "The number of threads cannot be {value}.",
        "线程数不能是 {value}。",
        "Use a whole number from 1 to {limit}; the number of fast cores is best.",
        "请使用 1 到 {limit} 之间的整数；以高性能核心的数量为佳。",
    ),
    "cpus-value": Text(
        "This process cannot run on the CPUs {value}.",
        "本进程无法在 CPU {value} 上运行。",
        "Give CPUs of this machine such as 0-3,6, or fast; `pocketr1 doctor` lists them.",
        "请给出本机的 CPU，例如 0-3,6，或 fast；`pocketr1 doctor` 会列出它们。",
    ),
    "max-context-value": Text(
        "The context cannot be {value} tokens long.",
        "上下文长度不能是 {value} 个词元。",
        "Use a whole number from 1 to {limit}, the most this model takes.",
        "请使用 1 到 {limit} 之间的整数，{limit} 是此模型的上限。",
    ),
    "kv-format-value": Text(
        "There is no K/V page format {value!r}.",
        "没有名为 {value!r} 的 K/V 页格式。",
        "Use one of: {allowed}.",
        "可用的格式：{allowed}。",
    ),
    "usage-kv-format": Text(
        "There is no such K/V page format ({where}): {reason}",
        "没有这种 K/V 页格式（{where}）：{reason}",
        "Use one of: f32, f16, int8.",
        "可用的格式：f32、f16、int8。",
    ),
    "device-value": Text(
        "There is no device {value!r}.",
        "没有名为 {value!r} 的设备。",
        "Use device='cpu', the only one so far.",
        "请使用 device='cpu'，目前只支持它。",
    ),
    "engine-closed": Text(
        "This engine has been closed.",
        "此引擎已经关闭。",
        "Load the model again with pocketr1.load().",
        "请用 pocketr1.load() 重新加载模型。",
    ),
    "engine-busy": Text(
        "This engine is in the middle of a step; the call came from its own callback.",
        "此引擎正在执行一步计算；这次调用来自它自己的回调函数。",
        "Let the callback only collect data, and call the engine after it has returned.",
        "请让回调函数只收集数据，等它返回之后再调用引擎。",
    ),
    "engine-thread": Text(
        "This engine belongs to thread {owner!r}, but thread {caller!r} called it.",
        "此引擎属于线程 {owner!r}，却被线程 {caller!r} 调用。",
        "Use an engine from one thread; cancel() may come from any. To move it, call "
        "take_ownership() in the new thread once the old one no longer uses it.",
        "一个引擎只能由一个线程使用，只有 cancel() 可以来自任何线程。若要移交，请在原线程不再"
        "使用它之后，在新线程里调用 take_ownership()。",
    ),
    "engine-forked": Text(
        "This engine was loaded in process {owner}, but forked process {caller} called it.",
        "此引擎在进程 {owner} 中加载，却被分叉出的进程 {caller} 调用。",
        "A fork does not copy the engine's threads: load the model in the child, or start it with "
        "the 'spawn' method.",
        "进程分叉不会复制引擎的线程：请在子进程中重新加载模型，或用 'spawn' 方式启动子进程。",
    ),
    "sequence-closed": Text(
        "This sequence has been closed; its keys and values are gone.",
        "此序列已经关闭，它的键和值已被释放。",
        "Make a new one with engine.sequence() and give it the tokens again.",
        "请用 engine.sequence() 新建一个序列，并重新提供词元。",
    ),
    "sequence-foreign": Text(
        "This sequence belongs to another engine.",
        "此序列属于另一个引擎。",
        "Use a sequence made by the same engine's sequence().",
        "请使用由同一个引擎的 sequence() 创建的序列。",
    ),
    "sequence-taken": Text(
        "This sequence was changed by someone else while a generation was using it.",
        "在一次生成使用此序列期间，它被其他调用修改了。",
        "Give each generation that runs at the same time a sequence of its own.",
        "请为同时进行的每次生成提供各自独立的序列。",
    ),
    "speculation-draft": Text(
        "There is no way to draft tokens called {value!r}.",
        "没有名为 {value!r} 的起草方式。",
        "Use 'lookup', a loaded Engine with the same tokenizer, or an object with propose() and "
        "close().",
        "请使用 'lookup'、分词器相同的已加载 Engine，或带有 propose() 和 close() 的对象。",
    ),
    "speculation-tokens": Text(
        "{value} tokens cannot be drafted for a step.",
        "每一步不能起草 {value} 个词元。",
        "Use a whole number from 1 to {limit}; 4 to 8 are usual.",
        "请使用 1 到 {limit} 之间的整数，通常为 4 到 8。",
    ),
    "speculation-vocabulary": Text(
        "{draft} cannot draft for {model}: their tokenizers differ (vocabularies of {draft_vocab} "
        "and {vocab} tokens).",
        "{draft} 不能为 {model} 起草：两者的分词器不同（词表大小分别为 {draft_vocab} 和 "
        "{vocab}）。",
        "Take a smaller model of the same family, such as R1-Distill-Qwen-1.5B for "
        "R1-Distill-Qwen-7B; prompt lookup ('lookup') needs no second model.",
        "请使用同一系列中较小的模型，例如用 R1-Distill-Qwen-1.5B 为 R1-Distill-Qwen-7B 起草；"
        "提示查找（'lookup'）不需要第二个模型。",
    ),
    "truncate-length": Text(
        "A sequence of {length} tokens cannot be cut to {value}.",
        "长度为 {length} 个词元的序列不能截短为 {value}。",
        "Use a whole number from 0 to {length}.",
        "请使用 0 到 {length} 之间的整数。",
    ),
    "fork-length": Text(
        "A sequence of {length} tokens has no first {value}.",
        "长度为 {length} 个词元的序列没有前 {value} 个词元。",
        "Use a whole number from 0 to {length}.",
        "请使用 0 到 {length} 之间的整数。",
    ),
    "full-context-value": Text(
        "A full context cannot be met with {value}.",
        "上下文写满时不能用 {value} 处理。",
        "Choose one of: {allowed}.",
        "请选择其中之一：{allowed}。",
    ),
    "prompt-empty": Text(
        "The prompt is empty.",
        "提示为空。",
        "Give at least one token; the model's beginning-of-text token will do.",
        "请至少给出一个词元，例如模型的文本起始词元。",
    ),
    "prompt-type": Text(
        "Token ids must be whole numbers in one dimension, not {kind}.",
        "词元编号必须是一维的整数序列，而不是 {kind}。",
        "Give a list of ints or an integer array of shape (n,). Text goes through pocketr1.Chat "
        "or the model's tokenizer.",
        "请给出整数列表，或形状为 (n,) 的整数数组。文本请交给 pocketr1.Chat 或模型的分词器处理。",
    ),
    "token-out-of-range": Text(
        "Token id {token} at place {place} of the prompt is outside 0..{vocab} (exclusive).",
        "提示中第 {place} 个位置（从 0 数起）的词元编号 {token} 不在 0 到 {vocab}（不含）之间。",
        "Encode the text with this model's own tokenizer.",
        "请用此模型自己的分词器对文本编码。",
    ),
    "context-too-long": Text(
        "{tokens} tokens do not fit: the context holds {limit}.",
        "{tokens} 个词元放不下：上下文最多容纳 {limit} 个。",
        "Shorten the text, or load the model with a larger max_context (--max-context).",
        "请缩短文本，或者用更大的 max_context（--max-context）加载模型。",
    ),
    "context-full": Text(
        "The context of {where} tokens is full: {reason}.",
        "容量为 {where} 个词元的上下文已满：{reason}。",
        "Shorten the text, or load the model with a larger max_context (--max-context).",
        "请缩短文本，或者用更大的 max_context（--max-context）加载模型。",
    ),
    "cancelled": Text(
        "The work was cancelled.",
        "工作已被取消。",
        "Start it again when you want it.",
        "需要时可重新开始。",
    ),
    "size-overflow": Text(
        "A size is too large to be real ({where}): {reason}",
        "尺寸大得不合实际（{where}）：{reason}",
        "The model's files are damaged or not what they claim to be: get them again from a source "
        "you trust.",
        "模型文件已损坏，或者与其声明不符：请从可信的来源重新获取。",
    ),
    "logits-too-large": Text(
        "The logits of {tokens} tokens would take {megabytes} MB in one array.",
        "{tokens} 个词元的 logits 放进一个数组需要 {megabytes} MB。",
        "Read them in pieces with engine.logits_chunks(ids), or give at most {limit} tokens.",
        "请用 engine.logits_chunks(ids) 分块读取，或者一次最多给出 {limit} 个词元。",
    ),
    "rows-value": Text(
        "A chunk of logits cannot have {value} rows.",
        "一块 logits 不能有 {value} 行。",
        "Use a whole number of at least 1.",
        "请使用不小于 1 的整数。",
    ),
    "batch-value": Text(
        "{value} answers cannot be written together.",
        "不能同时生成 {value} 个回答。",
        "Use a whole number of at least 1.",
        "请使用不小于 1 的整数。",
    ),
    "max-tokens-value": Text(
        "The most tokens to generate cannot be {value}.",
        "生成词元的上限不能是 {value}。",
        "Use a whole number of at least 1, or leave it out to go on until the context is full.",
        "请使用不小于 1 的整数；省略则一直生成到上下文用完为止。",
    ),
    "index-value": Text(
        "The index of an answer cannot be {value}.",
        "回答的序号不能是 {value}。",
        "Use a whole number of at least 0.",
        "请使用不小于 0 的整数。",
    ),
    "sampling-value": Text(
        "{name} cannot be {value}.",
        "{name} 不能是 {value}。",
        "Allowed: {allowed}.",
        "允许的范围：{allowed}。",
    ),
    "stop-empty": Text(
        "A stop string is empty or is not text.",
        "停止字符串为空，或者不是文本。",
        "Give each stop string at least one character.",
        "请让每个停止字符串至少包含一个字符。",
    ),
    "stop-needs-detokenizer": Text(
        "Stop strings were given, but nothing turns tokens into text.",
        "给出了停止字符串，但没有把词元转成文本的工具。",
        "Pass a pocketr1.chat.IncrementalDetokenizer as detokenizer, or use pocketr1.Chat.",
        "请传入 pocketr1.chat.IncrementalDetokenizer 作为 detokenizer，或使用 pocketr1.Chat。",
    ),
    "logits-not-finite": Text(
        "No token can be chosen ({where}): {reason}",
        "无法选出词元（{where}）：{reason}",
        "The weights are probably damaged: check a bundle with `pocketr1 inspect MODEL --verify`. "
        "A caller of `sample` passes finite logits, of which at least one is not minus infinity.",
        "权重很可能已损坏：请用 `pocketr1 inspect MODEL --verify` 检查模型包。直接调用 `sample` "
        "时，logits 须为有限值，且至少有一个不是负无穷。",
    ),
    "memory": Text(
        "There is not enough memory ({where}): {reason}",
        "内存不足（{where}）：{reason}",
        "Close other programs, or use a smaller max_context, the K/V format int8, or weights of "
        "fewer bits.",
        "请关闭其他程序，或者使用更小的 max_context、int8 的 K/V 格式，或位数更少的权重。",
    ),
    "threads": Text(
        "Threads could not be started ({where}): {reason}",
        "无法启动线程（{where}）：{reason}",
        "Use fewer threads, or raise the system's limit on processes.",
        "请减少线程数，或提高系统的进程数上限。",
    ),
    "usage-threads": Text(
        "The number of threads is out of range ({where}): {reason}",
        "线程数超出范围（{where}）：{reason}",
        "The number of fast cores is best.",
        "以高性能核心的数量为佳。",
    ),
    "usage-context": Text(
        "The context's length is out of range ({where}): {reason}",
        "上下文长度超出范围（{where}）：{reason}",
        "Give a max_context within these limits.",
        "请在此范围内设置 max_context。",
    ),
    "usage-sampling": Text(
        "A sampling option is out of range ({where}): {reason}",
        "采样选项超出范围（{where}）：{reason}",
        "See pocketr1.Sampling for what each option allows.",
        "各选项允许的范围见 pocketr1.Sampling。",
    ),
    "usage-rows": Text(
        "The rows of a step do not fit together ({where}): {reason}",
        "一次 step 的各行不一致（{where}）：{reason}",
        "Give each row a sequence, the position at which that sequence continues, and a "
        "token; logits_for holds ascending row indices.",
        "每一行都要给出序列、该序列接续的位置和词元；logits_for 是递增的行号。",
    ),
    "usage-busy": Text(
        "The session is in the middle of a step ({where}): {reason}",
        "会话正在执行一步计算（{where}）：{reason}",
        "Call it from one thread, and from a callback of a step only once the step has returned.",
        "请只从一个线程调用会话；在一步计算的回调函数中，请等该步返回之后再调用。",
    ),
    "usage-sequence": Text(
        "The sequence cannot be used so ({where}): {reason}",
        "不能这样使用该序列（{where}）：{reason}",
        "Use an id that create_sequence returned and that was not freed; a sequence is only "
        "ever cut shorter.",
        "请使用 create_sequence 返回且尚未释放的编号；序列只能截短。",
    ),
    "usage-pages": Text(
        "K/V pages do not fit the sequence ({where}): {reason}",
        "K/V 页与序列不符（{where}）：{reason}",
        "Read pages whose 64 tokens are all computed, and append them where a page begins.",
        "请只读取 64 个词元都已算完的页，并在整页的边界处接上。",
    ),
    "usage-token": Text(
        "A token does not belong to the model ({where}): {reason}",
        "词元不属于该模型（{where}）：{reason}",
        "Encode the text with the model's own tokenizer.",
        "请用模型自带的分词器对文本编码。",
    ),
    "usage-tensor": Text(
        "There is no such weight ({where}): {reason}",
        "没有这个权重（{where}）：{reason}",
        "Use a canonical name such as layers.0.q.weight; `pocketr1 inspect MODEL` lists them.",
        "请使用规范名称，例如 layers.0.q.weight；`pocketr1 inspect MODEL` 会列出全部名称。",
    ),
    "usage-adapter": Text(
        "An adapter has the wrong shape ({where}): {reason}",
        "适配器的形状不对（{where}）：{reason}",
        "Give A as (rank, inputs) and B as (outputs, rank), both float32.",
        "A 的形状应为 (rank, inputs)，B 为 (outputs, rank)，均为 float32。",
    ),
}
