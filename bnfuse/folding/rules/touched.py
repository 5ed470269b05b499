"""The axes that an op moves elements along, so that no constants can run along them."""

from __future__ import annotations

__all__ = ["behind_channels", "padded", "resized"]

import sys
from typing import TYPE_CHECKING

from bnfuse.graph.channel import static_dim
from bnfuse.graph.doubtful_sizes import resize_scales

if TYPE_CHECKING:
    from collections.abc import Collection

    from bnfuse.folding.rules.row import Crossing


def behind_channels(at: Crossing) -> Collection[int]:
    """All axes but the batch's and the channels'."""
    del at
    return range(2, sys.maxsize)


def padded(at: Crossing) -> Collection[int] | None:
    """The axes that a Pad makes longer or shorter."""
    node, shape = at.node, at.x.shape
    pads, chosen = at.array(1), at.array(3)
    given = [place for place in (1, 3) if len(node.inputs) > place and node.inputs[place]]
    if shape is None or len(given) != (pads is not None) + (chosen is not None):
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
    by_sizes = len(node.inputs) > 3 and node.inputs[3] is not None
    scales = {} if by_sizes else resize_scales(node, at.constants)
    if scales is None:
        return axes
    # A scale beside 1 may round to the same length, and still mixes the channels.
    lengths = {axis: (static_dim(before, axis), static_dim(after, axis)) for axis in axes}
    return {
        axis
        for axis, (was, now) in lengths.items()
        if was is None or was != now or scales.get(axis, 1.0) != 1.0
    }
