"""Through DepthToSpace and SpaceToDepth, which trade channels for positions.

DepthToSpace with block size b makes output channel c of the input channels ``(i·b + j)·C' + c``
(DCR) or ``c·b² + i·b + j`` (CRD); SpaceToDepth makes input channel c into the output channels of
these numbers (ONNX operator specifications, DepthToSpace-13 and SpaceToDepth-28).
"""

from __future__ import annotations

__all__ = ["MoveThroughSpace"]

from typing import TYPE_CHECKING

import numpy as np

from bnfuse.folding.plan import Answer, Refusal, Response
from bnfuse.lifting.channel import static_dim

if TYPE_CHECKING:
    import onnx_ir as ir
    from numpy.typing import NDArray

    from bnfuse.affine import ChannelAffine
    from bnfuse.lifting.constants import ConstantEvaluator


class MoveThroughSpace:
    """DepthToSpace and SpaceToDepth."""

    op_types = ("DepthToSpace", "SpaceToDepth")

    def backward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """Spread over, or gathered from, the channels of the input."""
        del index, constants
        x, y = node.inputs[0], node.outputs[0]
        assert x is not None
        moved = _moved(node, affine, y, spread=node.op_type == "DepthToSpace")
        return moved if isinstance(moved, Refusal) else Answer(pull=((x, moved),))

    def forward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """Spread over, or gathered from, the channels of the output."""
        del index, constants
        x, y = node.inputs[0], node.outputs[0]
        assert x is not None
        moved = _moved(node, affine, x, spread=node.op_type == "SpaceToDepth")
        return moved if isinstance(moved, Refusal) else Answer(push=((y, moved),))


def _moved(
    node: ir.Node, affine: ChannelAffine, value: ir.Value, spread: bool
) -> ChannelAffine | Refusal:
    """The affine of ``value`` on the node's other side."""
    if affine.axis is None:
        return affine
    channels = static_dim(value.shape, 1)
    if affine.axis not in (0, 1) or channels is None:
        return Refusal(
            f"{node.op_type} {node.name!r} moves the axis that its constants run along",
            node.name or "",
        )
    if affine.axis == 0:
        return affine
    block = node.attributes.get_int("blocksize", 1) ** 2
    groups = _groups(node, channels if spread else channels // block, block)
    if spread:
        wide = np.empty(groups.size, dtype=np.intp)
        wide[groups] = np.arange(channels)[:, None]
        return affine.take(wide)
    first = affine.take(groups[:, 0])
    scale, shift, _ = first.expanded(len(groups))
    same = (affine.scale[groups] == scale[:, None]) & (affine.shift[groups] == shift[:, None])
    if not bool(np.all(same)):
        return Refusal(
            f"{node.op_type} {node.name!r} joins channels with different constants",
            node.name or "",
        )
    return first


def _groups(node: ir.Node, channels: int, block: int) -> NDArray[np.intp]:
    """For each narrow channel the wide channels that hold it, shape (channels, block)."""
    wide = np.arange(channels * block)
    if node.attributes.get_string("mode", "DCR") == "CRD":
        return wide.reshape(channels, block)
    return wide.reshape(block, channels).T
