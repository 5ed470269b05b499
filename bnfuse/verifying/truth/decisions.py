"""Integers that differ: whether the floats behind them tie, judged by the margin in float64.

An ``ArgMax`` of two nearly equal scores, or a comparison of two nearly equal numbers, may fall
either way in float32; so may a number next to where it is cut off or rounded to an integer. It
is right either way if, in float64, the alternatives lie no further apart than the rounding of
those scores explains.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bnfuse.verifying.ops import Fact, has

if TYPE_CHECKING:
    import onnx

__all__ = ["Decision", "decision_behind", "margins"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Decision:
    """The op that turned floats into the integers of an output.

    Attributes:
        op: Its type.
        inputs: The float values it read.
        axis: Along which it chose.
        keepdims: Whether the axis stays.
        centred: Whether the boxes of ``NonMaxSuppression`` are centres and sizes.
    """

    op: str
    inputs: tuple[str, ...]
    axis: int = 0
    keepdims: bool = True
    centred: bool = False

    @classmethod
    def of(cls, node: onnx.NodeProto) -> Decision:
        """Return what a node decides by."""
        op = node.op_type
        attributes = {item.name: item.i for item in node.attribute}
        usual = 0 if has(op, Fact.CHOOSES) else 1 if has(op, Fact.LEVELS) else -1
        return cls(
            op,
            tuple(node.input[:1] if op == "TopK" else filter(None, node.input)),
            attributes.get("axis", usual),
            bool(attributes.get("keepdims", 1)),
            bool(attributes.get("center_point_box", 0)),
        )


def decision_behind(graph: onnx.GraphProto, output: str) -> Decision | None:
    """Return the decision that an integer output comes from, or None if it is something else."""
    producers = {name: node for node in graph.node for name in node.output}
    name = output
    # If nothing behind it decides, a float was cut off: by the cast that is next to the floats.
    cut: Decision | None = None
    while (node := producers.get(name)) is not None and has(node.op_type, Fact.TRANSPARENT):
        cut = Decision("Cast", (node.input[0],)) if node.op_type == "Cast" else cut
        name = node.input[0]
    if node is None:
        return cut
    index = node.op_type == "TopK" and name in node.output[1:]
    known = Fact.CHOOSES | Fact.COMPARES | Fact.STEPS | Fact.LEVELS
    return Decision.of(node) if index or has(node.op_type, known) else cut


def margins(decision: Decision, values: list[Array], first: Array, second: Array) -> Array | None:
    """Return the gap in float64 between the two alternatives at each element that differs.

    Args:
        decision: What decided.
        values: The decision's inputs in float64.
        first: The original's integers or booleans.
        second: The candidate's, of the same shape.

    Returns:
        One gap per differing element; None where the shapes do not fit the decision or an index
        lies outside.
    """
    if has(decision.op, Fact.COMPARES):
        gap = np.abs(values[0] - values[1])
        if gap.size != first.size:
            return None
        return np.asarray(gap.reshape(first.shape)[first != second])
    if has(decision.op, Fact.STEPS | Fact.LEVELS) or decision.op == "Cast":
        return _rounding_gaps(decision, values, first, second)
    scores = values[0]
    axis = decision.axis % scores.ndim
    shape = list(scores.shape)
    shape[axis] = first.size // max(1, scores.size // scores.shape[axis])
    if int(np.prod(shape)) != first.size:
        return None
    one, two = first.reshape(shape).astype(np.int64), second.reshape(shape).astype(np.int64)
    for index in (one, two):
        if index.size and (index.min() < -scores.shape[axis] or index.max() >= scores.shape[axis]):
            return None
    gap = np.take_along_axis(scores, one, axis) - np.take_along_axis(scores, two, axis)
    return np.asarray(np.abs(gap)[one != two])


def _rounding_gaps(
    decision: Decision, values: list[Array], first: Array, second: Array
) -> Array | None:
    """Return how far each number lies from those that give the integers it was turned into."""
    exact = values[0]
    if exact.size != first.size or exact.dtype != np.float64 or not np.isfinite(exact).all():
        return None
    gap = np.zeros(exact.shape)
    for found in (first, second):
        if found.dtype.kind not in "iu":
            return None
        integers = found.reshape(exact.shape).astype(np.float64)
        low, high = _sources(decision, values, integers)
        info = np.iinfo(found.dtype)
        # What lies beyond the integers' range ends at its last.
        low = np.where(integers == float(info.min), -np.inf, low)
        high = np.where(integers == float(info.max), np.inf, high)
        gap = np.maximum(gap, np.maximum(low - exact, exact - high))
    return np.asarray(gap.reshape(first.shape)[first != second])


def _sources(decision: Decision, values: list[Array], integers: Array) -> tuple[Array, Array]:
    """Return the ends of the interval of numbers that become each integer."""
    if decision.op == "Floor":
        return integers, integers + 1
    if decision.op == "Ceil":
        return integers - 1, integers
    if decision.op == "Cast":
        # Towards zero, and zero from both sides.
        return np.where(integers > 0, integers, integers - 1), np.where(
            integers < 0, integers, integers + 1
        )
    scale = np.ones(())
    if decision.op == "QuantizeLinear":
        shape = [1] * integers.ndim
        if values[1].ndim == 1 and values[1].size > 1:
            shape[decision.axis % integers.ndim] = values[1].size
        scale = values[1].reshape(shape)
        if len(values) > 2:
            integers = integers - values[2].astype(np.float64).reshape(shape)
    return (integers - 0.5) * scale, (integers + 0.5) * scale
