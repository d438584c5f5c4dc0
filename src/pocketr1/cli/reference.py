"""The page ``docs/reference/cli.md``, as ``python -m pocketr1.cli.reference`` prints it."""

from __future__ import annotations

from typing import Any

import typer

from pocketr1 import messages
from pocketr1.cli.app import build_app
from pocketr1.cli.commands import parameter_rows, usage

__all__ = ["reference"]


_FOR_PROGRAMS = """\
## For programs

With `--json` stdout holds one JSON document and nothing else; progress and remarks stay on stderr.
A failure is a document too, with exit code 1 or 2:
`{"error": {"code", "what", "mend", "params"}}`. `code` is stable, `what` and `mend` are in the
user's language.

`run`: `text` all that was written, `reasoning`, `answer`, `token_ids` (without the end-of-text
token), `prompt_tokens`, `completion_tokens`, `finish_reason`, `context_full`, `thought_closed`,
`answer_closed`, `speculation` (tokens drafted, accepted and rejected, and steps behind the prompt;
null without speculation), `timings` in seconds (`load_s`, `tokenizer_s`, `prompt_s` template and
encoding, `prefill_s`, `decode_s`, `ttft_s` from the question to the first token), `seed`, `events`,
`memory`, `kv_store`.

`kv_store`: null with `--kv-store off`, otherwise `path`, `restored_tokens`, `restore_s`,
`stored_pages`, `stored_kv_bytes` and `written_bytes`, which were given to the system to write, log
included.

`thought_closed`: why the reasoning was closed for the model, `budget` or `loop`, otherwise null.
`answer_closed`: `loop` where the answer went in circles and was ended (`finish_reason` is then
`length`), otherwise null.

`events` is what was done for others' memory, for heat or battery: `kind` (`threads`, `paused`,
`resumed`, `gave-back`, `took-again`, `battery-low` or `unreadable`), `seconds` since loading,
`code`, and what its text names, such as `celsius`, `threads` and `before`, or `megabytes`.

`finish_reason`: `stop` the model ended or a stop string came; `length` a limit of tokens was
reached, or the context is full (`context_full`); `cancelled` Ctrl-C (exit code 1).

`bench`: `prefill_tok_s` and `decode_tok_s` (each `median`, `min`, `max`), `load_s`,
`first_logits_s` (loading and the first logits of one token), `ttft_s` (from the ids of the prompt
to the first token), `peak_rss_mb`, `weights_mb` (10^6 bytes), `bits_per_weight`, `isa`, `threads`,
`kv_format`, `prompt_tokens`, `gen_tokens`, `repeat`, `machine`, `model`, `memory`.

The `memory` of both, where there is a budget (else null): `resident_bytes` of weights,
`streamed_bytes_per_token`, `storage_bytes_s` (the best of when the model was loaded and since),
`direct` (past the page cache), `read_bound_tok_s` (null where nothing is streamed),
`reached_tok_s` and `share`.

`bench` with `--against` or `--roofline`: `kind` (`comparison`), `machine`, `threads`, `options`,
`engines`, `missing` (peers left out: `engine`, `code`, `params`) and `roofline`. An engine has
`engine`, `model`, `versions`, `settings`, `weights_mb`, `bits_per_weight`, `figures` (`median`,
`min`, `max` and `values`, one a round: `load_cold_s` and `load_warm_s` to the first logits,
`ttft_s`, `prefill_tok_s`, `prefill_long_tok_s`, `decode_tok_s`, `decode_long_tok_s`,
`together_tok_s`, `peak_rss_mb`, `peak_rss_long_mb`) and `gain`, how many times better ours was.
`roofline`: `read_bytes_s`, `products_s`, `demand` of a token (`bytes`, `products`, `kv_bytes`),
`decode_bound_tok_s`, `prefill_bound_tok_s`, `rounds`.

`bench --sustain`: `kind` (`sustain`), `tok_s`, `kept` (speed of the last tenth over the first),
`samples` (`seconds`, `tok_s`, `celsius`, `mhz`), `tokens`, `seconds`, `isa`, `threads`, `events`,
`machine`.

`bench --scenarios`: `kind` (`scenarios`), `scenarios` (`name`, `first_load_s`, `cold`, `ttft_s`,
`tok_s`, `memory_gb`, `claim`), `steps` (`model`, `format`, `bits_per_weight`, `weights_mb`,
`peak_rss_mb`, `prefill_tok_s`, `decode_tok_s`, `perplexity`, `kld_mean`, `top1_agreement`,
`accuracy`, `accuracy_interval`, `problems`), `machine`.

`cache list` and `cache show`: `path`, `file_bytes` (with log and reserve), `used_bytes`,
`limit_bytes`, `written_bytes` (by all processes so far that ended properly), `models` (`id`,
`name`, `kv_format`, `pages`, `tokens`, `prompts`, `kv_bytes`, `used` in seconds since 1970,
`prefill` and `restore` in tokens a second). `cache prune`: `pages`, `before` and `after` in bytes.
`cache verify`: `pages`, `problems`.

`inspect`: `kind` (`bundle` or `checkpoint`), `path`, `model` as in bundle.json, `file_bytes`,
`weight_bytes`, `parameters`, `decoder_parameters`, `bits_per_weight`, `decoder_bits_per_weight`,
`kv_bytes_per_token`, `created_by`, `plan`, `source`, `calibration`, `distilled`, `gate` (the
judgement it was published with), `verified`; with `--tensors` also `tensors`.

`inspect --budget`: also `memory`: the plan in bytes (`budget`, `process`, `kv`, `scratch`, `ring`,
`resident`, `streamed` for a token, `looked_up`, `smallest` budget), `max_context`, `kv_format`,
`storage_bytes_s` and `memory_bytes_s` as measured, and tokens per second at most
(`storage_bound_tok_s`, `memory_bound_tok_s`, `speed_bound_tok_s`).

`compress`: `bundle` (the report on what was made), `seconds`, `resumed_segments`,
`peak_rss_bytes`, `evaluation` (the document of an evaluation, where there is a gate; where that
failed, in the error's `params`), `carried_tensors` and `requantized_tensors` (of a source that was
quantized already: taken as they are, or decoded and quantized anew) and `carrying_format` (that
would have carried most of the latter, or null); with `--dry-run` the
estimate: `source_bytes`, `parameters`, `output_bytes`, `weight_bytes`, `bits_per_weight`,
`decoder_bits_per_weight`, `seconds`, `peak_memory_bytes`, `disk_needed_bytes`, `disk_free_bytes`,
`run_memory_bytes`, `kv_bytes_per_token`. With a target it has `target` (`size`,
`bits_per_weight` or `divergence`), `smallest_bytes`, `largest_bytes`, `smallest_bits_per_weight`
and `largest_bits_per_weight` (what is possible), `matrices` (that will be measured) and
`sensitivity_seconds` (what that takes of `seconds`) in place of `weight_bytes` and the bits per
weight; `output_bytes` and what follows from it are at most so.

`distill`: `bundle` (the report on what was made), `kld_before` and `kld_after` (nats a token, by
the engine, on text that was not trained on), `steps`, `seconds`.

`export`: `path`, `format`, `file_bytes`, `parameters`, `types` (matrices of each), `matrices`,
`exact` (matrices that lost nothing), `seconds`.

`evaluate`: `kind` (`evaluation`), `verdict` (`pass`, `fail`, or null where nothing is judged; exit
code 1 with `fail`), `model` and `reference` (as `inspect`, and `peak_rss_bytes` of a process that
answers one prompt), `text` (`path`, `sha256`, `tokens`, `used`), `whole_of` (`text` or `replies`:
what the following are of), `perplexity`, `reference_perplexity`, `tokens` scored, `kld_mean`,
`kld_interval`, `kld_median`, `kld_p99`, `kld_max` (nats per token), `top1_agreement`, `rms_dp`;
`parts` the same for `prompt`, `reasoning` and `answer` of replies (null where there is none);
`kld_histogram` (`edges`, `counts`); `tasks`; `worst_tensors` (`name`, `format`, `shape`,
`relative_rms`); `separation` from the calibration text (`status`: `none`, `apart`, `shared`,
`unknown`); `checks` (`kind`: `drop`, `kld`, `separation`; `subject`, `value`, `upper`, `limit`,
`passed`); `remarks` and `advice` (`code`, `params`); `settings`, `machine`, `seconds`. What there
is nothing of, or is infinite, is null. A task has `name`, `path`, `sha256`, `n` problems, `seeds`,
`accuracy`, `accuracy_interval`, `reference_accuracy`, `reference_interval`, `drop` with
`drop_interval` and `p_value`, `flips` (answers `lost` and `gained`), and for both models
`mean_tokens`, `truncated` and `looping` (answers; `reference_mean_tokens`, `reference_truncated`,
`reference_looping`); `groups` the same by group; `lost` some problems that only the reference
solves (`question`, `expected`, `given`, `reference_given`).

`doctor`: what was found, in bytes and bytes per second, `null` where it is unknown: `system`,
`cpu`, `kernels`, `memory`, `storage`, `thermal`, `battery`, `load`, `speed` (`read` the bandwidth,
`multiply` by weight format); `models` every candidate with `bundle_bytes`, `memory_bytes`,
`storage_bytes` (to make it, at most), `tok_s` (least and most) and `fits`; `advice` with `best`
(one of the models, or `null`), `command`, `run_budget`, `passed_over` (an abler one that fits and
is slower than one reads, or `null`), `threads`, `memory_missing` and `storage_missing`.
"""


