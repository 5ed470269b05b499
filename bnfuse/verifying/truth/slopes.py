"""Which way to move inputs so that a value inside a graph grows: reverse mode over a float64 run.

It finds directions for a search and proves nothing, so it is sloppy where that costs nothing: an
op that bends is taken as the secant over the width of its input, which also lets a direction
through where the op itself is flat, and a maximum over windows as their mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from bnfuse.verifying.ops import Fact, has
from bnfuse.verifying.truth import spatial

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["Tape", "summed"]

Array = np.ndarray[Any, Any]

# Parts of a number by which a secant leads past it.
_PAST = 1.1
# Sums and differences; the truth of a comparison grows with what decides it.
_SIGNS = {
    "Add": (1, 1), "And": (1, 1), "Greater": (1, -1), "GreaterOrEqual": (1, -1), "Less": (-1, 1),
    "LessOrEqual": (-1, 1), "Or": (1, 1), "Sub": (1, -1),
}  # fmt: skip


@dataclass(frozen=True)
class _Step:
    kernel: Any
    node: onnx.NodeProto
    inputs: list[Any]
    active: list[bool]
    outputs: list[tuple[int, ...]]


class Tape:
    """What a run did to the numbers of some inputs, to be gone through backward."""

    def __init__(self, inputs: Iterable[str]) -> None:
        self._inputs = frozenset(inputs)
        self._active = set(self._inputs)
        self._steps: list[_Step] = []

    def note(
        self, kernel: Any, node: onnx.NodeProto, inputs: Sequence[Any], outputs: Sequence[Any]
    ) -> None:
        """Note one node; ``kernel`` runs it again on other numbers."""
        active = [
            name in self._active and _graded(value)
            for name, value in zip(node.input, inputs, strict=True)
        ]
        if not any(active):
            return
        self._active.update(node.output)
        linear = has(node.op_type, Fact.LINEAR | Fact.MOVES)
        both = sum(active) > 1 and node.op_type in {"Conv", "ConvTranspose", "Gemm", "MatMul"}
        kept = [
            np.broadcast_to(0.0, value.shape) if linear and is_active and not both else value
            for value, is_active in zip(inputs, active, strict=True)
        ]
        shapes = [getattr(value, "shape", ()) for value in outputs]
        self._steps.append(_Step(kernel, node, kept, active, shapes))

    def backward(self, seeds: Mapping[str, Array]) -> dict[str, Array]:
        """Return the gradients by the inputs of ``sum(seeds[name] * value of name)``."""
        slopes = dict(seeds)
        for step in reversed(self._steps):
            coming = [slopes.pop(name, None) for name in step.node.output]
            if all(item is None for item in coming):
                continue
            slope = [
                np.zeros(shape) if item is None else item
                for item, shape in zip(coming, step.outputs, strict=False)
            ]
            with np.errstate(all="ignore"):
                found = _pulled(step, slope)
            for name, value, active in zip(step.node.input, found, step.active, strict=False):
                if active and value is not None:
                    clean = np.nan_to_num(value, nan=0.0, posinf=0.0, neginf=0.0)
                    slopes[name] = slopes[name] + clean if name in slopes else clean
        return {name: value for name, value in slopes.items() if name in self._inputs}


def _graded(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "fb" and value.size > 0


def _pulled(step: _Step, slopes: list[Array]) -> Sequence[Array | None]:
    """Return the gradients by a node's inputs, None where there is none."""
    op, x, slope = step.node.op_type, step.inputs, slopes[0]
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in step.node.attribute}
    if has(op, Fact.MOVES):
        return _moved_back(step, slopes)
    if op in {"Conv", "ConvTranspose"}:
        return [_convolved_back(op, x, slope, attributes)]
    if op in {"AveragePool", "MaxPool"}:
        return [_spread(x[0], slope, attributes)]
    if op in {"MatMul", "Gemm"}:
        return _multiplied_back(step, slope, attributes)
    if op == "BatchNormalization":
        factor = x[1] / np.sqrt(x[4] + attributes.get("epsilon", 1e-5))
        return [slope * factor.reshape(-1, *[1] * (slope.ndim - 2))]
    if op in _SIGNS:
        return [
            summed(sign * slope, value.shape) for sign, value in zip(_SIGNS[op], x, strict=True)
        ]
    if op == "Mul":
        return [summed(slope * x[1], x[0].shape), summed(slope * x[0], x[1].shape)]
    if op == "Div":
        return [
            summed(slope / x[1], x[0].shape),
            summed(-slope * x[0] / np.square(x[1]), x[1].shape),
        ]
    if op == "Where":
        kept = np.asarray(x[0], bool)
        return [
            summed(slope * (x[1] - x[2]), x[0].shape),
            summed(slope * kept, x[1].shape),
            summed(slope * ~kept, x[2].shape),
        ]
    if op in {"Max", "Min"}:
        best = step.kernel.run(*x)[0]
        return [summed(slope * (value == best), value.shape) for value in x]
    if op == "Not":
        return [-slope]
    if op == "Cast":
        return [slope]
    if op == "Softmax":
        made = step.kernel.run(*x)[0]
        axis = attributes.get("axis", -1)
        return [made * (slope - (slope * made).sum(axis=axis, keepdims=True))]
    if op in {"LayerNormalization", "InstanceNormalization", "GroupNormalization"}:
        return [_normed_back(op, x, slope, attributes)]
    if op.startswith(("Reduce", "Global")):
        return [_reduced_back(step, slope, attributes)]
    if slope.shape == x[0].shape and x[0].dtype == np.float64:
        return [slope * _secant(step)]
    return []


