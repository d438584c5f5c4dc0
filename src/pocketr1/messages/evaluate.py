"""Texts about evaluating a model: mistakes, verdicts, advice, and the words of the report."""

from __future__ import annotations

from pocketr1.messages.catalog import Text

__all__ = ["TEXTS"]

TEXTS: dict[str, Text] = {
    "evaluate-value": Text(
        "{option} cannot be {value!r}.",
        "{option} 不能取值 {value!r}。",
        "Allowed is: {allowed}.",
        "允许的取值：{allowed}。",
    ),
    "evaluate-greedy-seeds": Text(
        "At temperature 0 every one of {value} runs would be the same.",
        "温度为 0 时，{value} 次作答会完全相同。",
        "Leave --seeds out, or choose a temperature above 0.",
        "请去掉 --seeds，或使用大于 0 的温度。",
    ),
    "evaluate-nothing": Text(
        "There is nothing to measure on.",
        "没有可用来测量的内容。",
        "Give a text (--text FILE), a task (--task FILE.jsonl), or both; `--task tiny` is Tiny "
        "R1's own.",
        "请指定文本（--text 文件）或任务（--task 文件.jsonl），也可两者都给；"
        "`--task tiny` 是 Tiny R1 自带的任务。",
    ),
    "evaluate-needs-reference": Text(
        "{option} needs a reference to compare with.",
        "{option} 需要一个参照模型。",
        "Name the model it was made from: --reference CHECKPOINT.",
        "请指定它的来源模型：--reference 检查点。",
    ),
    "evaluate-text": Text(
        "The text {path} cannot be used: {reason}.",
        "无法使用文本 {path}：{reason}。",
        "Name a text file in UTF-8; a file that ends with .jsonl holds conversations, one a line: "
        '{{"question": "…", "reasoning": "…", "answer": "…"}}.',
        "请指定一个 UTF-8 文本文件；以 .jsonl 结尾的文件每行是一段对话："
        '{{"question": "…", "reasoning": "…", "answer": "…"}}。',
    ),
    "evaluate-gate-calibration": Text(
        "{path} is in the calibration text: {shared} of its {grams} stretches of 13 words, for "
        "example: {example}.",
        "{path} 出现在校准文本中：其 {grams} 个 13 词片段中有 {shared} 个，例如：{example}。",
        "Give the gate another task or text, or calibrate with other prompts "
        "(--calibration-data FILE).",
        "请为关卡换用其他任务或文本，或换用其他校准提示（--calibration-data 文件）。",
    ),
    "evaluate-calibration-differs": Text(
        "{path} is not the text that this bundle was calibrated with (SHA-256 {sha256}).",
        "{path} 不是校准这个模型包时所用的文本（SHA-256 {sha256}）。",
        "Give the file that `compress` wrote as --calibration-text.",
        "请指定 `compress` 当时以 --calibration-text 写出的文件。",
    ),
    "evaluate-page": Text(
        "The report cannot be written to {path}: {reason}.",
        "无法将报告写入 {path}：{reason}。",
        "Choose a file in a directory that exists and that you may write in.",
        "请选择一个存在且有写入权限的目录中的文件。",
    ),
    "evaluate-gate-nothing": Text(
        "The gate has nothing to judge with: a task is missing, or a limit for the divergence.",
        "评测关卡没有可供判断的内容：缺少任务，或缺少散度上限。",
        "Give --gate-task FILE.jsonl, or --gate-text FILE together with --max-kld.",
        "请指定 --gate-task 文件.jsonl，或同时指定 --gate-text 文件 和 --max-kld。",
    ),
    # what a check found
    "evaluate-check-drop-pass": Text(
        "{subject}: at most {upper} points lost ({value} seen); {limit} are allowed.",
        "{subject}：最多损失 {upper} 个百分点（实测 {value}），允许 {limit}。",
    ),
    "evaluate-check-drop-open": Text(
        "{subject}: {value} points lost, but up to {upper} cannot be ruled out; {limit} are "
        "allowed.",
        "{subject}：损失 {value} 个百分点，但不能排除高达 {upper}，允许 {limit}。",
    ),
    "evaluate-check-drop-fail": Text(
        "{subject}: {value} points lost (up to {upper}), more than the {limit} allowed.",
        "{subject}：损失 {value} 个百分点（最多 {upper}），超过允许的 {limit}。",
    ),
    "evaluate-check-kld-pass": Text(
        "KL divergence at most {upper} nats per token ({value} seen); {limit} are allowed.",
        "KL 散度每词元最多 {upper} 奈特（实测 {value}），允许 {limit}。",
    ),
    "evaluate-check-kld-open": Text(
        "KL divergence {value} nats per token, but up to {upper} cannot be ruled out; {limit} are "
        "allowed.",
        "KL 散度每词元 {value} 奈特，但不能排除高达 {upper}，允许 {limit}。",
    ),
    "evaluate-check-kld-fail": Text(
        "KL divergence {value} nats per token (up to {upper}), more than the {limit} allowed.",
        "KL 散度每词元 {value} 奈特（最多 {upper}），超过允许的 {limit}。",
    ),
    "evaluate-check-separation-pass": Text(
        "{value}% of what was measured on stands in the calibration text; {limit}% are allowed.",
        "评测内容中有 {value}% 出现在校准文本里，允许 {limit}%。",
    ),
    "evaluate-check-separation-fail": Text(
        "{value}% of what was measured on stands in the calibration text: the figures are too "
        "good to be true ({limit}% are allowed).",
        "评测内容中有 {value}% 出现在校准文本里，结果偏好、不可信（允许 {limit}%）。",
    ),
    # what a reader should know
    "evaluate-remark-hard": Text(
        "{task}: only {right:.0f}% are solved without any compression; a model that cannot do a "
        "task has little to lose in it.",
        "{task}：不压缩也只能答对 {right:.0f}%；模型本来就不会的任务，看不出压缩的损失。",
    ),
    "evaluate-remark-truncated-model": Text(
        "{task}: {count} of {answers} replies of the model were cut off; more --max-tokens (or "
        "--max-context) would tell more.",
        "{task}：模型的 {answers} 个回答中有 {count} 个被截断；增大 --max-tokens"
        "（或 --max-context）更能说明问题。",
    ),
    "evaluate-remark-truncated-reference": Text(
        "{task}: {count} of {answers} replies of the reference were cut off; more --max-tokens (or "
        "--max-context) would tell more.",
        "{task}：参照模型的 {answers} 个回答中有 {count} 个被截断；增大 --max-tokens"
        "（或 --max-context）更能说明问题。",
    ),
    "evaluate-remark-calibration": Text(
        "This bundle was calibrated. Give the text (--calibration-text FILE) to prove that nothing "
        "of it was measured on.",
        "这个模型包经过校准。请提供校准文本（--calibration-text 文件），以证明评测内容不在其中。",
    ),
    # what to change
    "evaluate-advice-problems": Text(
        "{task}: {n} problems are too few to tell; about {needed} would do, if nothing else "
        "changes.",
        "{task}：{n} 道题不足以得出结论；若其他不变，大约需要 {needed} 道。",
    ),
    "evaluate-advice-separation": Text(
        "Measure on other texts than those it was calibrated with.",
        "请换用与校准文本不同的内容进行评测。",
    ),
    "evaluate-advice-samples": Text(
        "Calibrate with more samples: --calibration-samples {samples} (it had {had}).",
        "增加校准样本：--calibration-samples {samples}（当前为 {had}）。",
    ),
    "evaluate-advice-group": Text(
        "Make groups smaller: --group-size {size}.", "缩小分组：--group-size {size}。"
    ),
    "evaluate-advice-ends": Text(
        "Keep more bits where tokens come in and out: {options}.",
        "给输入、输出两端的矩阵更多位数：{options}。",
    ),
    "evaluate-advice-bits": Text("Take more bits: --bits {bits}.", "提高位数：--bits {bits}。"),
    "evaluate-advice-tensors": Text(
        "The largest errors are in {tensors}.", "误差最大的张量：{tensors}。"
    ),
    # the words of the report
    "evaluate-title": Text("Evaluation of {model}", "{model} 的评测报告"),
    "evaluate-headline": Text("{title}: {verdict}", "{title}：{verdict}"),
    "evaluate-pass": Text("PASS", "通过 PASS"),
    "evaluate-fail": Text("FAIL", "未通过 FAIL"),
    "evaluate-no-verdict": Text(
        "no verdict: without a reference nothing can be compared",
        "没有结论：缺少参照模型，无从比较",
    ),
    "evaluate-no-check": Text(
        "no verdict: there is neither a task nor a limit for the divergence (--max-kld)",
        "没有结论：既没有任务，也没有散度上限（--max-kld）",
    ),
    "evaluate-verdict": Text("verdict", "结论"),
    "evaluate-why": Text(
        "A figure passes if the upper bound of its 95% interval keeps the limit: what few problems "
        "cannot rule out does not pass by luck.",
        "只有当 95% 区间的上界不超过限值时才算通过：题目太少、不能排除的损失，不会靠运气过关。",
    ),
    "evaluate-model": Text("model", "本模型"),
    "evaluate-reference": Text("reference", "参照模型"),
    "evaluate-sizes": Text("Sizes", "大小"),
    "evaluate-sizes-of": Text("Sizes of the {who}", "{who}的大小"),
    "evaluate-size": Text("size of all files", "全部文件大小"),
    "evaluate-bits": Text("bits per weight (decoder)", "每权重位数（解码层）"),
    "evaluate-parameters": Text("parameters (decoder)", "参数量（解码层）"),
    "evaluate-peak": Text("peak memory, one prompt", "内存峰值（一次问答）"),
    "evaluate-formats": Text("formats (tensors)", "格式（张量数）"),
    "evaluate-task": Text("Task {task}", "任务 {task}"),
    "evaluate-problems": Text("problems x seeds", "题目数 x 种子数"),
    "evaluate-accuracy": Text("right (95%)", "正确率（95% 区间）"),
    "evaluate-reference-accuracy": Text("right, reference (95%)", "参照模型正确率（95% 区间）"),
    "evaluate-drop": Text("lost, points (95%)", "损失，百分点（95% 区间）"),
    "evaluate-flips": Text("answers lost, gained (p)", "变错、变对的答案数（p 值）"),
    "evaluate-tokens": Text("tokens a reply (reference)", "平均词元数（参照模型）"),
    "evaluate-tokens-alone": Text("tokens a reply", "平均词元数"),
    "evaluate-truncated": Text("cut off (reference)", "被截断（参照模型）"),
    "evaluate-truncated-alone": Text("cut off", "被截断"),
    "evaluate-looping": Text("in a loop (reference)", "陷入循环（参照模型）"),
    "evaluate-looping-alone": Text("in a loop", "陷入循环"),
    "evaluate-group": Text("group {name}", "分组：{name}"),
    "evaluate-group-lost": Text("{points} points lost", "损失 {points} 个百分点"),
    "evaluate-lost": Text(
        "Lost: what the reference solves and the model does not",
        "丢失的题目：参照模型答对而本模型答错",
    ),
    "evaluate-question": Text("question", "题目"),
    "evaluate-expected": Text("expected", "标准答案"),
    "evaluate-given": Text("model", "本模型"),
    "evaluate-reference-given": Text("reference", "参照模型"),
    "evaluate-divergence": Text("Divergence", "散度"),
    "evaluate-divergence-text": Text(
        "Divergence from the reference on {path}", "在 {path} 上与参照模型的散度"
    ),
    "evaluate-divergence-replies": Text(
        "Divergence on the reference's own replies", "在参照模型自己的回答上的散度"
    ),
    "evaluate-perplexity-on": Text("Perplexity on {path}", "在 {path} 上的困惑度"),
    "evaluate-scored": Text("tokens scored", "计分的词元数"),
    "evaluate-perplexity": Text("perplexity (reference)", "困惑度（参照模型）"),
    "evaluate-perplexity-alone": Text("perplexity", "困惑度"),
    "evaluate-kld": Text("KL divergence, nats a token (95%)", "KL 散度，奈特/词元（95% 区间）"),
    "evaluate-kld-quantiles": Text("median, 99%, largest", "中位数、99% 分位、最大值"),
    "evaluate-top1": Text("same likeliest token", "最可能的词元相同"),
    "evaluate-rms": Text("RMS of Δp", "Δp 的均方根"),
    "evaluate-part-whole": Text("whole", "整体"),
    "evaluate-part-prompt": Text("prompt", "提示"),
    "evaluate-part-reasoning": Text("reasoning", "思考"),
    "evaluate-part-answer": Text("answer", "回答"),
    "evaluate-part": Text("KL divergence of the {part} (tokens)", "{part}部分的 KL 散度（词元数）"),
    "evaluate-worst": Text("Tensors with the largest errors", "误差最大的张量"),
    "evaluate-relative": Text("relative error (RMS)", "相对误差（均方根）"),
    "evaluate-separation": Text("Calibration text", "校准文本"),
    "evaluate-separation-none": Text(
        "none: this model was made without a calibration text, so nothing can have leaked into it",
        "无：该模型未使用校准文本，评测内容不可能混入",
    ),
    "evaluate-separation-unknown": Text(
        "SHA-256 {sha256}; not at hand, so that nothing is proven",
        "SHA-256 {sha256}；未提供该文件，无法证明",
    ),
    "evaluate-separation-shared": Text(
        "SHA-256 {sha256}; {shared} of {grams} stretches of 13 words measured on stand in it, "
        "for example: {example}",
        "SHA-256 {sha256}；评测内容的 {grams} 个 13 词片段中有 {shared} 个出现在其中，"
        "例如：{example}",
    ),
    "evaluate-separation-apart": Text(
        "SHA-256 {sha256}; of {grams} stretches of 13 words measured on, {shared} stand in it",
        "SHA-256 {sha256}；评测内容的 {grams} 个 13 词片段中有 {shared} 个出现在其中",
    ),
    "evaluate-remarks": Text("Remarks", "说明"),
    "evaluate-advice": Text("What to change", "改进建议"),
    "evaluate-repeat": Text("To repeat this", "复现信息"),
    "evaluate-machine": Text("machine", "机器"),
    "evaluate-settings": Text("settings", "设置"),
    "evaluate-files": Text("measured on", "评测文件"),
    "evaluate-seconds": Text("time", "用时"),
    "evaluate-plot-accuracy": Text(
        "Right answers, %, with 95% intervals", "正确率（%），附 95% 区间"
    ),
    "evaluate-plot-drop": Text(
        "Accuracy lost, points: what was seen, the 95% interval, and the limit",
        "损失的正确率（百分点）：实测值、95% 区间与限值",
    ),
    "evaluate-plot-kld": Text(
        "KL divergence of single tokens, nats (share of tokens)",
        "单个词元的 KL 散度，奈特（词元占比）",
    ),
    "evaluate-plot-length": Text(
        "Tokens of a reply (share of replies)", "回答的词元数（回答占比）"
    ),
    "evaluate-plot-tensors": Text("Relative error of a tensor, %", "张量的相对误差（%）"),
    "evaluate-plot-limit": Text("limit {value}", "限值 {value}"),
    "cli-evaluate-written": Text("The report stands in {path}.", "报告已写入 {path}。"),
    "cli-progress-text": Text("Reading the text", "读取文本"),
    "cli-progress-answers": Text("Answering", "作答"),
    "cli-progress-replies": Text("Comparing replies", "比较回答"),
}
