"""Where a per-channel map of a joined value lies in each of the values that broadcast into it."""

from __future__ import annotations

__all__ = ["joined", "over", "under"]

from typing import TYPE_CHECKING

import numpy as np

from bnfuse.folding.axes import input_axis
from bnfuse.folding.plan import Refusal
from bnfuse.folding.wording import two_ways
from bnfuse.lifting.channel import static_dim

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import onnx_ir as ir

    from bnfuse.affine import ChannelAffine


def under(node: ir.Node, x: ir.Value, affine: ChannelAffine) -> ChannelAffine | Refusal:
    """The affine of the output, along the axis of one input that broadcasts into it."""
    if affine.axis is None or affine.is_identity:
        return affine
    y = node.outputs[0]
    if x.shape is None or y.shape is None:
        return _unknown(node)
    axis = input_axis(affine.axis, len(x.shape), len(y.shape))
    if axis is None or static_dim(x.shape, axis) != affine.channels:
        return Refusal(
            f"{node.op_type} {node.name!r} broadcasts {x.name!r} along the channels",
            node.name or "",
        )
    return affine.along(axis)


def over(node: ir.Node, x: ir.Value | None, affine: ChannelAffine) -> ChannelAffine | Refusal:
    """The affine of one input, along the axis of the output that it becomes."""
    y = node.outputs[0]
    if x is None or x.shape is None or y.shape is None:
        return _unknown(node)
    if affine.axis is None:
        return affine
    axis = affine.axis + len(y.shape) - len(x.shape)
    if static_dim(y.shape, axis) != affine.channels:
        return _unknown(node)
    return affine.along(axis)


def joined(
    node: ir.Node,
    lost: Mapping[int, ChannelAffine],
    signed: Callable[[int, ChannelAffine], ChannelAffine] = lambda _, part: part,
) -> ChannelAffine | Refusal:
    """The scale that several inputs lost, along the output's axis, and the sum of their shifts.

    Args:
        node: The op that joins them.
        lost: What its inputs lost, by their places.
        signed: What an input's affine is in the output.
    """
    total: ChannelAffine | None = None
    for place, affine in lost.items():
        placed = over(node, node.inputs[place], affine)
        if isinstance(placed, Refusal):
            return placed
        part = signed(place, placed)
        if total is None:
            total = part
        elif total.composes_with(part) and np.all(total.scale == part.scale):
            total = total.only_scale().then(total.only_shift()).then(part.only_shift())
        else:
            return two_ways(node)
    assert total is not None
    return total


def _unknown(node: ir.Node) -> Refusal:
    return Refusal(
        f"how {node.op_type} {node.name!r} broadcasts is not known before a run", node.name or ""
    )
