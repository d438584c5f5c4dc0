"""The tensors of a quantized checkpoint, joined to the weights they stand for.

``X.qweight``, ``X.qzeros``, ``X.scales`` and ``X.g_idx`` become ``X.weight``, and so on. What a
module's tensors are called and shaped must be what the checkpoint's config says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from pocketr1.checkpoint.decoder import Decoder
from pocketr1.checkpoint.fp8 import Fp8Weight
from pocketr1.checkpoint.integers import AwqWeight, GptqWeight, PackedWeight, PlainWeight
from pocketr1.checkpoint.schemes import CHANNEL, TENSOR, Quantization, Scheme
from pocketr1.checkpoint.stored import Entry, read_rows
from pocketr1.errors import CheckpointError

__all__ = ["join"]

_FLOATS = ("F16", "BF16", "F32")
#: Beside the weights: how activations and K/V are to be quantized, which the engine does itself.
_ACTIVATIONS = (
    *("input_scale", "input_zero_point", "input_global_scale", "input_g_idx", "activation_scale"),
    *("output_scale", "output_zero_point", "k_scale", "v_scale", "q_scale", "prob_scale"),
)

_T = TypeVar("_T")


def join(
    entries: Mapping[str, Entry], quantization: Quantization
) -> tuple[dict[str, Entry], tuple[str, ...]]:
    """Return the checkpoint's weights by name, and the names of tensors that are not needed.

    A weight of several tensors is one entry with a decoder, its size that of all of them, its file
    that of the largest.

    Raises:
        CheckpointError: ``checkpoint-tensor-missing`` where a part lacks, ``-shape`` and
            ``checkpoint-encoded-type`` where one is not as the config says,
            ``checkpoint-encoded-value`` where what it holds makes no sense,
            ``checkpoint-tensor-twice`` where a weight is there decoded as well.
    """
    joiner = _Joiner(entries, quantization)
    readers: dict[str, Callable[[str], Entry]] = {
        "fp8": joiner.fp8,
        "gptq": joiner.gptq,
        "awq": joiner.awq,
        "compressed-tensors": joiner.compressed,
    }
    marks = {
        "fp8": (".weight",),
        "gptq": (".qweight",),
        "awq": (".qweight",),
        "compressed-tensors": (".weight", ".weight_packed"),
    }[quantization.method]
    whole: dict[str, Entry] = {}
    for name, entry in entries.items():
        for mark in marks:
            if not name.endswith(mark):
                continue
            if mark != ".weight" or entry.dtype not in _FLOATS:
                module = name[: -len(mark)]
                whole[module + ".weight"] = readers[quantization.method](module)
    ignored = [
        name
        for name in entries
        if name not in joiner.used and name.rpartition(".")[2] in _ACTIVATIONS
    ]
    for name, entry in entries.items():
        if name in joiner.used or name in ignored:
            continue
        if name in whole:  # stored twice, encoded and not
            other = whole[name]
            raise CheckpointError(
                "checkpoint-tensor-twice", where=str(entry.file), other=str(other.file), tensor=name
            )
        whole[name] = entry
    return whole, tuple(ignored)


class _Joiner:
    def __init__(self, entries: Mapping[str, Entry], quantization: Quantization) -> None:
        self._entries = entries
        self._quantization = quantization
        self.used: set[str] = set()

    def fp8(self, module: str) -> Entry:
        """``weight`` and ``weight_scale_inv`` (blocks), or ``weight_scale``."""
        weight = self._take(module, "weight", ("F8_E4M3",))
        blocks = self._quantization.schemes[0].columns > 0
        scale = self._take(
            module, "weight_scale_inv" if blocks else "weight_scale", (*_FLOATS, "F8_E8M0")
        )
        self._matrix(weight)
        return self._float(module, weight, scale)

    def gptq(self, module: str) -> Entry:
        """``qweight``, ``qzeros``, ``scales`` and ``g_idx``."""
        scheme = self._quantization.schemes[0]
        qweight = self._take(module, "qweight", ("I32",))
        self._matrix(qweight)
        inputs, outputs = qweight.shape[0] * 32 // scheme.bits, qweight.shape[1]
        group = max(0, scheme.columns)
        groups = -(-inputs // group) if group else 1
        parts = {
            "qweight": qweight,
            "qzeros": self._take(
                module, "qzeros", ("I32",), (groups, -(-outputs * scheme.bits // 32))
            ),
            "scales": self._take(module, "scales", _FLOATS, (groups, outputs)),
        }
        ordered = self._quantization.ordered
        if not ordered or f"{module}.g_idx" in self._entries:
            parts["g_idx"] = self._take(module, "g_idx", ("I32", "I64"), (inputs,))
        decoder = GptqWeight(
            (outputs, inputs), scheme.bits, group, parts, self._quantization.zero_offset
        )
        return _whole((outputs, inputs), qweight, parts.values(), decoder)

    def awq(self, module: str) -> Entry:
        """``qweight``, ``qzeros`` and ``scales``."""
        scheme = self._quantization.schemes[0]
        qweight = self._take(module, "qweight", ("I32",))
        self._matrix(qweight)
        inputs, outputs = qweight.shape[0], qweight.shape[1] * 8
        group = max(0, scheme.columns)
        groups = -(-inputs // group) if group else 1
        parts = {
            "qweight": qweight,
            "qzeros": self._take(module, "qzeros", ("I32",), (groups, qweight.shape[1])),
            "scales": self._take(module, "scales", _FLOATS, (groups, outputs)),
        }
        decoder = AwqWeight((outputs, inputs), scheme.bits, group, parts)
        return _whole((outputs, inputs), qweight, parts.values(), decoder)

    def compressed(self, module: str) -> Entry:
        """``weight_packed``, or ``weight`` of bytes, with ``weight_scale`` and its companions."""
        if f"{module}.weight_packed" in self._entries:
            return self._packed(module)
        weight = self._take(module, "weight", ("F8_E4M3", "I8"))
        self._matrix(weight)
        scale = self._take(module, "weight_scale", _FLOATS)
        if weight.dtype == "F8_E4M3":
            return self._float(module, weight, scale)
        return self._integer(
            module, weight.shape, weight, scale, lambda s: s.kind == "int" and not s.packed
        )

    def _packed(self, module: str) -> Entry:
        packed = self._take(module, "weight_packed", ("I32",))
        self._matrix(packed)
        scale = self._take(module, "weight_scale", _FLOATS)
        shape = self._take(module, "weight_shape", ("I64", "I32"), (2,))
        outputs, inputs = (int(size) for size in read_rows(shape))

        def fits(scheme: Scheme) -> bool:
            return scheme.packed and packed.shape == (outputs, -(-inputs * scheme.bits // 32))

        if outputs < 1 or inputs < 1:
            raise _value(shape, f"says that the weight has the shape {[outputs, inputs]}")
        return self._integer(module, (outputs, inputs), packed, scale, fits)

    def _float(self, module: str, weight: Entry, scale: Entry) -> Entry:
        shape = weight.shape
        schemes = [s for s in self._quantization.schemes if s.kind == "float"]
        blocks: dict[tuple[int, ...], tuple[int, int]] = {}
        for scheme in schemes:
            rows = shape[0] if scheme.columns == TENSOR else scheme.rows
            columns = scheme.columns if scheme.columns > 0 else shape[1]
            counts = (-(-shape[0] // rows), -(-shape[1] // columns))
            blocks.setdefault(counts, (rows, columns))
            if scheme.columns == CHANNEL:
                blocks.setdefault(counts[:1], (rows, columns))
            if scheme.columns == TENSOR:
                blocks.setdefault((1,), (rows, columns))
                blocks.setdefault((), (rows, columns))
        rows, columns = self._fit(scale, blocks)
        decoder = Fp8Weight(weight, scale, rows, columns)
        return _whole(shape, weight, (weight, scale), decoder)

    def _integer(
        self,
        module: str,
        shape: tuple[int, ...],
        codes: Entry,
        scale: Entry,
        fits: Callable[[Scheme], bool],
    ) -> Entry:
        outputs, inputs = shape
        asymmetric = f"{module}.weight_zero_point" in self._entries
        schemes = [s for s in self._quantization.schemes if fits(s)]
        if not schemes:
            raise _shape(codes, (outputs, "inputs * bits / 32"))
        # A symmetric weight may have zero points, all 0; an asymmetric one must.
        schemes = [s for s in schemes if asymmetric or s.symmetric]
        if not schemes:
            self._take(module, "weight_zero_point", ("I8",))
        groups: dict[tuple[int, ...], Scheme] = {}
        for scheme in schemes:
            count = -(-inputs // scheme.columns) if scheme.columns > 0 else 1
            rows = 1 if scheme.columns == TENSOR else -(-outputs // scheme.rows)
            if scheme.rows == 1:
                groups.setdefault((rows, count), scheme)
            if count == 1:
                groups.setdefault((rows,), scheme)
                if rows == 1:
                    groups.setdefault((), scheme)
        scheme = self._fit(scale, groups)
        group = max(0, scheme.columns)
        count = -(-inputs // group) if group else 1
        parts = {"scale": scale}
        if asymmetric:
            name = "weight_zero_point"
            if self._entries[f"{module}.{name}"].dtype == "I32":
                shape = (-(-outputs * scheme.bits // 32), count)
                parts["zero_point"] = self._take(module, name, ("I32",), shape)
            else:
                parts["zero_point"] = self._take(module, name, ("I8",), scale.shape)
        if f"{module}.weight_g_idx" in self._entries:
            parts["g_idx"] = self._take(module, "weight_g_idx", ("I32", "I64"), (inputs,))
        decoder: Decoder
        if scheme.packed:
            parts["packed"] = codes
            decoder = PackedWeight((outputs, inputs), scheme.bits, group, parts)
        else:
            parts["weight"] = codes
            decoder = PlainWeight((outputs, inputs), group, parts)
        return _whole((outputs, inputs), codes, parts.values(), decoder)

    def _fit(self, scale: Entry, choices: Mapping[tuple[int, ...], _T]) -> _T:
        if scale.shape not in choices:
            raise _shape(scale, *choices)
        return choices[scale.shape]

    def _take(
        self,
        module: str,
        part: str,
        dtypes: tuple[str, ...],
        shape: tuple[int, ...] | None = None,
    ) -> Entry:
        """Return a module's part, checked."""
        name = f"{module}.{part}"
        entry = self._entries.get(name)
        if entry is None:
            beside = next(e for n, e in self._entries.items() if n.rpartition(".")[0] == module)
            raise CheckpointError(
                "checkpoint-tensor-missing", where=str(beside.file), tensor=name, count=1
            )
        if entry.dtype not in dtypes:
            raise CheckpointError(
                "checkpoint-encoded-type",
                where=str(entry.file),
                tensor=name,
                dtype=entry.dtype,
                method=self._quantization.method,
                expected=", ".join(dtypes),
            )
        if shape is not None and entry.shape != shape:
            raise _shape(entry, shape)
        self.used.add(name)
        return entry

    def _matrix(self, entry: Entry) -> None:
        if len(entry.shape) != 2 or 0 in entry.shape:
            raise _shape(entry, ("outputs", "inputs"))


def _whole(
    shape: tuple[int, ...], largest: Entry, parts: Iterable[Entry], decoder: Decoder
) -> Entry:
    size = sum(part.end - part.begin for part in parts)
    return replace(largest, shape=shape, end=largest.begin + size, decoder=decoder)


def _shape(entry: Entry, *expected: tuple[object, ...]) -> CheckpointError:
    wanted = " or ".join(str(list(shape)) for shape in expected)
    return CheckpointError(
        "checkpoint-tensor-shape",
        where=str(entry.file),
        tensor=entry.name,
        actual=list(entry.shape),
        expected=wanted,
    )


def _value(entry: Entry, reason: str) -> CheckpointError:
    return CheckpointError(
        "checkpoint-encoded-value", where=str(entry.file), tensor=entry.name, reason=reason
    )