def _secant(step: _Step) -> Array:
    """Return how an op of single numbers grows over about the width of its first input.

    One that bends does over as much as leads past zero: a number that is far out on a flat side
    is told the way back.
    """
    x = step.inputs[0]
    finite = x[np.isfinite(x)]
    width: Any = 0.5 * float(np.sqrt(np.mean(np.square(finite)))) + 1e-3 if finite.size else 1.0
    if has(step.node.op_type, Fact.BENT):
        width = np.maximum(width, _PAST * np.abs(x))
    above, below = (
        step.kernel.run(x + side * width, *step.inputs[1:])[0].astype(np.float64)
        for side in (1, -1)
    )
    return np.asarray((above - below) / (2 * width))


def _moved_back(step: _Step, slopes: list[Array]) -> list[Array | None]:
    """Find out by numbered elements where each number of the result came from."""
    first = 1.0
    numbered = list(step.inputs)
    for place, (value, active) in enumerate(zip(step.inputs, step.active, strict=True)):
        if active:
            # 0 is what a Pad adds.
            numbered[place] = np.arange(first, first + value.size).reshape(value.shape)
            first += value.size
    total = np.zeros(int(first))
    for origin, slope in zip(step.kernel.run(*numbered), slopes, strict=False):
        places = np.rint(np.nan_to_num(origin)).astype(np.int64).clip(0, len(total) - 1)
        total += np.bincount(places.ravel(), slope.ravel(), len(total))
    found: list[Array | None] = []
    at = 1
    for value, active in zip(step.inputs, step.active, strict=True):
        found.append(total[at : at + value.size].reshape(value.shape) if active else None)
        at += value.size if active else 0
    return found


def _convolved_back(op: str, x: Sequence[Any], slope: Array, attributes: dict[str, Any]) -> Array:
    shape, weight = x[0].shape[2:], x[1]
    rank, kernel = len(shape), weight.shape[2:]
    group = attributes.get("group", 1)
    strides = attributes.get("strides") or [1] * rank
    dilations = attributes.get("dilations") or [1] * rank
    common = {"strides": strides, "dilations": dilations, "group": group}
    if op == "ConvTranspose":
        back = spatial.conv(slope, weight, None, pads=attributes.get("pads"), **common)
        begin = [0] * rank
    else:
        back = spatial.conv_transpose(slope, weight, None, **common)
        auto = attributes.get("auto_pad", b"NOTSET").decode()
        begin = spatial.padding(shape, kernel, strides, dilations, attributes.get("pads"), auto)[0]
    return _cropped(back, begin, shape)


