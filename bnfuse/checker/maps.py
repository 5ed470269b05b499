"""Linear maps of one value: how they are summed, composed and compared.

Every coefficient is a float64 number with a ``size``, the sum of the absolute values of the terms
that it was summed from: what cancelled is judged against what was there before.
"""

from __future__ import annotations

__all__ = ["LARGEST", "Map", "Rows", "alike"]

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnfuse.checker.nodes import need
from bnfuse.checker.relations import IDENTITY, Order, Relation, Vector, common_axis, ordered

Rows = NDArray[np.intp]

LARGEST = 1 << 26
"""Coefficients that a composed map may have: 512 MiB of float64."""


@dataclass(frozen=True, eq=False)
class Map:
    """A linear map of one value: ``y[o] = Σ c[o, i, tap] x[i, place of tap]``.

    One scale per channel is the map of as many groups without taps, a matrix that of one group.

    Attributes:
        axis: The axis of the channels; ``None`` for one number for all.
        c: The coefficients, (O, I / groups, *taps); (1, 1) for one number.
        size: What they were summed from, of the same shape; only absolute values matter.
        groups: Of channels.
        grid: Strides, dilations, padding before and behind, each (*taps); of a ConvTranspose the
            output padding as well, which no map but an equal one has a common form with.
        blocks: Of each channel of the result, intp (O,), the group that it is made of; ``None``
            where equally many are made of each, in order.
    """

    axis: int | None
    c: Vector
    size: Vector
    groups: int = 1
    grid: tuple[tuple[int, ...], ...] = ((), (), (), ())
    blocks: Rows | None = None

    @property
    def reads(self) -> Rows:
        """Of each channel of the result, the group that it is made of."""
        if self.blocks is not None:
            return self.blocks
        return np.repeat(np.arange(self.groups), len(self.c) // self.groups)

    @property
    def peaks(self) -> Vector:
        """The largest coefficient of each channel of the result, in absolute values."""
        return self.peaks_of(self.c)

    def peaks_of(self, c: Vector) -> Vector:
        """Likewise of other numbers in the place of the coefficients."""
        taps = tuple(range(1, c.ndim))
        low, high = c.min(axis=taps, initial=0.0), c.max(axis=taps, initial=0.0)
        return np.asarray(np.maximum(high, -low))

    @classmethod
    def scales(cls, relation: Relation) -> Map:
        """The scales of a relation."""
        c = relation.scale.reshape(-1, 1)
        return cls(relation.axis, c, c, len(c))

    @property
    def transposed(self) -> bool:
        """Whether it is a ConvTranspose."""
        return len(self.grid) > 4

    @property
    def is_pointwise(self) -> bool:
        """Whether each place of the result is made of the same place alone."""
        strides, _, *pads = self.grid
        return {*self.c.shape[2:], *strides} <= {1} and not any(map(any, pads))

    def placed(self, order: Order) -> Map:
        """This map of a value, as one of what the value's axes were put in order from."""
        if order is None:
            return self
        need(self.is_pointwise, "a convolution over axes in another order")
        axis = ordered(self.axis, order)
        return self._each(lambda c: c.reshape(c.shape[:2]), axis=axis, grid=((),) * 4)

    def after(self, relation: Relation) -> Map:
        """This map, and then the scales of ``relation``."""
        need(
            self.axis is None or relation.scale.size in (1, len(self.c)), "channels that do not fit"
        )
        return self._times(relation, relation.scale.reshape(-1, *[1] * (self.c.ndim - 1)))

    def before(self, relation: Relation) -> Map:
        """The scales of ``relation``, and then this map."""
        s = relation.scale.reshape(-1, 1)
        if s.size > 1 and self.axis is not None:
            need(s.size == self.c.shape[1] * self.groups, "channels that do not fit")
            s = s.reshape(self.groups, -1)[self.reads]
        return self._times(relation, s.reshape(*s.shape, *[1] * (self.c.ndim - 2)))

    def _times(self, relation: Relation, factor: Vector) -> Map:
        axis = common_axis(self.axis, relation.axis)
        if np.all(factor == 1.0):
            return self
        groups = factor.size if self.axis is None else self.groups
        return self._each(lambda c: c * factor, axis=axis, groups=groups)

    def _each(self, change: Callable[[Vector], Vector], **more: Any) -> Map:
        """With the coefficients and what they were summed from changed in one way."""
        c = change(self.c)
        return replace(self, c=c, size=c if self.size is self.c else change(self.size), **more)

    def of_constant(self, relation: Relation) -> Relation:
        """What this map makes of the shift of ``relation``: no proof if it differs at a border."""
        if not np.any(relation.magnitude):
            return IDENTITY
        need(not self.transposed, "a constant before ConvTranspose is another at the border")
        need(
            not any(self.grid[2] + self.grid[3]),
            "a constant before zero padding is another at the border",
        )
        moved = self.before(Relation.of(relation.axis, relation.shift))
        sizes = replace(self, c=np.abs(self.size), size=self.size)
        sizes = sizes.before(Relation.of(relation.axis, relation.magnitude))
        sums = (m.c.sum(axis=tuple(range(1, m.c.ndim))) for m in (moved, sizes))
        return Relation.of(common_axis(self.axis, relation.axis), 1.0, *sums)

    def picked(self, axis: int, count: int, rows: Rows) -> Map:
        """Those of the ``count`` channels of the result in ``rows``; zeros where a row is below 0.

        Args:
            axis: Of the channels.
            count: Of the channels that there are.
            rows: intp (O,).
        """
        own = self._widened(axis, count)
        need(own.axis == axis and len(own.c) == count, "channels that do not fit")
        none = (rows < 0).reshape(-1, *[1] * (own.c.ndim - 1))
        return own._each(lambda c: np.where(none, 0.0, c[rows]))._reading(own.reads[rows])

    def _reading(self, blocks: Rows) -> Map:
        """The same coefficients, of these groups."""
        plain = replace(self, blocks=None)
        in_order = len(blocks) % self.groups == 0 and np.array_equal(plain.reads, blocks)
        return plain if in_order else replace(self, blocks=blocks)

    def _widened(self, axis: int | None, count: int) -> Map:
        if self.axis is not None or axis is None:
            return self
        return self._each(lambda c: np.broadcast_to(c, (count, 1)), axis=axis, groups=count)

    def _regrouped(self, groups: int) -> Map:
        """The same map with fewer groups, zeros between them."""
        if groups == self.groups:
            return self
        parts, reads = self.groups // groups, self.reads
        need(self.c.size * parts <= LARGEST, "a dense form would be too large")

        def dense(c: Vector) -> Vector:
            made = np.zeros((len(c), parts, *c.shape[1:]))
            made[np.arange(len(c)), reads % parts] = c
            return made.reshape(len(c), -1, *c.shape[2:])

        return self._each(dense, groups=groups)._reading(reads // parts)

    def _spread(self) -> Map:
        """The same map with dilations of 1."""
        strides, dilations, *pads = self.grid
        if all(d == 1 for d in dilations):
            return self
        taps = [(k - 1) * d + 1 for k, d in zip(self.c.shape[2:], dilations, strict=True)]

        def spread(c: Vector) -> Vector:
            made = np.zeros((*c.shape[:2], *taps))
            made[(slice(None), slice(None), *(slice(None, None, d) for d in dilations))] = c
            return made

        return self._each(spread, grid=(strides, (1,) * len(strides), *pads))

    def _raised(self, rank: int) -> Map:
        """The same map with taps of size 1 along the axes behind the channels."""
        more = rank - (self.c.ndim - 2)
        if not more or self.axis is None:
            return self
        ones, none = (1,) * more, (0,) * more
        return self._each(lambda c: c.reshape(*c.shape, *ones), grid=(ones, ones, none, none))

    def __add__(self, other: Map) -> Map:
        """The sum of two maps of one value."""
        a, b = alike(self, other)
        return replace(a, c=a.c + b.c, size=np.abs(a.size) + np.abs(b.size))

    def _grown(self, begins: tuple[int, ...], ends: tuple[int, ...]) -> Map:
        """The same map with more padding and zero taps in it."""
        strides, ones, *old = self.grid
        more = [(n - o, e - p) for n, o, e, p in zip(begins, old[0], ends, old[1], strict=True)]
        if not np.any(more):
            return self
        around = ((0, 0), (0, 0), *more)
        return self._each(lambda c: np.pad(c, around), grid=(strides, ones, begins, ends))

    def then(self, second: Map) -> Map:
        """This map and then ``second``, exact where no padding meets what this map computed.

        A tap ``i`` of the first and ``j`` of the second read ``x`` at ``s1·(s2·p + j) + i - b1``. A
        pointwise first without a constant makes zeros of zeros, so the second's padding may stay.
        """
        if self.c.shape[1:] == (1,) and self.groups == len(self.c) and self.blocks is None:
            made = second.before(Relation.of(self.axis, self.c.reshape(-1)))
            if self.size is self.c:
                return made
            sized = replace(second, c=second.size)
            return replace(made, size=sized.before(Relation.of(self.axis, self.size.reshape(-1))).c)
        common_axis(self.axis, second.axis)
        rank = max(self.c.ndim, second.c.ndim) - 2
        a, b = (m if m.blocks is None else m._regrouped(1) for m in (self, second))
        a, b = a._raised(rank), b._raised(rank)
        need(not (a.transposed or b.transposed), "a map of a ConvTranspose has no form")
        a, b = a._spread(), b._spread()
        (s1, _, b1, e1), (s2, ones, b2, e2) = a.grid, b.grid
        k1, k2 = a.c.shape[2:], b.c.shape[2:]
        pointwise = a.is_pointwise
        need(pointwise or not any((*b2, *e2)), "zero padding between two convolutions")
        # The last columns that a first with a stride skips depend on the size of the input.
        need(pointwise or all(s == 1 for s in s1), "a convolution after one with a stride")
        need(len(a.c) == b.c.shape[1] * b.groups, "channels that do not fit")
        groups = math.gcd(a.groups, b.groups)
        a = a._regrouped(groups)
        taps = tuple(m + n - 1 for n, m in zip(k2, k1, strict=True))
        shape = (len(b.c), a.c.shape[1], *taps)
        need(math.prod(shape) <= LARGEST, "a composed form would be too large")
        arrays = []
        for x, y in ((a.c, b.c), (np.abs(a.size), np.abs(b.size))):
            total = np.zeros((b.groups, len(b.c) // b.groups, *shape[1:]))
            x = x.reshape(b.groups, b.c.shape[1], -1)
            for tap in np.ndindex(*k2):
                kernel = y[(slice(None), slice(None), *tap)]
                part = kernel.reshape(b.groups, -1, b.c.shape[1]) @ x
                place: Any = (slice(j, j + m) for j, m in zip(tap, k1, strict=True))
                total[(..., *place)] += part.reshape(*total.shape[:2], shape[1], *k1)
            arrays.append(total.reshape(shape))
        pads = (b2, e2) if pointwise else (b1, e1)
        return Map(b.axis, arrays[0], arrays[1], groups, (s2, ones, *pads))


def alike(a: Map, b: Map) -> tuple[Map, Map]:
    """Two maps of one value on one grid of coefficients; no proof where none holds both."""
    common_axis(a.axis, b.axis)
    # One number for all is as many as the other map has channels.
    counts = [m.c.shape[1] * m.groups for m in (a, b)]
    a, b = a._widened(b.axis, counts[1]), b._widened(a.axis, counts[0])
    rank = max(a.c.ndim, b.c.ndim) - 2
    a, b = a._raised(rank), b._raised(rank)
    if (a.groups, a.grid, a.c.shape) != (b.groups, b.grid, b.c.shape):
        need(not (a.transposed or b.transposed), "a sum with a ConvTranspose")
        need(
            a.grid[0] == b.grid[0]
            and len(a.c) == len(b.c)
            and a.c.shape[1] * a.groups == b.c.shape[1] * b.groups,
            "branches with different strides or channels",
        )
        if a.grid[1] != b.grid[1] or a.c.shape[2:] != b.c.shape[2:]:
            a, b = a._spread(), b._spread()
        pads = [tuple(map(max, a.grid[n], b.grid[n])) for n in (2, 3)]
        a, b = (m._grown(*pads) for m in (a, b))
        need(a.c.shape[2:] == b.c.shape[2:], "branches whose results differ in size")
        groups = math.gcd(a.groups, b.groups)
        a, b = a._regrouped(groups), b._regrouped(groups)
    if a.blocks is None and b.blocks is None:
        return a, b
    # A channel without coefficients is made of any group.
    x, y = ((m.c != 0.0) | (m.size != 0.0) for m in (a, b))
    some, others = (each.any(axis=tuple(range(1, each.ndim))) for each in (x, y))
    blocks = np.where(some, a.reads, b.reads)
    if np.array_equal(blocks[others], b.reads[others]):
        return a._reading(blocks), b._reading(blocks)
    return a._regrouped(1), b._regrouped(1)
