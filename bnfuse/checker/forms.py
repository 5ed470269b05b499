"""Linear forms: a value as a sum of linear maps of other values, and a constant."""

from __future__ import annotations

__all__ = ["Form", "residual", "units_apart"]

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bnfuse.checker.maps import Map, Rows, alike
from bnfuse.checker.nodes import NotProved, need
from bnfuse.checker.relations import (
    IDENTITY,
    Order,
    Relation,
    common_axis,
    compose,
    ordered,
    reshaped,
    then,
    whole,
)
from bnfuse.checker.sizes import Shape

_BLOCK = 1 << 16
"""Coefficients that are compared at a time."""


@dataclass(frozen=True, eq=False)
class Form:
    """A value as ``Σ map_i(value_i) + constant``.

    Attributes:
        maps: The map of each value.
        constant: A relation of which only the shift speaks.
        spread: Whether operands of a sum in it may have been broadcast against each other.
        view: The shape of the sources, whose axes the maps and the constant have, and that in which
            the value has their elements.
        order: Of the axes of the value, beside those of the view.
    """

    maps: dict[str, Map]
    constant: Relation = IDENTITY
    spread: bool = False
    order: Order = None
    view: tuple[Shape, Shape] | None = None

    @classmethod
    def value(cls, name: str) -> Form:
        """A value."""
        return cls({name: Map.scales(IDENTITY)})

    def placed(self, relation: Relation) -> Relation:
        """A relation of the value, along the axis that its channels have in the sources."""
        own = relation.along(ordered(relation.axis, self.order))
        return own if self.view is None else reshaped(own, *self.view[::-1])

    def after(self, relation: Relation) -> Form:
        """This, and then ``relation``."""
        own = self.placed(relation)
        maps = {name: m.after(own) for name, m in self.maps.items()}
        turned = replace(self, maps=maps, constant=compose(self.constant, own).only_shift())
        return turned if relation.order is None else turned.turned(relation.order)

    def turned(self, order: Order) -> Form:
        """This with its axes put in order."""
        return replace(self, order=then(self.order, order))

    def viewed(self, before: Shape, after: Shape) -> Form:
        """This, of a shape ``before``, with its elements in the same order in another shape."""
        need(self.order is None and not self.spread, "another shape of a Transpose or a sum")
        first = self.view[0] if self.view else before
        need(None not in (*first, *after), "sizes that are not known")
        return replace(self, view=None if first == after else (first, after))

    def __add__(self, other: Form) -> Form:
        """The sum, value by value."""
        alike = (self.order, self.view) == (other.order, other.view)
        need(alike, "a sum of values whose axes are in different orders")
        maps = dict(self.maps)
        for name, m in other.maps.items():
            maps[name] = maps[name] + m if name in maps else m
        constant = compose(self.constant, other.constant)
        return replace(self, maps=maps, constant=constant, spread=self.spread or other.spread)

    def picked(self, axis: int, count: int, rows: Rows) -> Form:
        """Some of the ``count`` elements along an axis, as :meth:`Map.picked` has them."""
        need(self.view is None and not self.spread, "elements of a sum, or of another shape")
        own = ordered(axis, self.order) or 0
        common_axis(self.constant.axis, own)
        parts = (
            np.where(rows < 0, 0.0, np.broadcast_to(part, count)[rows])
            for part in (self.constant.shift, self.constant.magnitude)
        )
        maps = {name: m.picked(own, count, rows) for name, m in self.maps.items()}
        return replace(self, maps=maps, constant=Relation.of(own, 1.0, *parts))

    def then(self, second: Map, bias: Relation = IDENTITY) -> Form:
        """This, and then a linear map with a bias, of which only the shift speaks."""
        need(not self.spread, "a linear map of a sum whose operands may differ in size")
        second, view = second.placed(self.order), self.view
        if view is not None:
            # Channels that are an axis of their own in both shapes: as many in both, behind it.
            axis, count = second.axis or 0, len(second.c)
            place = whole(axis, view[1], view[0])
            if place is None:
                raise NotProved("a linear map of values in another shape")
            first, after = (
                (*shape[:i], count, *shape[i + 1 :])
                for shape, i in zip(view, (place, axis), strict=True)
            )
            view = first, after
            second = replace(second.placed(tuple(range(len(after)))), axis=place)
        made = replace(self, view=view, maps={n: m.then(second) for n, m in self.maps.items()})
        return replace(made, constant=compose(second.of_constant(self.constant), made.placed(bias)))


def residual(a: Form, b: Form, unit: float, floor: float) -> tuple[float, str]:
    """How far two forms of the same values differ, in rounding units of their terms.

    Args:
        a: Of the original, whose sizes measure.
        b: Of the candidate.
        unit: The relative rounding error of the type that the candidate's constants are in.
        floor: The smallest step of that type near zero.

    Returns:
        The largest difference in units, and where: ``value[index]``.
    """
    need(a.maps.keys() == b.maps.keys(), "it is computed from other values")
    need(a.order == b.order, "its axes are in another order")
    worst, where = 0.0, ""
    for name, mine in a.maps.items():
        x, y = alike(mine, b.maps[name])
        units, place = units_apart(x.c, y.c, x.size, unit, floor)
        if not units <= worst:
            worst, where = units, f"the coefficient {place} of {name!r}"
    compose(a.constant, b.constant)
    units, place = units_apart(
        a.constant.shift, b.constant.shift, a.constant.magnitude, unit, floor
    )
    return (worst, where) if units <= worst else (units, f"the constant {place}")


def units_apart(x: Any, y: Any, size: Any, unit: float, floor: float) -> tuple[float, str]:
    """The largest difference of two arrays in rounding units of ``size``, and its index."""
    # What is lost near zero is no rounding where all numbers lie there.
    most = max(np.max(size, initial=0.0), -np.min(size, initial=0.0))
    floor = min(floor, unit * float(most))
    arrays = np.broadcast_arrays(x, y, size)
    flat = [array.reshape(-1) for array in arrays]
    worst, place = 0.0, -1
    for begin in range(0, flat[0].size, _BLOCK):
        one, other, terms = (array[begin : begin + _BLOCK] for array in flat)
        beyond = np.abs(one - other)
        beyond -= floor
        units = np.zeros_like(beyond)
        with np.errstate(all="ignore"):
            np.divide(beyond, unit * np.abs(terms), out=units, where=~(beyond <= 0.0))
        units[np.isnan(units)] = np.inf
        largest = int(np.argmax(units))
        if units[largest] > worst:
            worst, place = float(units[largest]), begin + largest
    index = np.unravel_index(place, arrays[0].shape) if place >= 0 else ()
    return worst, str([int(i) for i in index]) if place >= 0 else ""
