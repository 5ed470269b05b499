"""Where a per-channel map of a joined value lies in each of the values that broadcast into it."""

from __future__ import annotations

__all__ = ["over", "under"]

from typing import TYPE_CHECKING

from bnfuse.folding.axes import input_axis
from bnfuse.folding.plan import Refusal
from bnfuse.lifting.channel import static_dim

if TYPE_CHECKING:
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


def _unknown(node: ir.Node) -> Refusal:
    return Refusal(
        f"how {node.op_type} {node.name!r} broadcasts is not known before a run", node.name or ""
    )
