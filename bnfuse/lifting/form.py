"""What a value is of another one: entries along one axis, each with a scale and a shift.

A form says of a value that each entry along one axis is one scale and one shift of one entry of a
source::

    value[…, j, …] = scale[j] · source[…, index[j], …] + shift[j]

and that every other axis is one of the source's, whole, whatever its length is at run time.
"""

from __future__ import annotations

__all__ = ["Form"]

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bnfuse.graph.affine import ChannelAffine
from bnfuse.graph.channel import static_dim

if TYPE_CHECKING:
    from collections.abc import Hashable

    import onnx_ir as ir

_ROUNDING = 1e-13

Index = NDArray[np.intp]
Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Form:
    """What a value is of its source.

    Attributes:
        source: The value that it is computed from.
        layout: For each axis of the value the axis of the source that it is, or ``None`` for an
            axis of length 1 that was put in.
        axis: The axis of the source whose entries are told apart; ``None`` as long as none are.
        index: The entry of the source that each entry of the value is of; (1,) where the axis
            was taken away or has length 1, and empty while none are told apart.
        affine: Scale and shift of each entry, along axis 0; uniform where they are all the same.
    """

    source: ir.Value
    layout: tuple[int | None, ...]
    axis: int | None = None
    index: Index = field(default_factory=lambda: np.arange(0))
    affine: ChannelAffine = field(default_factory=lambda: ChannelAffine.of(None))

    def telling(self, position: int) -> Form | None:
        """The form with the entries along an axis of the value told apart."""
        axis = self.layout[position]
        if axis is None or (self.axis is not None and axis != self.axis):
            return None
        if self.axis is not None:
            return self
        length = static_dim(self.source.shape, axis)
        return replace(self, axis=axis, index=np.arange(length)) if length else None

    def taking(self, position: int, entries: Index, *, keeps_axis: bool = True) -> Form | None:
        """What picking entries along an axis makes of it."""
        told = self.telling(position)
        if told is None:
            return None
        here: tuple[int | None, ...] = ()
        if keeps_axis:
            here = (told.axis if len(entries) > 1 else None,)
        return replace(
            told,
            layout=(*told.layout[:position], *here, *told.layout[position + 1 :]),
            index=told.index[entries],
            affine=told.affine.take(entries),
        )

    def then(self, affine: ChannelAffine) -> Form | None:
        """What an affine makes of it, along an axis of the value."""
        if affine.axis is None:
            return replace(self, affine=self.affine.then(affine))
        told = self.telling(affine.axis)
        return told and replace(told, affine=told.affine.then(affine.along(0)))

    @property
    def is_one_entry(self) -> bool:
        """Whether it is one entry of the axis that is told apart."""
        return self.axis is not None and len(self.index) == 1

    def parts(self) -> tuple[Vector, Vector, Vector]:
        """Scale, shift and magnitude of each entry."""
        return self.affine.expanded(max(len(self.index), 1))

    def of(self, base: Form) -> ChannelAffine | None:
        """What it is of a value with the same entries, along that value's axis, if that tells.

        Returns:
            ``None`` where the axis was taken away, where what is told of ``base`` cannot be undone,
            where it is one number for all entries, as no norm is, and where an entry is a number:
            0 times an infinite one is not.
        """
        if self.axis is None or self.axis not in self.layout:
            return None
        position = self.layout.index(self.axis)
        told = base.telling(position)
        if told is None or np.any(told.affine.scale == 0.0):
            return None
        affine = told.affine.inverse().then(self.affine)
        if affine.axis is None or np.any(affine.scale == 0.0):
            return None
        scales, shifts = affine.scale - affine.scale[0], affine.shift - affine.shift[0]
        one = np.all(np.abs(scales) <= _ROUNDING * np.abs(affine.scale))
        one &= np.all(np.abs(shifts) <= _ROUNDING * affine.magnitude)
        return None if one else affine.along(position)

    def having(self, scale: Vector, shift: Vector, magnitude: Vector) -> Form:
        """The same entries with other constants, as :class:`ChannelAffine` has them."""
        parts = np.broadcast_arrays(scale, shift, magnitude)
        if self.axis is None:
            return replace(
                self, affine=ChannelAffine.of(None, *(part.ravel()[0] for part in parts))
            )
        return replace(self, affine=ChannelAffine.of(0, *parts))

    @property
    def entries(self) -> Hashable:
        """Which entries of which source, in which order, whatever is made of them."""
        return self.source, self.layout, self.axis, self.index.tobytes()

    def lies_like(self, other: Form) -> bool:
        """Whether both are of the same axis of one source, and lie in the same way."""
        same = self.source is other.source and self.axis == other.axis
        return same and self.layout == other.layout

    def joined_along(self, position: int) -> Form | None:
        """What it is as a part of a Concat along an axis: told apart along that axis."""
        if self.layout[position] is not None:
            return self.telling(position)
        if not self.is_one_entry or self.axis in self.layout:
            return None
        layout = (*self.layout[:position], self.axis, *self.layout[position + 1 :])
        return replace(self, layout=layout)

    def beside(self, other: Form) -> tuple[Form, Form] | None:
        """Both with the same entries told apart; ``None`` if they are not of the same ones."""
        one: Form | None = self
        two: Form | None = other
        if self.axis is None and other.axis in self.layout and other.axis is not None:
            one = self.telling(self.layout.index(other.axis))
        elif other.axis is None and self.axis in other.layout and self.axis is not None:
            two = other.telling(other.layout.index(self.axis))
        if one is None or two is None or not one.lies_like(two):
            return None
        return (one, two) if np.array_equal(one.index, two.index) else None