def _spread(x: Array, slope: Array, attributes: dict[str, Any]) -> Array:
    """Return the gradient of a pool, as if it were a mean over its windows."""
    kernel = attributes["kernel_shape"]
    weight = np.full((x.shape[1], 1, *kernel), 1.0 / np.prod(kernel))
    return _convolved_back("Conv", [x, weight], slope, {**attributes, "group": x.shape[1]})


def _cropped(value: Array, begin: Sequence[int], shape: Sequence[int]) -> Array:
    part = tuple(slice(b, b + size) for b, size in zip(begin, shape, strict=True))
    value = value[(slice(None), slice(None), *part)]
    missing = [(0, size - had) for size, had in zip(shape, value.shape[2:], strict=True)]
    return np.pad(value, [(0, 0), (0, 0), *missing])


def _multiplied_back(step: _Step, slope: Array, attributes: dict[str, Any]) -> list[Array | None]:
    one, two = step.inputs[:2]
    if one.ndim < 2 or two.ndim < 2:
        return []
    slope = slope * attributes.get("alpha", 1.0)
    turned = bool(attributes.get("transA")), bool(attributes.get("transB"))
    found: list[Array | None] = [None, None]
    if step.active[0]:
        back = slope @ (two if turned[1] else two.swapaxes(-1, -2))
        found[0] = summed(back.swapaxes(-1, -2) if turned[0] else back, one.shape)
    if step.active[1]:
        back = (one if turned[0] else one.swapaxes(-1, -2)) @ slope
        found[1] = summed(back.swapaxes(-1, -2) if turned[1] else back, two.shape)
    return found


def _normed_back(op: str, x: Sequence[Any], slope: Array, attributes: dict[str, Any]) -> Array:
    value = x[0]
    if op == "LayerNormalization":
        axes = tuple(range(attributes.get("axis", -1) % value.ndim, value.ndim))
        slope = slope * x[1]
    else:
        axes = tuple(range(2, value.ndim))
    deviation = np.sqrt(value.var(axis=axes, keepdims=True) + attributes.get("epsilon", 1e-5))
    return np.asarray((slope - slope.mean(axis=axes, keepdims=True)) / deviation)


def _reduced_back(step: _Step, slope: Array, attributes: dict[str, Any]) -> Array | None:
    op, x = step.node.op_type, step.inputs[0]
    if op.startswith("Global"):
        axes = tuple(range(2, x.ndim))
    else:
        given = step.inputs[1] if len(step.inputs) > 1 else attributes.get("axes")
        axes = tuple(range(x.ndim)) if given is None else tuple(int(a) % x.ndim for a in given)
    kept = [1 if axis in axes else size for axis, size in enumerate(x.shape)]
    slope = np.broadcast_to(slope.reshape(kept), x.shape)
    if op in {"ReduceMean", "GlobalAveragePool"}:
        return np.asarray(slope * (np.prod(kept) / x.size))
    if op == "ReduceSum":
        return slope
    extreme = {"ReduceMax": np.max, "GlobalMaxPool": np.max, "ReduceMin": np.min}.get(op)
    if extreme is None:
        return None
    return np.asarray(slope * (x == np.asarray(extreme(x, axis=axes, keepdims=True))))


def summed(value: Array, shape: Sequence[int]) -> Array:
    """Return ``value`` added up over the axes along which ``shape`` was broadcast to it."""
    ahead = value.ndim - len(shape)
    value = value.sum(axis=tuple(range(ahead))) if ahead else value
    alike = tuple(i for i, size in enumerate(shape) if size == 1 and value.shape[i] != 1)
    return np.asarray(value.sum(axis=alike, keepdims=True) if alike else value)
