"""Where channels are behind an op that leaves them whole: it moves elements along other axes."""

from __future__ import annotations

__all__ = ["BROADCAST", "REDUCED", "SAME", "Kept", "elements"]

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bnfuse.folding.axes import input_axis
from bnfuse.graph.channel import static_dim

if TYPE_CHECKING:
    from bnfuse.folding.rules.row import Crossing
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
    given = at.array(1)
    if given is None and len(node.inputs) > 1 and node.inputs[1] is not None:
        return None
    axes = node.attributes.get_ints("axes", []) if given is None else given.reshape(-1)
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
