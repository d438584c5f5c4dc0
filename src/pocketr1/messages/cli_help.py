"""The help of the command line: ``what`` is one line, ``mend`` of a command its details."""

from __future__ import annotations

from pocketr1.messages.catalog import Text

__all__ = ["TEXTS"]

TEXTS: dict[str, Text] = {
    "cli-usage-line": Text("Usage:", "用法："),
    "cli-arguments": Text("Arguments:", "参数："),
    "cli-options": Text("Options:", "选项："),
    "cli-commands": Text("Commands:", "命令："),
    "cli-default": Text(" [default: {value}]", "［默认：{value}］"),
    "cli-app": Text(
        "DeepSeek-R1's distilled models on a phone, offline: compress a checkpoint, look into it, "
        "let it answer, measure it, find out what a device can run.",
        "让 DeepSeek-R1 蒸馏模型在手机上离线运行：压缩检查点、查看内容、作答、测速，"
        "并检查设备能运行什么。",
        "`pocketr1 COMMAND --help` explains a command. Results go to stdout, everything else to "
        "stderr. Exit codes: 0 done, 1 failed, 2 misused.",
        "`pocketr1 COMMAND --help` 说明各个命令。结果写到标准输出，其余内容写到标准错误。"
        "退出码：0 完成，1 失败，2 用法有误。",
    ),
    "cli-option-help": Text("Show this text and leave.", "显示本说明并退出。"),
    "cli-option-version": Text("Show the version and leave.", "显示版本并退出。"),
    "cli-option-lang": Text(
        "Language of all texts; may stand anywhere on the line. Without it, the locale decides.",
        "所有文本的语言，可放在命令行的任何位置；省略时由系统区域设置决定。",
    ),
    "cli-option-json": Text(
        "Print one JSON document on stdout, for programs; also for an error.",
        "在标准输出打印一个 JSON 文档供程序读取，出错时也是如此。",
    ),
    "cli-argument-model": Text(
        "A bundle, a checkpoint directory (config.json and safetensors), a GGUF file, or `tiny`, "
        "the small model that comes along.",
        "模型包、检查点目录（含 config.json 和 safetensors）、GGUF 文件，或随附的小模型 `tiny`。",
    ),
    "cli-option-threads": Text(
        "Threads to compute with. auto, and without it: as many as there are fast cores of those "
        "this process may use.",
        "计算所用的线程数。auto 或省略时，等于本进程可用的高性能核心数。",
    ),
    "cli-option-cpus": Text(
        "Run on these CPUs alone: a list such as 0-3,6, or fast for the fast cores.",
        "只在这些 CPU 上运行：例如 0-3,6 这样的列表，或 fast（高性能核心）。",
    ),
    "cli-option-max-context": Text(
        "Most tokens of prompt and answer together; the memory for them is taken as they come. "
        "Without it, 8192 or the model's own limit.",
        "提示与回答合计的词元上限，内存随用随取；省略时为 8192 或模型自身的上限。",
    ),
    # compress
    "cli-compress": Text(
        "Compress a checkpoint into a bundle that a phone can run.",
        "把检查点压缩成手机可以运行的模型包。",
        "Memory stays below about 1 GB whatever the model's size. A job that was interrupted goes "
        "on where it stopped when the same command is given again.\n\n"
        "  pocketr1 compress DeepSeek-R1-Distill-Qwen-1.5B -o r1-int4 --bits 4 --group-size 64",
        "无论模型多大，内存占用都在约 1 GB 以内。任务中断后，再次运行同一条命令即可从中断处继续。"
        "\n\n"
        "  pocketr1 compress DeepSeek-R1-Distill-Qwen-1.5B -o r1-int4 --bits 4 --group-size 64",
    ),
    "cli-pull": Text(
        "Pull a model from a hub; the only command that uses the network.",
        "从模型平台下载模型；唯一联网的命令。",
        "Short names: r1-1.5b, r1-7b, r1-llama-8b, r1-qwen3-8b, r1-14b, r1-32b. With --compress, "
        "weight files are compressed as they come and deleted, so that the disk holds one of them "
        "beside the bundle, for a moment two. An interrupted pull goes on where it stopped when "
        "the same command is run again. HF_ENDPOINT names a mirror, HF_TOKEN is an access token.",
        "简称：r1-1.5b、r1-7b、r1-llama-8b、r1-qwen3-8b、r1-14b、r1-32b。使用 --compress 时，"
        "权重文件边到边压缩，随后删除，磁盘上除模型包外只保留一个权重文件，短暂时为两个。"
        "中断后再次运行同一条命令即可继续。HF_ENDPOINT 指定镜像，HF_TOKEN 是访问令牌。",
    ),
    "cli-argument-pull": Text(
        "A short name, or ORG/NAME as the hub shows it.", "简称，或平台上显示的 ORG/NAME。"
    ),
    "cli-option-pull-output": Text(
        "Directory to create; without it, the model's name.", "要创建的目录；省略时使用模型名称。"
    ),
    "cli-option-pull-compress": Text(
        "Compress to 8 bits (groups of 128), 4 or 3 bits (groups of 64) or 2 bits (groups of 32) "
        "while pulling; 3 and 2 bits lose much where they are not calibrated.",
        "边下载边压缩为 8 位（每组 128）、4 位或 3 位（每组 64）或 2 位（每组 32）；"
        "3 位和 2 位未经校准时损失很大。",
    ),
    "cli-option-pull-from": Text(
        "hf, modelscope, or the address of a mirror that speaks the Hugging Face hub's protocol.",
        "hf、modelscope，或支持 Hugging Face 协议的镜像地址。",
    ),
    "cli-option-pull-revision": Text(
        "Branch, tag or commit; without it, the default branch.",
        "分支、标签或提交；省略时使用默认分支。",
    ),
    "cli-argument-source": Text(
        "The checkpoint: a directory with config.json and safetensors files, or `tiny`.",
        "检查点：含有 config.json 和 safetensors 文件的目录，或 `tiny`。",
    ),
    "cli-option-output": Text("The directory of the new bundle.", "新模型包的目录。"),
    "cli-option-bits": Text(
        "Bits of a weight: 16 keeps it, 8 is nearly lossless, 4 is half of that; 3 and 2 are the "
        "smallest and fastest, and lose much; f8 is FP8 (E4M3), which carries FP8 checkpoints as "
        "they are. keep: every tensor as its file holds it, quantized ones too.",
        "每个权重的位数：16 保持原样，8 几乎无损，4 再小一半；3 和 2 最小也最快，但损失很大；"
        "f8 为 FP8（E4M3），可原样保留 FP8 检查点。keep：每个张量都与源文件一致，"
        "包括已量化的张量。",
    ),
    "cli-option-group-size": Text(
        "Weights that share a scale; smaller is closer to the original and a little larger. "
        "For --bits 4 and 3, 64 is the advice; for 2, 32.",
        "共用一个缩放系数的权重个数；越小越接近原模型，体积略增。"
        "--bits 4 和 3 时建议用 64，2 时用 32。",
    ),
    "cli-option-asymmetric": Text(
        "Give each group a zero point too (4 bits and below).",
        "每组再加一个零点（仅限 4 位及以下）。",
    ),
    "cli-option-embedding-bits": Text(
        "Bits of the embedding; without it, as --bits.", "嵌入层的位数；省略时同 --bits。"
    ),
    "cli-option-head-bits": Text(
        "Bits of the output head; without it, as --bits.", "输出层的位数；省略时同 --bits。"
    ),
    "cli-option-dry-run": Text(
        "Only print what it would take: size, bits per weight, memory, time, disk; with a target "
        "what is possible, too.",
        "只打印所需的资源：大小、每权重位数、内存、时间、磁盘；指定目标时还有可能的范围。",
    ),
    "cli-option-discard-source": Text(
        "Delete each source file as soon as all that came from it is safe. For devices with "
        "little storage; the checkpoint is gone afterwards.",
        "源文件的内容全部安全写入后立即删除该文件。适用于存储空间小的设备；检查点之后将不复存在。",
    ),
    "cli-option-overwrite": Text(
        "Replace what stands at the output.", "替换输出位置上已有的内容。"
    ),
    "cli-option-calibrate": Text(
        "Calibrate with the prompts that come along: the model reasons about them, and its weights "
        "are fitted to that. Better at the same size; needs time.",
        "用自带的提示校准：模型先对这些提示进行推理，再据此调整权重。大小不变而更准确，但更费时。",
    ),
    "cli-option-calibration-data": Text(
        "Calibrate with this: JSON lines with a question each, which the model continues, or "
        "any text.",
        "用此文件校准：每行一个问题的 JSON Lines（由模型续写），或任意文本。",
    ),
    "cli-option-calibration-samples": Text(
        "Sequences to calibrate with (2 to 4,096).",
        "校准用的序列数（2 至 4,096）。",
    ),
    "cli-option-calibration-text": Text(
        "Write the text it was calibrated with here; `evaluate --calibration-text` then proves "
        "that what measures the model is not in it.",
        "将校准所用的文本写到此处；之后可用 `evaluate --calibration-text` 证明评测内容不在其中。",
    ),
    "cli-option-target-size": Text(
        "Make it fit: the bits of every matrix are chosen so that the bundle has this size "
        "(0.95GB, 700MB) and loses least. Calibrates.",
        "按大小压缩：自动选择每个矩阵的位数，使模型包为指定大小（如 0.95GB、700MB）且损失最小。"
        "会进行校准。",
    ),
    "cli-option-target-bpw": Text(
        "The same, for bits per weight of the whole model (3.3).",
        "同上，按整个模型的每权重位数（如 3.3）。",
    ),
    "cli-option-target-kld": Text(
        "The same, the smallest whose KL divergence is foretold to be at most this (0.05).",
        "同上，选取预计 KL 散度不超过该值（如 0.05）的最小方案。",
    ),
    # inspect
    "cli-inspect": Text(
        "Show what a model is made of.",
        "显示模型的构成。",
        "Size, layers, formats and bits per weight; for a bundle also how it was made and how "
        "far each tensor is from the original.\n\n"
        "  pocketr1 inspect r1-int4 --verify",
        "大小、层数、格式和每权重位数；对模型包还显示其生成方式，以及每个张量与原模型的误差。\n\n"
        "  pocketr1 inspect r1-int4 --verify",
    ),
    "cli-option-verify": Text(
        "Read every byte and check hashes and scales (bundles only).",
        "读取每个字节，校验哈希和缩放系数（仅限模型包）。",
    ),
    "cli-option-tensors": Text("List every tensor.", "列出每个张量。"),
    # run
    "cli-run": Text(
        "Answer one prompt and leave.",
        "回答一个提示后退出。",
        "The reasoning is dimmed, the answer follows; where stdout is a file or a pipe it gets the "
        "answer alone, and the reasoning goes to stderr. `-` as PROMPT reads it from stdin; a "
        "prompt that starts with a dash goes behind `--`.\n\n"
        '  pocketr1 run r1-int4 "What is 12 times 7?"\n'
        "  cat question.txt | pocketr1 run r1-int4 - --json",
        "推理过程以暗色显示，随后是回答；标准输出是文件或管道时只写入回答，推理过程写到标准错误。"
        "PROMPT 为 `-` 时从标准输入读取；以短横线开头的提示请放在 "
        "`--` 之后。\n\n"
        '  pocketr1 run r1-int4 "12乘7等于多少？"\n'
        "  cat question.txt | pocketr1 run r1-int4 - --json",
    ),
    "cli-argument-prompt": Text(
        "What to answer, in quotes; `-` reads it from stdin.",
        "要回答的内容，请加引号；`-` 表示从标准输入读取。",
    ),
    "cli-option-raw": Text(
        "Continue the text as it stands: no chat template, no reasoning split off.",
        "按原文续写：不套用对话模板，也不分离推理过程。",
    ),
    "cli-option-max-tokens": Text(
        "Most tokens to generate, reasoning included. Without it, until the context is full.",
        "生成词元的上限，包括推理过程；省略时直到上下文用完为止。",
    ),
    "cli-option-max-answer-tokens": Text(
        "Most tokens of the answer, counted after the reasoning.",
        "回答的词元上限，从推理结束后算起。",
    ),
    "cli-option-think-budget": Text(
        "Most tokens of the reasoning; it is then closed and the answer follows. 0: no reasoning.",
        "推理的词元上限；达到后结束推理，接着给出回答。0 表示不推理。",
    ),
    "cli-option-loop-check": Text(
        "End reasoning, or an answer, that repeats itself over and over.",
        "推理或回答不断自我重复时将其结束。",
    ),
    "cli-option-temperature": Text(
        "How freely to choose; 0 always takes the likeliest token.",
        "选择的自由程度；0 表示总取最可能的词元。",
    ),
    "cli-option-top-p": Text(
        "Choose among the likeliest tokens that together reach this probability.",
        "只在累计概率达到此值的最可能词元中选择。",
    ),
    "cli-option-top-k": Text(
        "Choose among this many likeliest tokens; 0 takes all.",
        "只在最可能的若干个词元中选择；0 表示不限。",
    ),
    "cli-option-min-p": Text(
        "Leave out tokens less likely than this share of the likeliest.",
        "排除概率低于最大概率此比例的词元。",
    ),
    "cli-option-repetition-penalty": Text(
        "Make tokens that already occurred less likely; 1 is off.",
        "降低已出现词元的概率；1 表示关闭。",
    ),
    "cli-option-seed": Text(
        "Seed of the random numbers; the same seed gives the same text. Without it, a random one.",
        "随机数种子；种子相同则文本相同。省略时随机选取。",
    ),
    "cli-option-system": Text(
        "A system prompt. DeepSeek advises R1 users to do without.",
        "系统提示词。DeepSeek 建议 R1 不使用系统提示词。",
    ),
    "cli-option-stop": Text(
        "End the text before this string; may be given more than once.",
        "在此字符串之前结束文本；可以多次给出。",
    ),
    "cli-option-speculate": Text(
        "Draft tokens and verify several in one step, for speed; the text stays the same. "
        "`lookup` copies from the text so far, a smaller MODEL with the same tokenizer writes "
        "ahead, `off` does neither.",
        "先起草若干词元，再用一步计算一并验证，以提高速度；文本不变。`lookup` 从已有文本中复制，"
        "填写分词器相同的较小 MODEL 则由它先写，`off` 表示关闭。",
    ),
    # chat
    "cli-chat": Text(
        "Talk with a model.",
        "与模型对话。",
        "Ctrl-C stops an answer, Ctrl-D or /quit leaves, /help shows the commands. Conversations "
        "and typed lines are kept on this device, readable by you alone; --no-history keeps "
        "nothing.\n\n"
        "  pocketr1 chat r1-int4",
        "Ctrl-C 停止回答，Ctrl-D 或 /quit 退出，/help 显示命令。对话和输入的内容保存在本机，"
        "仅您本人可读；--no-history 则不保存。\n\n"
        "  pocketr1 chat r1-int4",
    ),
    # bench
    "cli-bench": Text(
        "Measure a model's speed and memory.",
        "测量模型的速度和内存。",
        "A fresh process loads the model and repeats: a prompt of random tokens at once (prefill), "
        "then one token at a time behind it (decode). No prefix is reused and end-of-text is "
        "ignored. Peak memory is the process's largest resident set: interpreter, libraries, K/V "
        "pages, activations and the mapped weights it touched.\n\n"
        "--against measures other engines on their own models beside it, in turns; --sustain "
        "measures for minutes, --scenarios on real questions.\n\n"
        "  pocketr1 bench r1-int4 --prompt-tokens 512 --gen-tokens 64 --threads 2\n"
        "  pocketr1 bench r1-int4 --against llama.cpp,openvino --roofline\n"
        "  pocketr1 bench r1-int4 --sustain 10m --plot sustain.svg",
        "在全新的进程中加载模型并重复测量：先一次处理随机词元组成的提示（预填充），再逐个生成词元"
        "（解码）。不复用任何前缀，忽略文本结束标记。内存峰值是该进程的最大驻留集：解释器、程序库、"
        "K/V 页、激活值以及访问过的映射权重。\n\n"
        "--against 与其他引擎（使用它们自己的模型）轮流对比；--sustain 连续测量数分钟，--scenarios "
        "用真实问题测量。\n\n"
        "  pocketr1 bench r1-int4 --prompt-tokens 512 --gen-tokens 64 --threads 2\n"
        "  pocketr1 bench r1-int4 --against llama.cpp,openvino --roofline\n"
        "  pocketr1 bench r1-int4 --sustain 10m --plot sustain.svg",
    ),
    "cli-option-prompt-tokens": Text("Tokens of the prompt.", "提示的词元数。"),
    "cli-option-gen-tokens": Text("Tokens to generate behind it.", "随后生成的词元数。"),
    "cli-option-repeat": Text("How often to measure.", "测量的次数。"),
    "cli-option-kv-format": Text(
        "K/V cache: f16, f32, or int8, which takes about half of f16's memory.",
        "K/V 缓存：f16、f32 或 int8（约为 f16 内存的一半）。",
    ),
    "cli-option-evaluate-kv-format": Text(
        "The model's K/V cache: f16, f32 or int8. The reference's is f16, so that a model beside "
        "itself shows what int8 costs.",
        "模型的 K/V 缓存：f16、f32 或 int8。参考模型用 f16，因此同一模型自比即可看出 int8 的代价。",
    ),
    "cli-option-full-context": Text(
        "Where the context is full: stop, or slide, which goes on with the first tokens and the "
        "newest and forgets what was between.",
        "上下文写满时：stop 停止；slide 保留开头和最新的词元，忘掉中间部分，继续生成。",
    ),
    "cli-option-kv-formats": Text(
        "K/V cache: f16, f32 or int8. With --against also several, separated by commas: ours gets "
        "a column for each.",
        "K/V 缓存：f16、f32 或 int8。与 --against 合用时可写多个，用逗号分隔：我们的每种各占一列。",
    ),
    "cli-option-against": Text(
        "Engines to measure beside ours, separated by commas: llama.cpp, openvino, ctranslate2. "
        "One that is missing is named and left out.",
        "同场对比的引擎，用逗号分隔：llama.cpp、openvino、ctranslate2。缺少的会列出并略去。",
    ),
    "cli-option-peer-models": Text(
        "Directory with their models; without it, MODEL-peers beside MODEL.",
        "存放它们的模型的目录；不指定时为 MODEL 旁边的 MODEL-peers。",
    ),
    "cli-option-peer-python": Text(
        "Python in which they are installed; without it, this one.",
        "安装了它们的 Python；不指定时为当前的 Python。",
    ),
    "cli-option-long-tokens": Text(
        "Tokens of a long prompt, with --against or --roofline; 0 leaves it out.",
        "长提示的词元数，与 --against 或 --roofline 合用；0 表示跳过。",
    ),
    "cli-option-together": Text(
        "Sequences decoded together, with --against or --roofline; 0 leaves it out.",
        "同时解码的序列数，与 --against 或 --roofline 合用；0 表示跳过。",
    ),
    "cli-option-roofline": Text(
        "Measure memory bandwidth and int8 peak, too, and what of them is reached.",
        "同时测量内存带宽和 int8 峰值，以及达到的比例。",
    ),
    "cli-option-sustain": Text(
        "Decode for that long (10m, 90s), and show speed, temperature and frequency over time.",
        "连续解码这么久（10m、90s），显示速度、温度和频率随时间的变化。",
    ),
    "cli-option-plot": Text(
        "Write the curves of --sustain as SVG.", "把 --sustain 的曲线写成 SVG。"
    ),
    "cli-option-scenarios": Text(
        "Answer real questions: text generation, code completion, mathematical reasoning.",
        "回答真实问题：文本生成、代码补全、数学推理。",
    ),
    "cli-option-steps": Text(
        "With --scenarios: versions of the model to compare, separated by commas, the most precise "
        "first; it is the reference.",
        "与 --scenarios 合用：要比较的各个版本，用逗号分隔，最精确的在前，作为参照。",
    ),
    "cli-option-task": Text(
        "With --steps: problems to solve, one JSON object a line with question and answer.",
        "与 --steps 合用：要解答的题目，每行一个含 question 和 answer 的 JSON 对象。",
    ),
    "cli-option-text": Text(
        "With --steps: text for perplexity and divergence; without it, the questions.",
        "与 --steps 合用：计算困惑度和散度的文本；不指定时用这些问题。",
    ),
    # evaluate
    "cli-evaluate": Text(
        "Measure what a model lost beside its reference, and judge it: PASS or FAIL.",
        "测量模型相对于参照模型的损失，并给出结论：通过或未通过。",
        "Both models solve the same problems with the same random numbers, and read the same "
        "tokens side by side. FAIL (exit code 1) where the upper bound of the 95% interval of what "
        "was lost is above a limit. Without --reference there are accuracy and perplexity, and no "
        "verdict.\n\n"
        "  pocketr1 evaluate r1-int4 --reference DeepSeek-R1-Distill-Qwen-1.5B --task gsm8k.jsonl",
        "两个模型用相同的随机数解答相同的题目，并逐词元并排读取相同的内容。若损失的 95% 区间上界"
        "超过限值，则未通过（退出码 1）。不指定 --reference 时只给出正确率和困惑度，没有结论。\n\n"
        "  pocketr1 evaluate r1-int4 --reference DeepSeek-R1-Distill-Qwen-1.5B --task gsm8k.jsonl",
    ),
    "cli-option-reference": Text(
        "The model to compare with, usually the checkpoint this one was made from.",
        "用来比较的模型，通常是生成它的检查点。",
    ),
    "cli-option-evaluate-text": Text(
        "A text for perplexity and divergence. A file that ends with .jsonl holds conversations, "
        "one a line with question, reasoning and answer, which are told apart.",
        "用来计算困惑度和散度的文本。以 .jsonl 结尾的文件每行是一段对话，含 question、reasoning 和 "
        "answer，三部分分别计算。",
    ),
    "cli-option-evaluate-task": Text(
        "Problems to solve, one JSON object a line with question and answer (GSM8K's and CMATH's "
        "own files too); `tiny` is Tiny R1's. May be given several times.",
        "要解答的题目，每行一个含 question 和 answer 的 JSON 对象（GSM8K、CMATH 的原文件也可以）；"
        "`tiny` 是 Tiny R1 自带的题目。可多次指定。",
    ),
    "cli-option-limit": Text("Use the first N problems of each task.", "每个任务只用前 N 道题。"),
    "cli-option-seeds": Text(
        "Answer every problem N times, with different random numbers.",
        "每道题用不同的随机数作答 N 次。",
    ),
    "cli-option-evaluate-max-tokens": Text(
        "Most tokens of an answer, thought included.", "每个回答（含思考）的词元上限。"
    ),
    "cli-option-batch": Text(
        "Answers that are written together; fewer take less memory.",
        "同时生成的回答数；越少越省内存。",
    ),
    "cli-option-text-tokens": Text(
        "Use the first N tokens of the text.", "只用文本的前 N 个词元。"
    ),
    "cli-option-window": Text(
        "Tokens of the text that are read in one go; the second half of them is scored.",
        "文本每次读取的词元数，其中后一半计分。",
    ),
    "cli-option-max-drop": Text(
        "Points of accuracy that may be lost in a task, with 95% confidence.",
        "每个任务允许损失的正确率（百分点），置信度 95%。",
    ),
    "cli-option-max-kld": Text(
        "Mean KL divergence that is allowed, nats per token, with 95% confidence.",
        "允许的平均 KL 散度（奈特/词元），置信度 95%。",
    ),
    "cli-option-evaluate-calibration": Text(
        "The text the model was calibrated with, to prove that nothing of it is measured on.",
        "校准该模型所用的文本，用来证明评测内容不在其中。",
    ),
    "cli-option-html": Text(
        "Also write the report as a page with plots; it needs no network.",
        "另将报告写成带图表的网页；打开时不需要网络。",
    ),
    "cli-option-gate-text": Text(
        "Judge the new bundle on this text before it gets its name; needs --max-kld.",
        "在生成最终目录之前，用此文本评测新模型包；需同时指定 --max-kld。",
    ),
    "cli-option-gate-task": Text(
        "Judge the new bundle on these problems before it gets its name (as evaluate --task). May "
        "be given several times.",
        "在生成最终目录之前，用这些题目评测新模型包（同 evaluate --task）。可多次指定。",
    ),
    "cli-option-gate-limit": Text(
        "Judge with the first N problems of each task.", "评测时每个任务只用前 N 道题。"
    ),
    "cli-option-gate-html": Text("Write the judgement's report as a page.", "将评测报告写成网页。"),
    "cli-option-keep-failed": Text(
        "Give the bundle its name although it was judged FAIL; bundle.json says so.",
        "即使未通过评测也生成模型包；bundle.json 中会注明。",
    ),
    # doctor
    "cli-doctor": Text(
        "Find out what this device can run, and which model to take.",
        "检查这台设备能运行什么，并建议选用哪个模型。",
        "Looks at cores, instruction sets, memory, storage and sensors; measures for a few seconds "
        "how fast weights get through memory and how fast the storage is (a temporary file of at "
        "most 256 MB, gone afterwards); says which models fit, how fast they will answer, and what "
        "to run next. It needs no network.\n\n"
        "  pocketr1 doctor",
        "查看处理器核心、指令集、内存、存储和传感器；用几秒钟测量权重经过内存的速度和存储的速度"
        "（临时文件不超过 256 MB，用后即删）；说明哪些模型放得下、回答有多快，"
        "以及下一步运行什么命令。不需要网络。\n\n"
        "  pocketr1 doctor",
    ),
    "cli-option-path": Text(
        "Where a model would be stored. Without it, the current directory.",
        "模型将存放的位置；省略时为当前目录。",
    ),
}
