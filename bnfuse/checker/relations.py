"""Relations: ``b = scale · a + shift`` per channel, and what a change of shape makes of one."""

from __future__ import annotations

__all__ = [
    "IDENTITY",
    "MOST",
    "Order",
    "Relation",
    "Vector",
    "channels_of",
    "common_axis",
    "compose",
    "inverse",
    "ordered",
    "relation_at",
    "reshaped",
    "then",
    "whole",
]

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnfuse.checker.nodes import need
from bnfuse.checker.sizes import Shape, product

Vector = NDArray[np.float64]
Order = tuple[int, ...] | None
"""Of axes: the i-th is the ``order[i]``-th of another value; ``None`` where each has its place."""

MOST = 1 << 24
"""Elements that are followed."""


def then(first: Order, second: Order) -> Order:
    """Both, one after the other."""
    total = first if second is None else second
    if first is not None and second is not None:
        total = tuple(first[i] for i in second)
    return None if total is None or total == tuple(range(len(total))) else total


def inverse(order: Order) -> Order:
    """What undoes it."""
    return order and tuple(int(i) for i in np.argsort(order))


def ordered(axis: int | None, order: Order) -> int | None:
    """Where an axis is before the axes are put in order."""
    return axis if axis is None or order is None else order[axis]


@dataclass(frozen=True, eq=False)
class Relation:
    """``b = scale · a + shift`` with one number of each per channel, its axes put in an order.

    Attributes:
        axis: The axis of the channels, from the front; ``None`` where the numbers are scalars.
        scale: float64 of shape (C,), or ().
        shift: Likewise.
        magnitude: Likewise: what the shift was summed from, in absolute values.
        order: Of the axes of b.
    """

    axis: int | None
    scale: Vector
    shift: Vector
    magnitude: Vector
    order: Order = None

    @classmethod
    def of(cls, axis: int | None, scale: Any, shift: Any = 0.0, magnitude: Any = None) -> Relation:
        """A relation with its parts broadcast; equal numbers for all channels have no axis."""
        magnitude = np.abs(shift) if magnitude is None else magnitude
        given = (np.asarray(part, np.float64) for part in (scale, shift, magnitude))
        parts = list(np.broadcast_arrays(*given))
        if parts[0].ndim and all(p.size and np.all(p == p.flat[0]) for p in parts):
            axis, parts = None, [p.reshape(-1)[0] for p in parts]
        scale, shift, size = map(np.asarray, parts)
        return cls(axis, scale, shift, size)

    @property
    def parts(self) -> tuple[Vector, Vector, Vector]:
        """Scale, shift and magnitude."""
        return self.scale, self.shift, self.magnitude

    @property
    def is_identity(self) -> bool:
        """Whether b is a."""
        return bool(np.all(self.scale == 1.0)) and not self.has_shift and self.order is None

    @property
    def has_shift(self) -> bool:
        """Whether a shift differs from 0."""
        return bool(np.any(self.shift != 0.0))

    @property
    def is_positive(self) -> bool:
        """Whether every scale is above 0."""
        return bool(np.all(self.scale > 0.0))

    def only_shift(self) -> Relation:
        """The shift alone."""
        return Relation.of(self.axis, 1.0, self.shift, self.magnitude)

    def along(self, axis: int | None) -> Relation:
        """The same numbers along another axis."""
        return self if self.axis is None else replace(self, axis=axis)


IDENTITY = Relation.of(None, 1.0)


def common_axis(x: int | None, y: int | None) -> int | None:
    """The one axis that numbers run along; no proof if they are two."""
    need(None in (x, y) or x == y, "two constants run along different axes")
    return y if x is None else x


def compose(first: Relation, second: Relation) -> Relation:
    """``second(first(a))``; no proof where the two run along different axes."""
    axis = common_axis(first.axis, second.axis)
    need(
        min(first.scale.size, second.scale.size) == 1 or first.scale.shape == second.scale.shape,
        "two constants of different lengths",
    )
    return Relation.of(
        axis,
        second.scale * first.scale,
        second.scale * first.shift + second.shift,
        np.abs(second.scale) * first.magnitude + second.magnitude,
    )


def channels_of(r: Relation, axis: int, sizes: tuple[int, ...]) -> NDArray[Any]:
    """Of each element of such a size, the number of its channel."""
    shape = [-1 if i == axis else 1 for i in range(len(sizes))]
    return np.broadcast_to(np.arange(r.scale.size).reshape(shape), sizes)


def relation_at(r: Relation, channels: NDArray[Any], first: int = 0) -> Relation:
    """The relation of elements of these channels, the axes counted from ``first``."""
    axes = [i for i in range(channels.ndim) if _varies(channels, i)]
    numbers = [p[channels[_only(axes, channels.ndim)]] for p in r.parts]
    varying = [k for k in range(len(axes)) if any(_varies(p, k) for p in numbers)]
    need(len(varying) <= 1, "the channels are spread over several axes")
    axis = axes[varying[0]] + first if varying else None
    return Relation.of(axis, *(p[_only(varying, len(axes))] for p in numbers))


def _varies(array: NDArray[Any], axis: int) -> bool:
    return bool(np.any(array != np.take(array, [0], axis=axis)))


def _only(axes: list[int], rank: int) -> Any:
    return tuple(slice(None) if i in axes else 0 for i in range(rank))


def reshaped(r: Relation, before: Shape, after: Shape) -> Relation:
    """A relation's channels after a change of shape that keeps the row-major order.

    Raises:
        NotProved: They are spread over several axes, or where they go cannot be told.
    """
    if r.axis is None:
        return r
    place = whole(r.axis, before, after)
    if place is not None and before[r.axis] == r.scale.size:
        return r.along(place)
    head, first = _alike(before[: r.axis], after)
    tail, last = _alike(before[: r.axis : -1], after[first:][::-1])
    old, new = before[head : len(before) - tail], after[first : len(after) - last]
    need(all(isinstance(size, int) for size in (*old, *new)), "sizes that are not known")
    sizes: Any = old, new
    counts = [math.prod(each) for each in sizes]
    need(counts[0] == counts[1] <= MOST, "a block of another or too large a size")
    return relation_at(r, channels_of(r, r.axis - head, sizes[0]).reshape(sizes[1]), first)


def whole(axis: int, before: Shape, after: Shape) -> int | None:
    """The axis of a shape that one of another shape is, with the same elements before or behind."""
    for place, size in enumerate(after):
        parts = (after[:place], before[:axis]), (after[place + 1 :], before[axis + 1 :])
        same = (product(x) == product(y) is not None for x, y in parts)
        if size == before[axis] is not None and any(same):
            return place
    return None


def _alike(before: Shape, after: Shape) -> tuple[int, int]:
    """How many first axes of two shapes hold equally many elements, the most of the first's."""
    for many in range(len(before), 0, -1):
        for others in range(len(after) + 1):
            if product(before[:many]) == product(after[:others]) is not None:
                return many, others
    return 0, 0
