"""What a node must be, besides its op, for an affine to pass it, and its numbers that move with it.

``A(clip(x, l, h)) = clip(A(x), A(l), A(h))`` and ``A(pad(x, v)) = pad(A(x), A(v))``. ONNX has one
number each for all channels, so what they become must be one again; 0 is under any scale, and
infinity under any positive one.
"""

from __future__ import annotations

__all__ = [
    "Bound",
    "clip_bounds",
    "moved",
    "pad_values",
    "refuse_extrapolation",
    "refuse_lost_average",
    "refuse_lost_maximum",
    "refuse_training",
]

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bnfuse.folding.plan import Rebound
from bnfuse.graph.access import given
from bnfuse.graph.channel import static_dim
from bnfuse.graph.limits import Limits
from bnfuse.graph.sizes import windows_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bnfuse.folding.rule import Crossing
    from bnfuse.graph.affine import ChannelAffine


class Bound(NamedTuple):
    """A number of a node that is of the same kind as its input.

    Attributes:
        what: What it is, in a reason.
        place: The input that it is; ``None`` where it is an attribute.
        value: ``None`` where it is computed at run time.
    """

    what: str
    place: int | None
    value: float | None


def clip_bounds(at: Crossing) -> Sequence[Bound]:
    """The bounds of a Clip."""
    found = _bound(at, "bound", 1, "min"), _bound(at, "bound", 2, "max")
    return [bound for bound in found if bound is not None]


def pad_values(at: Crossing) -> Sequence[Bound]:
    """What a Pad pads with, if that is a number."""
    if at.node.attributes.get_string("mode", "constant") != "constant":
        return ()
    by_input = 2 if len(at.node.inputs) > 1 else None
    return (_bound(at, "padding value", 2, "value") or Bound("padding value", by_input, 0.0),)


def _bound(at: Crossing, what: str, place: int, key: str) -> Bound | None:
    """The one that a node has as an input or, of an early opset, as an attribute."""
    if key in at.node.attributes:
        return Bound(what, None, at.node.attributes.get_float(key))
    if given(at.node, place) is None:
        return None
    array = at.array(place)
    return Bound(what, place, None if array is None else float(array.reshape(-1)[0]))


def moved(at: Crossing, bounds: Iterable[Bound], affine: ChannelAffine) -> tuple[Rebound, ...]:
    """The edits that apply ``affine`` to these."""
    edits: list[Rebound] = []
    for what, place, value in bounds:
        if value is None:
            raise at.refusal(f"the {what} of", " is computed at run time")
        new = np.atleast_1d(affine.scale * value + affine.shift)
        if np.all(new == value):
            continue
        if new.size == 0 or np.any(new != new[0]):
            raise at.refusal("", f" would need another {what} for each channel")
        if place is None:
            raise at.refusal("", f" keeps its {what} in an attribute")
        if at.x.dtype is None or Limits.of(at.x.dtype).overflows(new):
            raise at.refusal(f"the {what} of", " would overflow")
        edits.append(Rebound(at.node, place, float(new[0])))
    return tuple(edits)


def refuse_training(at: Crossing, _: ChannelAffine) -> None:
    """Refuse a Dropout that may drop elements."""
    mode = at.array(2)
    if given(at.node, 2) is not None and (mode is None or np.any(mode)):
        raise at.refusal("", " may drop elements")


def refuse_extrapolation(at: Crossing, _: ChannelAffine) -> None:
    """Refuse a Resize whose extrapolation value stands for no element."""
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


def refuse_lost_maximum(at: Crossing, _: ChannelAffine) -> None:
    """Refuse indices, which a tie may change, and a window that may have no element in it."""
    if any(output.uses() or output.is_graph_output() for output in at.node.outputs[1:]):
        raise at.refusal("", " gives indices too")
    _refuse_empty(at)


def _refuse_empty(at: Crossing) -> None:
    """Refuse a pool that may have a window with nothing but padding in it."""
    attributes = at.node.attributes
    pads_itself = attributes.get_string("auto_pad", "NOTSET").startswith("SAME")
    overhangs = attributes.get_int("ceil_mode", 0) == 1
    for axis, window in enumerate(windows_of(at.node), 2):
        length = static_dim(at.x.shape, axis)
        over = window.stride - 1 if overhangs else 0
        # The last window begins within the input, and one that begins before it ends within.
        reaches = window.begin <= window.span and window.end + over <= window.span
        # Taps apart may straddle an input that is shorter than their distance.
        straddles = window.dilation > 1 and (window.begin > 0 or pads_itself)
        if not reaches or (straddles and (length is None or length < window.dilation)):
            raise at.refusal("", " may have a window of nothing but padding")
