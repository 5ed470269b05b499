"""Where channels are behind DepthToSpace and SpaceToDepth, which trade them for positions.

DepthToSpace with block size b makes output channel c of the input channels ``(i·b + j)·C' + c``
(DCR) or ``c·b² + i·b + j`` (CRD); SpaceToDepth makes input channel c into the output channels of
these numbers (ONNX operator specifications, DepthToSpace-13 and SpaceToDepth-28).
"""

from __future__ import annotations

__all__ = ["DEPTH_TO_SPACE", "SPACE_TO_DEPTH"]

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bnfuse.graph.channel import static_dim

if TYPE_CHECKING:
    import onnx_ir as ir
    from numpy.typing import NDArray

    from bnfuse.folding.rules.row import Crossing
    from bnfuse.graph.affine import ChannelAffine


@dataclass(frozen=True)
class _Blocks:
    """Each channel on one side is a block of channels on the other.

    Attributes:
        widens_back: Whether the input is the side with more channels.
    """

    widens_back: bool

    def back(self, at: Crossing, affine: ChannelAffine) -> ChannelAffine:
        """Spread over, or gathered from, the channels of the input."""
        return self._moved(at, affine, at.y, self.widens_back)

    def on(self, at: Crossing, affine: ChannelAffine) -> ChannelAffine:
        """Spread over, or gathered from, the channels of the output."""
        return self._moved(at, affine, at.x, not self.widens_back)

    def _moved(
        self, at: Crossing, affine: ChannelAffine, value: ir.Value, widens: bool
    ) -> ChannelAffine:
        """The affine of ``value`` on the node's other side."""
        channels = static_dim(value.shape, 1)
        if affine.axis in (None, 0):
            return affine
        if affine.axis != 1 or channels is None:
            raise at.refusal("", " moves the axis that its constants run along")
        block = at.node.attributes.get_int("blocksize", 1) ** 2
        groups = _groups(at.node, channels if widens else channels // block, block)
        if widens:
            wide = np.empty(groups.size, dtype=np.intp)
            wide[groups] = np.arange(channels)[:, None]
            return affine.take(wide)
        first = affine.take(groups[:, 0])
        scale, shift, _ = first.expanded(len(groups))
        same = (affine.scale[groups] == scale[:, None]) & (affine.shift[groups] == shift[:, None])
        if not np.all(same):
            raise at.refusal("", " joins channels with different constants")
        return first


DEPTH_TO_SPACE = _Blocks(widens_back=True)
SPACE_TO_DEPTH = _Blocks(widens_back=False)


def _groups(node: ir.Node, channels: int, block: int) -> NDArray[np.intp]:
    """For each narrow channel the wide channels that hold it, shape (channels, block)."""
    wide = np.arange(channels * block)
    if node.attributes.get_string("mode", "DCR") == "CRD":
        return wide.reshape(channels, block)
    return wide.reshape(block, channels).T
