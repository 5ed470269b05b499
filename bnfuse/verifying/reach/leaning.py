"""How far the numbers of a piecewise op are from a side that they do not take, and by what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bnfuse.verifying.ops import Fact, has
from bnfuse.verifying.truth.branches import OVERFLOW, bounds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx

__all__ = ["Lean", "lean", "margin_of"]

Array = np.ndarray[Any, Any]

# How far beyond the edge of a side numbers are moved, and the least way in parts of their size.
_BEYOND, _LEAST = 1.5, 1e-3


@dataclass(frozen=True)
class Lean:
    """How far numbers are from taking a side.

    Attributes:
        score: Positive where they take it.
        by: The values that it is made of: name, the sign by which it grows with them, shape.
        width: About the size of the numbers.
        way: How far they are to be moved to take it surely; None for well beyond its edge.
    """

    score: Array
    by: tuple[tuple[str, Any, tuple[int, ...]], ...]
    width: float = 1.0
    way: Array | None = None

    def goal(self) -> Array:
        """Return how far each number is to be moved."""
        straight = -_BEYOND * self.score if self.way is None else self.way
        return np.maximum(straight, _BEYOND * _LEAST * self.width)


def margin_of(
    node: onnx.NodeProto, inputs: Sequence[Any], known: Mapping[str, Array]
) -> Array | None:
    """Return by how much the condition that a node makes holds, or None where that is no number.

    Args:
        node: What makes it.
        inputs: What the node reads.
        known: The margins of the conditions before it.
    """
    op = node.op_type
    if has(op, Fact.COMPARES) and inputs[0].dtype == np.float64:
        gap = inputs[0] - inputs[1]
        return np.asarray(gap if op.startswith("Greater") else -gap)
    margins = [known[name] for name in node.input if name in known]
    if len(margins) < len(node.input) or op not in {"And", "Identity", "Not", "Or"}:
        return None
    first = margins[0]
    if len(margins) > 1:
        return np.asarray((np.minimum if op == "And" else np.maximum)(first, margins[1]))
    return -first if op == "Not" else first


def lean(
    node: onnx.NodeProto,
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    side: str,
    margin: Array | None = None,
) -> Lean | None:
    """Return how far a node's numbers are from taking ``side``, or None where that is unknown.

    Args:
        node: What bends.
        inputs: What it reads.
        outputs: What it makes.
        side: The name of the side.
        margin: By how much its condition holds, if it reads one.
    """
    op, x = node.op_type, inputs[0]
    if side == OVERFLOW:
        size, sign = np.abs(outputs[0]), np.sign(outputs[0])
        largest = float(np.finfo(np.float32).max)
        return Lean(size - largest, ((node.output[0], sign, size.shape),), largest)
    names = [(name, np.shape(value)) for name, value in zip(node.input, inputs, strict=True)]
    if has(op, Fact.CONDITIONAL):
        if margin is None:
            return None
        sign = 1.0 if side == "true" else -1.0
        return Lean(sign * margin, ((names[0][0], sign, names[0][1]),), _width(margin))
    if has(op, Fact.EXTREME):
        place, sign = int(side.removeprefix("input ")), 1.0 if op == "Max" else -1.0
        others = [np.asarray(v) for n, v in enumerate(inputs) if n != place]
        best = others[0]
        for value in others[1:]:
            best = np.maximum(best, value) if op == "Max" else np.minimum(best, value)
        by = tuple(
            (name, sign * (1.0 if n == place else -1.0), shape)
            for n, (name, shape) in enumerate(names)
        )
        return Lean(sign * (inputs[place] - best), by, _width(outputs[0]))
    if has(op, Fact.SIGNED):
        low = high = np.zeros(())
    else:
        low, high = bounds(node, inputs)
    if side == "inside":
        room = np.minimum(x - low, high - x)
        # To the middle, or well beyond the one bound there is.
        two_ends = np.all(np.isfinite(low) & np.isfinite(high))
        middle = np.abs((low + high) / 2 - x) if two_ends else None
        sign = np.where(x - low < high - x, 1.0, -1.0)
        return Lean(room, ((*names[0][:1], sign, names[0][1]),), _width(x), middle)
    sign = -1.0 if side in {"negative", "below"} else 1.0
    score = sign * (x - (low if sign < 0 else high))
    return Lean(score, ((*names[0][:1], sign, names[0][1]),), _width(x))


def _width(x: Array) -> float:
    finite = x[np.isfinite(x)]
    return float(np.sqrt(np.mean(np.square(finite)))) if finite.size else 1.0
