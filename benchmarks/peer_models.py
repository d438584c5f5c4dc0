"""Make the other engines' models of a checkpoint, each with the engine's own tools.

    python benchmarks/peer_models.py CHECKPOINT OUT --bits 4 [--engines llama.cpp,openvino] \\
        [--llama-source DIR]

writes OUT/llama.cpp/*.gguf, OUT/openvino/* and OUT/ctranslate2/*, as `pocketr1 bench --against`
looks for them; what is there already stays. Runs in an environment with the extras `peers` and
`peer-models`. llama.cpp's converter comes with the source distribution of llama-cpp-python, which
--llama-source names, unpacked; its quantizer is a function of the library itself.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

# llama.cpp's file types, as llama.h numbers them. 4 bits: the plain one, and the usual choice.
GGUF = {4: {"q4_0": 2, "q4_k_m": 15}, 8: {"q8_0": 7}}
SHARE = {4: 0.32, 8: 0.54}  # of a 16-bit checkpoint that such a file takes
# What optimum-cli takes. Groups of 128 and symmetric: OpenVINO's own default for CPUs.
OPENVINO = {
    4: ["--weight-format", "int4", "--group-size", "128", "--sym", "--ratio", "1.0"],
    8: ["--weight-format", "int8"],
}

# The tokenizer of our random checkpoints splits text in a way that llama.cpp's converter does not
# know, and merges nothing, without which its loader refuses the file. With this before it, the
# converter names a splitting it knows, and writes a merge of two bytes that no text has. Such
# a model gets random ids anyway.
CONVERT = """
import runpy, sys
from pathlib import Path
del sys.argv[0]
sys.path.insert(0, str(Path(sys.argv[0]).parent))
from conversion import base
known = base.TextModel.get_vocab_base_pre
def named(self, tokenizer):
    try:
        return known(self, tokenizer)
    except NotImplementedError:
        return "qwen2"
base.TextModel.get_vocab_base_pre = named
add = base.gguf.SpecialVocab.add_to_gguf
def merged(self, writer, *rest, **more):
    if self.load_merges and not self.merges:
        self.merges = ["\u00ff \u00ff"]
    return add(self, writer, *rest, **more)
base.gguf.SpecialVocab.add_to_gguf = merged
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def make(out: Path, write: Callable[[Path], None]) -> None:
    """Have ``write`` make ``out`` under another name, and rename it when it is complete.

    Nothing is left of what failed: half a model of 8 billion weights takes 14 GB.
    """
    if out.exists():
        print(f"{out}: there already", file=sys.stderr)
        return
    partial = out.with_name(out.name + ".partial")
    _remove(partial)
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        write(partial)
    except BaseException:
        _remove(partial)
        raise
    partial.rename(out)
    print(f"{out}: made", file=sys.stderr)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


def need(directory: Path, size: int) -> None:
    """Raise OSError where fewer than ``size`` bytes are free for ``directory``."""
    directory.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(directory).free
    if free < size:
        raise OSError(f"{size / 1e9:.1f} GB of disk are needed, {free / 1e9:.1f} GB are free")


def run(*command: str | Path) -> None:
    """Run a tool; nothing of it may reach the network."""
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "DO_NOT_TRACK": "1"}
    subprocess.run([str(part) for part in command], check=True, env={**os.environ, **offline})


def llama_cpp(checkpoint: Path, out: Path, bits: int, source: Path) -> None:
    """Convert to F16 once, quantize to each type, drop the F16 file."""
    wanted = {name: out / f"{name}.gguf" for name in GGUF[bits]}
    if all(path.exists() for path in wanted.values()):
        return
    half = out / "f16.gguf.intermediate"
    weights = sum(path.stat().st_size for path in checkpoint.glob("*.safetensors"))
    missing = [name for name, path in wanted.items() if not path.exists()]
    parts = SHARE[bits] * len(missing) + (not half.exists())
    need(out, int(weights * parts))
    converter = source / "vendor" / "llama.cpp" / "convert_hf_to_gguf.py"
    make(
        half,
        lambda partial: run(
            sys.executable, "-c", CONVERT, converter, checkpoint,
            "--outfile", partial, "--outtype", "f16",
        ),
    )  # fmt: skip
    for name, path in wanted.items():
        make(path, lambda partial, name=name: quantize(half, partial, GGUF[bits][name]))
    half.unlink()


def quantize(source: Path, out: Path, file_type: int) -> None:
    """Call llama.cpp's quantizer with its defaults, and see that llama.cpp loads what it made."""
    import llama_cpp

    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype = file_type
    status = llama_cpp.llama_model_quantize(
        str(source).encode(), str(out).encode(), ctypes.byref(parameters)
    )
    if status != 0:
        raise OSError(f"llama_model_quantize returned {status}")
    loading = llama_cpp.llama_model_default_params()
    loading.n_gpu_layers, loading.vocab_only = 0, True
    model = llama_cpp.llama_model_load_from_file(str(out).encode(), loading)
    if not model:
        raise OSError(f"llama.cpp cannot load {out}, which it made itself")
    llama_cpp.llama_model_free(model)


def openvino(checkpoint: Path, out: Path, bits: int) -> None:
    """Export by optimum-intel, which compresses by NNCF."""
    tool = Path(sys.executable).with_name("optimum-cli")
    options = ["--task", "text-generation-with-past", *OPENVINO[bits]]
    make(
        out / f"int{bits}",
        lambda partial: run(tool, "export", "openvino", "--model", checkpoint, *options, partial),
    )


def ctranslate2(checkpoint: Path, out: Path, bits: int) -> None:
    """Convert with int8 weights, the only compressed ones it has."""
    if bits != 8:
        return
    tool = Path(sys.executable).with_name("ct2-transformers-converter")
    make(
        out / "int8",
        lambda partial: run(
            tool, "--model", checkpoint, "--quantization", "int8", "--low_cpu_mem_usage",
            "--output_dir", partial,
        ),
    )  # fmt: skip


def main() -> int:
    """Run the command line; an engine whose tools are missing or fail does not stop the others."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--bits", type=int, choices=(4, 8), required=True)
    parser.add_argument("--engines", default="llama.cpp,openvino,ctranslate2", metavar="NAMES")
    parser.add_argument("--llama-source", type=Path, metavar="DIR")
    options = parser.parse_args()
    failed = []
    for engine in options.engines.split(","):
        try:
            if engine == "llama.cpp":
                if options.llama_source is None:
                    parser.error("llama.cpp's converter lies in --llama-source")
                llama_cpp(
                    options.checkpoint, options.out / engine, options.bits, options.llama_source
                )
            elif engine == "openvino":
                openvino(options.checkpoint, options.out / engine, options.bits)
            elif engine == "ctranslate2":
                ctranslate2(options.checkpoint, options.out / engine, options.bits)
            else:
                parser.error(f"no engine {engine!r}")
        except (OSError, ImportError, subprocess.CalledProcessError) as error:
            print(f"{engine}: no model ({error})", file=sys.stderr)
            failed.append(engine)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