def reference() -> str:
    """Return the page, in English."""
    messages.set_language("en")
    try:
        group: Any = typer.main.get_command(build_app())
        context = group.make_context("pocketr1", ["--lang", "en"], resilient_parsing=True)
        lines = [
            "# The command line",
            "",
            "Made from the commands themselves: `python -m pocketr1.cli.reference`.",
            "",
            *_section(group, context),
        ]
        for name, command in group.commands.items():
            inner = command.make_context(name, [], parent=context, resilient_parsing=True)
            lines += ["", f"## pocketr1 {name}", "", *_section(command, inner)]
        return "\n".join([*lines, "", _FOR_PROGRAMS])
    finally:
        messages.set_language(None)


def _section(command: Any, context: Any) -> list[str]:
    lines = [f"`{usage(command, context).split(' ', 1)[1]}`", ""]
    lines += [messages.text(command.help), ""]
    details = messages.text(command.help, "mend")
    lines += [_code_blocks(details), ""] if details else []
    lines += ["| | |", "|---|---|"]
    for kind in ("argument", "option"):
        for term, text in parameter_rows(command, context, kind):
            lines.append(f"| `{term}` | {text} |")
    return lines


def _code_blocks(text: str) -> str:
    blocks = text.split("\n\n")
    return "\n\n".join(
        "```\n" + "\n".join(line[2:] for line in block.split("\n")) + "\n```"
        if block.startswith("  ")
        else block
        for block in blocks
    )


if __name__ == "__main__":
    print(reference(), end="")
