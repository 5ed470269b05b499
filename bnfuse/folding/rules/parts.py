"""Where channels are behind an op that takes some of them, or each of them several times.

Split, Slice and Gather: ``A(x[index]) = (A'(x))[index]`` where ``A'`` holds the constants of ``A``
at the channels that ``index`` names. The other channels feed nothing through this op, and nothing
else reads ``x`` (a Split's other outputs are left as they are), so they keep the identity.

DepthToSpace and SpaceToDepth trade channels for positions: each channel on one side is several on
the other. DepthToSpace with block size b makes output channel c of the input channels
``(i·b + j)·C' + c`` (DCR) or ``c·b² + i·b + j`` (CRD); SpaceToDepth makes input channel c into the
output channels of these numbers (ONNX operator specifications, DepthToSpace-13, SpaceToDepth-28).
"""

from __future__ import annotations

__all__ = ["DEPTH_TO_SPACE", "SELECTED", "SPACE_TO_DEPTH", "axis_of", "embed", "spans"]

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bnfuse.graph.access import given
from bnfuse.graph.affine import ChannelAffine
from bnfuse.graph.channel import static_dim
from bnfuse.graph.slices import slices_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import onnx_ir as ir

    from bnfuse.folding.plan import Refusal
    from bnfuse.folding.rule import Crossing

Index = NDArray[np.intp]


class _Selected:
    """Split, Slice, and Gather on constant indices."""

    def back(self, at: Crossing, affine: ChannelAffine) -> ChannelAffine:
        """The channels that are selected take their constants before the selection."""
        shape, several = at.x.shape, len(at.node.outputs) > 1
        if shape is None:
            raise _unknown(at)
        if affine.axis is None and not several:
            return affine
        axis = axis_of(at) if affine.axis is None else self._input_axis(at, affine.axis)
        if axis is None:
            raise _unknown(at)
        selected, channels = self._index(at, axis), static_dim(shape, axis)
        if selected is None:
            if several:
                raise at.refusal("", " gives other parts of the same channels")
            return affine.along(axis)
        if channels is None:
            raise _unknown(at)
        differs = " takes a channel twice, with other constants each time"
        return _scattered(at, affine, selected, axis, channels, differs)

    def on(self, at: Crossing, affine: ChannelAffine) -> ChannelAffine:
        """The channels that are selected take their constants after the selection."""
        if affine.axis is None:
            return affine
        axis = self._output_axis(at, affine.axis) if at.x.shape is not None else None
        if axis is None:
            raise _unknown(at)
        selected = self._index(at, affine.axis)
        return (affine if selected is None else affine.take(selected)).along(axis)

    def _index(self, at: Crossing, axis: int) -> Index | None:
        """The channels along ``axis`` that an output holds; ``None`` where it holds all of them."""
        length, op_type = static_dim(at.x.shape, axis), at.node.op_type
        if op_type == "Slice":
            slices = slices_of(at.node, at.constants)
            if slices is not None and axis not in slices:
                return None
            if slices is None or length is None:
                raise _unknown(at)
            return np.arange(length)[slices[axis]]
        if axis_of(at) != axis:
            return None
        if op_type == "Split":
            parts = spans(at.node.outputs, axis)
            if parts is None or sum(map(len, parts)) != length:
                raise _unknown(at)
            return parts[at.output]
        indices = at.array(1)
        if indices is None or indices.ndim != 1 or length is None:
            raise _unknown(at)
        return np.asarray(indices % length, dtype=np.intp)

    def _input_axis(self, at: Crossing, axis: int) -> int | None:
        """The input's axis under an output's; ``None`` where a Gather makes it from its indices."""
        gathered, spread = _gathered(at)
        if spread is None or axis < gathered:
            return None if spread is None else axis
        if axis < gathered + spread:
            return gathered if spread == 1 else None
        return axis - spread + 1

    def _output_axis(self, at: Crossing, axis: int) -> int | None:
        gathered, spread = _gathered(at)
        if spread is None or (axis == gathered and spread != 1):
            return None
        return axis if axis <= gathered else axis + spread - 1


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
        channels, block = (
            static_dim(value.shape, 1),
            at.node.attributes.get_int("blocksize", 1) ** 2,
        )
        if affine.axis in (None, 0):
            return affine
        if affine.axis != 1 or channels is None:
            raise at.refusal("", " moves the axis that its constants run along")
        few = channels if widens else channels // block
        by_channel = at.node.attributes.get_string("mode", "DCR") == "CRD"
        narrow = np.repeat(np.arange(few), block) if by_channel else np.tile(np.arange(few), block)
        if widens:
            return affine.take(narrow)
        return _scattered(at, affine, narrow, 1, few, " joins channels with different constants")


SELECTED = _Selected()
DEPTH_TO_SPACE = _Blocks(widens_back=True)
SPACE_TO_DEPTH = _Blocks(widens_back=False)


def axis_of(at: Crossing) -> int | None:
    """The axis of a Split, a Gather or a Concat; ``None`` where no rank is known."""
    shape = next((v.shape for v in (*at.node.inputs, *at.node.outputs) if v and v.shape), None)
    default = 1 if at.node.op_type == "Concat" else 0
    return None if shape is None else at.node.attributes.get_int("axis", default) % len(shape)


def _gathered(at: Crossing) -> tuple[int, int | None]:
    """The axis that a Gather selects along, and how many axes its indices put in its place."""
    if at.node.op_type != "Gather":
        return 0, 1
    indices, axis = given(at.node, 1), axis_of(at)
    shape = None if indices is None or axis is None else indices.shape
    return axis or 0, None if shape is None else len(shape)


def spans(values: Sequence[ir.Value | None], axis: int) -> list[Index] | None:
    """Each value's channels among those of all of them, side by side."""
    lengths = [static_dim(value.shape, axis) for value in values if value is not None]
    known = [length for length in lengths if length is not None]
    if len(known) != len(lengths):
        return None
    return np.split(np.arange(sum(known)), np.cumsum(known)[:-1])


def embed(parts: Iterable[tuple[ChannelAffine, Index]], axis: int, channels: int) -> ChannelAffine:
    """Affines on the channels at their places, and the identity on the rest of ``channels``."""
    scale, shift, magnitude = np.ones(channels), np.zeros(channels), np.zeros(channels)
    for affine, index in parts:
        scale[index], shift[index], magnitude[index] = affine.expanded(len(index))
    return ChannelAffine.of(axis, scale, shift, magnitude)


def _scattered(
    at: Crossing, affine: ChannelAffine, index: Index, axis: int, channels: int, differs: str
) -> ChannelAffine:
    """The constants at the channels that ``index`` names; refused where they would need several."""
    merged = embed([(affine, index)], axis, channels)
    scale, shift, _ = merged.expanded(channels)
    if np.any((scale[index] != affine.scale) | (shift[index] != affine.shift)):
        raise at.refusal("", differs)
    return merged


def _unknown(at: Crossing) -> Refusal:
    return at.refusal("which channels", " selects is not known before a run")
