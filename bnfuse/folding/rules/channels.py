"""Where channels are behind an op that leaves them whole: it moves elements along other axes."""

from __future__ import annotations

__all__ = [
    "BROADCAST",
    "REDUCED",
    "SAME",
    "Kept",
    "behind_channels",
    "elements",
    "padded",
    "resized",
]

import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bnfuse.folding.axes import input_axis
from bnfuse.graph.access import given
from bnfuse.graph.channel import static_dim
from bnfuse.graph.sizes import resize_scales

if TYPE_CHECKING:
    from bnfuse.folding.rule import Crossing
    from bnfuse.graph.affine import ChannelAffine


@dataclass(frozen=True)
class Kept:
    """All axes stay where they are.

    Attributes:
        verb: What the op does to some of them, which cannot be the channels' then.
        touched: Those axes; ``None`` where they are not known before a run.
    """

    verb: str
    touched: Callable[[Crossing], Collection[int] | None]

    def back(self, at: Crossing, affine: ChannelAffine) -> ChannelAffine:
        """The same."""
        if affine.axis is None:
            return affine
        touched = self.touched(at)
        if touched is None:
            raise at.refusal("which axes", f" {self.verb} is not known before a run")
        if affine.axis in touched:
            raise at.refusal("", f" {self.verb} the axis that its constants run along")
        return affine

    on = back


class _Reduced:
    """Some axes become one number, and are dropped or of length 1."""

    def back(self, at: Crossing, affine: ChannelAffine) -> ChannelAffine:
        """Each axis that is left is one of the input's."""
        kept = _kept_axes(at)
        axis = None if affine.axis is None else kept[affine.axis]
        if axis is None and affine.axis is not None:
            raise at.refusal("", " reduces the axis that its constants run along")
        return affine.along(axis)

    def on(self, at: Crossing, affine: ChannelAffine) -> ChannelAffine:
        """The axes that are not reduced are left."""
        kept = _kept_axes(at)
        if affine.axis is None:
            return affine
        if affine.axis not in kept:
            raise at.refusal("", " reduces the axis that its constants run along")
        return affine.along(kept.index(affine.axis))


class _Broadcast:
    """Shapes are aligned from the right, and an input of length 1 is repeated."""

    def back(self, at: Crossing, affine: ChannelAffine) -> ChannelAffine:
        """Along the axis of the input that lies under the output's."""
        if affine.axis is None or affine.is_identity:
            return affine
        x, y = at.x, at.y
        if x.shape is None or y.shape is None:
            raise at.refusal("how", " broadcasts is not known before a run")
        axis = input_axis(affine.axis, len(x.shape), len(y.shape))
        if axis is None or static_dim(x.shape, axis) != affine.channels:
            raise at.refusal("", f" broadcasts {x.name!r} along the channels")
        return affine.along(axis)

    def on(self, at: Crossing, affine: ChannelAffine) -> ChannelAffine:
        """Along the axis of the output that lies over the input's."""
        if affine.axis is None:
            return affine
        x, y = at.x, at.y
        axis = affine.axis + len(y.shape) - len(x.shape) if x.shape and y.shape else None
        if axis is None or static_dim(y.shape, axis) != affine.channels:
            raise at.refusal("how", " broadcasts is not known before a run")
        return affine.along(axis)


SAME = Kept("moves", lambda _: ())
REDUCED = _Reduced()
BROADCAST = _Broadcast()


def elements(at: Crossing) -> float | None:
    """How many elements a reduction takes together; ``None`` where a run decides that."""
    lengths = [static_dim(at.x.shape, axis) for axis in _reduced_axes(at) or ()]
    known = [length for length in lengths if length is not None]
    return float(np.prod(known)) if len(known) == len(lengths) else None


def _reduced_axes(at: Crossing) -> tuple[int, ...] | None:
    """The axes of a reduction; ``None`` where they are not known before a run."""
    node, shape = at.node, at.x.shape
    if shape is None:
        return None
    chosen = at.array(1)
    if chosen is None and given(node, 1) is not None:
        return None
    axes = node.attributes.get_ints("axes", []) if chosen is None else chosen.reshape(-1)
    if not len(axes):
        noop = node.attributes.get_int("noop_with_empty_axes", 0)
        return () if noop else tuple(range(len(shape)))
    return tuple(sorted(int(axis) % len(shape) for axis in axes))


def _kept_axes(at: Crossing) -> list[int | None]:
    """For each output axis the input axis that it is; ``None`` for one of length 1."""
    shape, reduced = at.x.shape, _reduced_axes(at)
    if reduced is None or shape is None:
        raise at.refusal("which axes", " reduces is not known before a run")
    axes = range(len(shape))
    if at.node.attributes.get_int("keepdims", 1):
        return [None if axis in reduced else axis for axis in axes]
    return [axis for axis in axes if axis not in reduced]


def behind_channels(_: Crossing) -> Collection[int]:
    """All axes but the batch's and the channels'."""
    return range(2, sys.maxsize)


def padded(at: Crossing) -> Collection[int] | None:
    """The axes that a Pad makes longer or shorter."""
    node, shape = at.node, at.x.shape
    pads, chosen = at.array(1), at.array(3)
    if shape is None or any(at.constants.varies(given(node, place)) for place in (1, 3)):
        return None
    amounts = node.attributes.get_ints("pads", []) if pads is None else pads
    axes = range(len(shape)) if chosen is None else [int(axis) % len(shape) for axis in chosen]
    half = len(amounts) // 2
    return {axis for i, axis in enumerate(axes) if amounts[i] or amounts[half + i]}


def resized(at: Crossing) -> Collection[int] | None:
    """The axes that a Resize may interpolate along."""
    node, before, after = at.node, at.x.shape, at.y.shape
    if before is None:
        return None
    axes = range(len(before))
    if node.attributes.get_string("keep_aspect_ratio_policy", "stretch") != "stretch":
        return axes
    scales = {} if given(node, 3) is not None else resize_scales(node, at.constants)
    if scales is None:
        return axes
    # A scale beside 1 may round to the same length, and still mixes the channels.
    lengths = {axis: (static_dim(before, axis), static_dim(after, axis)) for axis in axes}
    return {
        axis
        for axis, (was, now) in lengths.items()
        if was is None or was != now or scales.get(axis, 1.0) != 1.0
    }
