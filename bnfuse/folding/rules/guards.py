"""What a node must be, besides its op, for an affine to pass it."""

from __future__ import annotations

__all__ = [
    "refuse_extrapolation",
    "refuse_lost_average",
    "refuse_lost_maximum",
    "refuse_training",
]

from typing import TYPE_CHECKING

import numpy as np

from bnfuse.graph.channel import static_dim

if TYPE_CHECKING:
    from bnfuse.folding.rules.row import Crossing
    from bnfuse.graph.affine import ChannelAffine


def refuse_training(at: Crossing, affine: ChannelAffine) -> None:
    """Refuse a Dropout that may drop elements."""
    del affine
    mode = at.node.inputs[2] if len(at.node.inputs) > 2 else None
    given = None if mode is None else at.constants.array(mode)
    if mode is not None and (given is None or np.any(given)):
        raise at.refusal("", " may drop elements")


def refuse_extrapolation(at: Crossing, affine: ChannelAffine) -> None:
    """Refuse a Resize whose extrapolation value stands for no element."""
    del affine
    mode = at.node.attributes.get_string("coordinate_transformation_mode", "half_pixel")
    if mode == "tf_crop_and_resize":
        raise at.refusal("", " may extrapolate")


def refuse_lost_average(at: Crossing, affine: ChannelAffine) -> None:
    """Refuse a shift where padded zeros count, or a window may have nothing else in it."""
    attributes = at.node.attributes
    if not affine.has_shift:
        return
    explicit = any(attributes.get_ints("pads", []))
    pads = explicit or attributes.get_string("auto_pad", "NOTSET").startswith("SAME")
    # With ceil_mode the last window may hang over the edge, which runtimes count differently.
    overhangs = bool(attributes.get_int("ceil_mode", 0))
    if (pads or overhangs) and attributes.get_int("count_include_pad", 0) == 1:
        raise at.refusal("", " counts padded zeros, which the shift must not reach")
    _refuse_empty(at)


def refuse_lost_maximum(at: Crossing, affine: ChannelAffine) -> None:
    """Refuse indices, which a tie may change, and a window that may have no element in it."""
    del affine
    if any(output.uses() or output.is_graph_output() for output in at.node.outputs[1:]):
        raise at.refusal("", " gives indices too")
    _refuse_empty(at)


def _refuse_empty(at: Crossing) -> None:
    """Refuse a pool that may have a window with nothing but padding in it."""
    attributes, kernel = at.node.attributes, at.node.attributes.get_ints("kernel_shape", [])
    rank = len(kernel)
    pads = attributes.get_ints("pads", [0] * 2 * rank)
    strides = attributes.get_ints("strides", [1] * rank)
    dilations = attributes.get_ints("dilations", [1] * rank)
    pads_itself = attributes.get_string("auto_pad", "NOTSET").startswith("SAME")
    overhangs = attributes.get_int("ceil_mode", 0) == 1
    for i, taps in enumerate(kernel):
        span, before, after = dilations[i] * (taps - 1) + 1, pads[i], pads[i + rank]
        length = static_dim(at.x.shape, i + 2)
        # The last window begins within the input, and one that begins before it ends within.
        reaches = before < span and after + (strides[i] - 1 if overhangs else 0) < span
        # Taps apart may straddle an input that is shorter than their distance.
        straddles = dilations[i] > 1 and (before > 0 or pads_itself)
        if not reaches or (straddles and (length is None or length < dilations[i])):
            raise at.refusal("", " may have a window of nothing but padding")
