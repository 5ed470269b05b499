"""Through a reduction over axes other than the channels'.

``mean(s · x + t) = s · mean(x) + t``; ``sum(s · x + t) = s · sum(x) + N · t`` over N elements;
``max`` and ``min`` commute with a non-negative scale and any shift, the norms ``Σ |x|`` and
``√(Σ x²)`` with a non-negative scale alone.
"""

from __future__ import annotations

__all__ = ["MoveThroughReduction"]

from typing import TYPE_CHECKING

import numpy as np

from bnfuse.affine import ChannelAffine
from bnfuse.folding.plan import Answer, Refusal, Response
from bnfuse.lifting.channel import static_dim

if TYPE_CHECKING:
    import onnx_ir as ir

    from bnfuse.lifting.constants import ConstantEvaluator


class MoveThroughReduction:
    """ReduceMean, ReduceSum, ReduceMax, ReduceMin, ReduceL1, ReduceL2."""

    op_types = ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2")

    def backward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """The affine follows the reduction."""
        del index
        reduced = _reduced_axes(node, constants)
        x = node.inputs[0]
        if reduced is None or x is None or x.shape is None:
            return _unknown(node)
        kept = _kept_axes(node, len(x.shape), reduced)
        axis = None if affine.axis is None else kept[affine.axis]
        if affine.axis is not None and axis is None:
            return _unknown(node)
        refusal = _refuse_sign(node, affine)
        if refusal is not None:
            return refusal
        count = _count(x, reduced) if node.op_type == "ReduceSum" else 1
        if count is None and affine.has_shift:
            return _uncounted(node)
        return Answer(pull=((x, affine.along(axis).shift_times(1.0 / (count or 1))),))

    def forward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """The affine preceded the reduction."""
        reduced = _reduced_axes(node, constants)
        x = node.inputs[0]
        if index != 0 or reduced is None or x is None or x.shape is None:
            return _unknown(node)
        if affine.axis in reduced:
            return Refusal(
                f"{node.op_type} {node.name!r} reduces the axis that its constants run along",
                node.name or "",
            )
        kept = _kept_axes(node, len(x.shape), reduced)
        axis = None if affine.axis is None else kept.index(affine.axis)
        refusal = _refuse_sign(node, affine)
        if refusal is not None:
            return refusal
        count = _count(x, reduced) if node.op_type == "ReduceSum" else 1
        if count is None and affine.has_shift:
            return _uncounted(node)
        moved = affine.along(axis).shift_times(float(count or 1))
        return Answer(push=((node.outputs[0], moved),))


def _reduced_axes(node: ir.Node, constants: ConstantEvaluator) -> tuple[int, ...] | None:
    x = node.inputs[0]
    if x is None or x.shape is None:
        return None
    rank = len(x.shape)
    given = node.inputs[1] if len(node.inputs) > 1 else None
    if given is not None:
        array = constants.array(given)
        if array is None:
            return None
        axes = [int(axis) for axis in array.reshape(-1)]
    else:
        axes = list(node.attributes.get_ints("axes", []))
    if not axes:
        noop = node.attributes.get_int("noop_with_empty_axes", 0)
        return () if noop else tuple(range(rank))
    return tuple(sorted(axis % rank for axis in axes))


def _kept_axes(node: ir.Node, rank: int, reduced: tuple[int, ...]) -> list[int | None]:
    """For each output axis the input axis that it is; ``None`` for one of length 1."""
    if node.attributes.get_int("keepdims", 1):
        return [None if axis in reduced else axis for axis in range(rank)]
    return [axis for axis in range(rank) if axis not in reduced]


def _count(x: ir.Value, reduced: tuple[int, ...]) -> int | None:
    lengths = [static_dim(x.shape, axis) for axis in reduced]
    known = [length for length in lengths if length is not None]
    return int(np.prod(known)) if len(known) == len(lengths) else None


def _refuse_sign(node: ir.Node, affine: ChannelAffine) -> Refusal | None:
    if node.op_type in ("ReduceL1", "ReduceL2") and affine.has_shift:
        return Refusal(f"a shift does not pass {node.op_type} {node.name!r}", node.name or "")
    if node.op_type in ("ReduceMean", "ReduceSum") or np.all(affine.scale >= 0.0):
        return None
    return Refusal(f"a scale is negative, next to {node.op_type} {node.name!r}", node.name or "")


def _unknown(node: ir.Node) -> Refusal:
    return Refusal(
        f"the axes of {node.op_type} {node.name!r} are not known before a run", node.name or ""
    )


def _uncounted(node: ir.Node) -> Refusal:
    return Refusal(
        f"how many elements ReduceSum {node.name!r} adds is not known before a run",
        node.name or "",
    )
