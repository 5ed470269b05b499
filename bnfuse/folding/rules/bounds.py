"""Numbers of a node that are of the same kind as its input: an affine moves them along.

``A(clip(x, l, h)) = clip(A(x), A(l), A(h))`` and ``A(pad(x, v)) = pad(A(x), A(v))``. ONNX has one
number each for all channels, so what they become must be one again; 0 is under any scale, and
infinity under any positive one.
"""

from __future__ import annotations

__all__ = ["Bound", "clip_bounds", "moved", "pad_values"]

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bnfuse.folding.plan import Rebound
from bnfuse.graph.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from bnfuse.folding.rules.row import Crossing
    from bnfuse.graph.affine import ChannelAffine


@dataclass(frozen=True)
class Bound:
    """One of them.

    Attributes:
        what: What it is, in a reason.
        place: The input that it is; ``None`` where it is an attribute.
        value: ``None`` where it is computed at run time.
    """

    what: str
    place: int | None
    value: float | None

    @classmethod
    def of(cls, at: Crossing, what: str, place: int, key: str) -> Bound | None:
        """The one that a node has as an input or, of an early opset, as an attribute."""
        if key in at.node.attributes:
            return cls(what, None, at.node.attributes.get_float(key))
        if len(at.node.inputs) <= place or at.node.inputs[place] is None:
            return None
        array = at.array(place)
        return cls(what, place, None if array is None else float(array.reshape(-1)[0]))


def clip_bounds(at: Crossing) -> Iterator[Bound]:
    """The bounds of a Clip."""
    found = Bound.of(at, "bound", 1, "min"), Bound.of(at, "bound", 2, "max")
    return (bound for bound in found if bound is not None)


def pad_values(at: Crossing) -> Sequence[Bound]:
    """What a Pad pads with, if that is a number."""
    if at.node.attributes.get_string("mode", "constant") != "constant":
        return ()
    by_input = 2 if len(at.node.inputs) > 1 else None
    return (Bound.of(at, "padding value", 2, "value") or Bound("padding value", by_input, 0.0),)


def moved(at: Crossing, bounds: Iterable[Bound], affine: ChannelAffine) -> tuple[Rebound, ...]:
    """The edits that apply ``affine`` to these."""
    edits: list[Rebound] = []
    for what, place, value in ((bound.what, bound.place, bound.value) for bound in bounds):
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
