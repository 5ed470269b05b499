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
from bnfuse.graph.sizes import padded_by, resize_scales

if TYPE_CHECKING:
    from bnfuse.folding.rule import Crossing
    from bnfuse.graph.affine import ChannelAffine


@dataclass(frozen=True)
class Kept:
    """Axes stay where they are, but for those that the op drops.

    Attributes:
        verb: What the op does to some of them, which cannot be the channels' then.
        touched: Those axes; ``None`` where they are not known before a run.
        drops: Whether the result has these axes no more.
    """

    verb: str
    touched: Callable[[Crossing], Collection[int] | None]
    drops: Callable[[Crossing], bool] = lambda _: False

    def back(self, at: Crossing, affine: ChannelAffine) -> ChannelAffine:
        """Along the axis of the input that the output's is."""
        if affine.axis is None:
            return affine
        touched, axis = self._known(at), affine.axis
        if self.drops(at):
            axis = [a for a in range(axis + len(touched) + 1) if a not in touched][axis]
        return self._along(at, affine, axis, touched)

    def on(self, at: Crossing, affine: ChannelAffine) -> ChannelAffine:
        """Along the axis of the output that the input's is."""
        if affine.axis is None:
            return affine
        touched = self._known(at)
        kept = self._along(at, affine, affine.axis, touched)
        before = sum(axis < affine.axis for axis in touched) if self.drops(at) else 0
        return kept.along(affine.axis - before)

    def _known(self, at: Crossing) -> Collection[int]:
        touched = self.touched(at)
        if touched is None:
            raise at.refusal("which axes", f" {self.verb} is not known before a run")
        return touched

    def _along(
        self, at: Crossing, affine: ChannelAffine, axis: int, touched: Collection[int]
    ) -> ChannelAffine:
        if axis in touched:
            raise at.refusal("", f" {self.verb} the axis that its constants run along")
        return affine.along(axis)


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


def elements(at: Crossing) -> float | None:
    """How many elements a reduction takes together; ``None`` where a run decides that."""
    axes = _reduced_axes(at)
    lengths = [None] if axes is None else [static_dim(at.x.shape, axis) for axis in axes]
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


def _drops_reduced(at: Crossing) -> bool:
    return not at.node.attributes.get_int("keepdims", 1)


def behind_channels(_: Crossing) -> Collection[int]:
    """All axes but the batch's and the channels'."""
    return range(2, sys.maxsize)


def padded(at: Crossing) -> Collection[int] | None:
    """The axes that a Pad makes longer or shorter."""
    amounts = padded_by(at.node, at.constants)
    return None if amounts is None else {axis for axis, pair in enumerate(amounts) if any(pair)}


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


SAME = Kept("moves", lambda _: ())
REDUCED = Kept("reduces", _reduced_axes, _drops_reduced)
BROADCAST = _Broadcast()
