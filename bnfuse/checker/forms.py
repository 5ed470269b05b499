"""Linear forms: a value as a sum of linear maps of other values, and a constant.

Every coefficient is a float64 number with a ``magnitude``, the sum of the absolute values of the
terms that it was summed from: what cancelled is judged against what was there before.
"""

from __future__ import annotations

__all__ = [
    "IDENTITY",
    "Form",
    "Map",
    "NotLinear",
    "Relation",
    "apply",
    "compose",
    "residual",
    "units_apart",
]

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
_LARGEST = 1 << 27
"""Coefficients that a composed map may have: 1 GiB of float64."""


class NotLinear(Exception):  # noqa: N818 - says what a form is not
    """Where a composition leaves the maps that a form can hold."""


@dataclass(frozen=True, eq=False)
class Relation:
    """``b = scale · a + shift`` with one number of each per channel.

    Attributes:
        axis: The axis of the channels, from the front; ``None`` where the numbers are scalars.
        scale: float64 of shape (C,), or ().
        shift: Likewise.
        magnitude: Likewise: what the shift was summed from, in absolute values.
    """

    axis: int | None
    scale: Vector
    shift: Vector
    magnitude: Vector

    @classmethod
    def of(cls, axis: int | None, scale: Any, shift: Any = 0.0, magnitude: Any = None) -> Relation:
        """A relation with its parts broadcast; equal numbers for all channels have no axis."""
        magnitude = np.abs(shift) if magnitude is None else magnitude
        given = (np.asarray(part, np.float64) for part in (scale, shift, magnitude))
        parts: Sequence[Vector] = np.broadcast_arrays(*given)
        if parts[0].ndim and all(p.size and np.all(p == p.flat[0]) for p in parts):
            axis, parts = None, [p.reshape(-1)[0] for p in parts]
        return cls(axis, *(np.asarray(p) for p in parts))

    @property
    def parts(self) -> tuple[Vector, Vector, Vector]:
        """Scale, shift and magnitude."""
        return self.scale, self.shift, self.magnitude

    @property
    def is_identity(self) -> bool:
        """Whether b is a."""
        return bool(np.all(self.scale == 1.0) and np.all(self.shift == 0.0))

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

    def take(self, index: Any) -> Relation:
        """The channels at ``index``."""
        if self.axis is None:
            return self
        return Relation.of(self.axis, *(p[index] for p in self.parts))


IDENTITY = Relation.of(None, 1.0)


def compose(first: Relation, second: Relation) -> Relation:
    """``second(first(a))``.

    Raises:
        NotLinear: The two run along different axes.
    """
    if None not in (first.axis, second.axis) and first.axis != second.axis:
        raise NotLinear("two constants run along different axes")
    axis = first.axis if second.axis is None else second.axis
    if first.scale.size > 1 < second.scale.size and first.scale.shape != second.scale.shape:
        raise NotLinear("two constants of different lengths")
    return Relation.of(
        axis,
        second.scale * first.scale,
        second.scale * first.shift + second.shift,
        np.abs(second.scale) * first.magnitude + second.magnitude,
    )


@dataclass(frozen=True, eq=False)
class Map:
    """A linear map of one value.

    Attributes:
        kind: ``scale`` (one number per channel), ``matrix`` (a contraction of one axis),
            ``conv`` or ``deconv``.
        axis: The axis of the result's channels; ``None`` for one number for all.
        coefficients: float64, by kind: (C,) or (); (K, N); (O, I/g, *k); (I, O/g, *k).
        magnitudes: Of the same shape.
        geometry: What two maps must share beside it. Of a ``conv``: (groups, strides, dilations,
            begins, ends).
    """

    kind: str
    axis: int | None
    coefficients: Vector
    magnitudes: Vector
    geometry: tuple[Any, ...] = ()

    def after(self, relation: Relation) -> Map:
        """This map, and then the scales of ``relation``.

        Raises:
            NotLinear: They run along another axis.
        """
        s = relation.scale
        if relation.axis is None:
            return self._times(s)
        if self.kind == "scale" and self.axis is None:
            return replace(self._times(s), axis=relation.axis)
        if relation.axis != self.axis:
            raise NotLinear("two constants run along different axes")
        if self.kind in ("scale", "matrix"):
            return self._times(s)
        if self.kind == "conv":
            return self._times(s.reshape(-1, *[1] * (self.coefficients.ndim - 1)))
        per_group = s.reshape(self.geometry[0], -1)
        rows = np.repeat(per_group, self.coefficients.shape[0] // self.geometry[0], axis=0)
        return self._times(rows.reshape(*rows.shape, *[1] * (self.coefficients.ndim - 2)))

    def before(self, relation: Relation) -> Map:
        """The scales of ``relation``, and then this map, which is no ``scale``."""
        s = relation.scale
        if relation.axis is None:
            return self._times(s)
        if relation.axis != self.axis:
            raise NotLinear("two constants run along different axes")
        if self.kind == "conv":
            groups, shape = self.geometry[0], self.coefficients.shape
            per_group = np.repeat(s.reshape(groups, -1), shape[0] // groups, axis=0)
            return self._times(per_group.reshape(*per_group.shape, *[1] * (len(shape) - 2)))
        return self._times(s.reshape(-1, *[1] * (self.coefficients.ndim - 1)))

    def of_constant(self, relation: Relation) -> tuple[Vector, Vector]:
        """What this map, no ``scale``, makes of a constant per channel, and its magnitude.

        Raises:
            NotLinear: The result is no constant per channel: at a padded border it is another.
        """
        if self.kind == "deconv":
            raise NotLinear("a constant before ConvTranspose is another at the border")
        if relation.axis not in (None, self.axis):
            raise NotLinear("two constants run along different axes")
        if self.kind == "conv" and any((*self.geometry[3], *self.geometry[4])):
            raise NotLinear("a constant before zero padding is another at the border")
        channels = self.before(Relation.of(relation.axis, relation.shift)).coefficients
        sizes = replace(self, coefficients=self.magnitudes)
        sizes = sizes.before(Relation.of(relation.axis, relation.magnitude))
        axes = 0 if self.kind == "matrix" else tuple(range(1, channels.ndim))
        return channels.sum(axis=axes), sizes.coefficients.sum(axis=axes)

    def _times(self, factor: Vector) -> Map:
        if np.all(factor == 1.0):
            return self
        coefficients = self.coefficients * factor
        same = self.magnitudes is self.coefficients
        magnitudes = coefficients if same else self.magnitudes * np.abs(factor)
        return replace(self, coefficients=coefficients, magnitudes=magnitudes)

    def __add__(self, other: Map) -> Map:
        """The sum of two maps of one value."""
        a, b = self, other
        if a.kind == b.kind == "scale":
            if None not in (a.axis, b.axis) and a.axis != b.axis:
                raise NotLinear("two constants run along different axes")
            axis = a.axis if b.axis is None else b.axis
            return _summed(replace(a, axis=axis), b)
        if _on_one_grid(a, b):
            return _summed(a, b)
        if {a.kind, b.kind} == {"scale", "matrix"}:
            matrix, scale = (a, b) if a.kind == "matrix" else (b, a)
            if scale.axis in (None, matrix.axis):
                return _summed(matrix, _as_matrix(scale, matrix))
        if a.kind in ("conv", "scale") and b.kind in ("conv", "scale"):
            return _sum_of_convs(a, b)
        raise NotLinear(f"a {a.kind} and a {b.kind} have no common form")

    def then(self, second: Map) -> Map:
        """This map and then ``second``, neither a ``scale``.

        Raises:
            NotLinear: The composition is no map of these kinds.
        """
        if self.kind == second.kind == "matrix" and self.axis == second.axis:
            return Map(
                "matrix",
                self.axis,
                self.coefficients @ second.coefficients,
                np.abs(self.magnitudes) @ np.abs(second.magnitudes),
            )
        if self.kind == second.kind == "conv":
            return _conv_of_conv(self, second)
        raise NotLinear(f"a {second.kind} of a {self.kind} has no form")


def _on_one_grid(a: Map, b: Map) -> bool:
    same = a.kind == b.kind and a.geometry == b.geometry and a.axis == b.axis
    return same and a.coefficients.shape == b.coefficients.shape


def _summed(a: Map, b: Map) -> Map:
    coefficients = a.coefficients + b.coefficients
    return replace(
        a,
        coefficients=coefficients,
        magnitudes=np.abs(a.magnitudes) + np.abs(b.magnitudes),
    )


def _as_matrix(scale: Map, matrix: Map) -> Map:
    k, n = matrix.coefficients.shape
    if k != n or scale.coefficients.size not in (1, k):
        raise NotLinear("an identity beside a matrix that is not square")
    numbers, sizes = (np.diag(np.broadcast_to(c, (k,))) for c in _arrays(scale))
    return replace(matrix, coefficients=numbers, magnitudes=sizes)


def _arrays(m: Map) -> tuple[Vector, Vector]:
    return m.coefficients, m.magnitudes


def _sum_of_convs(a: Map, b: Map) -> Map:
    """Two convolutions of one value on the grid of taps that holds both."""
    conv = a if a.kind == "conv" else b
    rank = conv.coefficients.ndim - 2
    channels = conv.coefficients.shape[1] * conv.geometry[0]
    a, b = (_dense(_as_conv(m, channels, rank)) for m in (a, b))
    if a.geometry[1] != b.geometry[1] or a.coefficients.shape[:2] != b.coefficients.shape[:2]:
        raise NotLinear("branches with different strides or channels")
    begins = tuple(map(max, a.geometry[3], b.geometry[3]))
    ends = tuple(map(max, a.geometry[4], b.geometry[4]))
    grown_a, grown_b = (_grown_to(m, begins, ends) for m in (a, b))
    if grown_a.coefficients.shape != grown_b.coefficients.shape:
        raise NotLinear("branches whose results differ in size")
    return _summed(grown_a, grown_b)


def _as_conv(m: Map, channels: int, rank: int) -> Map:
    if m.kind == "conv":
        return m
    if m.axis not in (None, 1):
        raise NotLinear("a constant along another axis beside a convolution")
    if m.coefficients.size not in (1, channels):
        raise NotLinear("branches with different channels")
    shape = (channels, 1, *[1] * rank)
    ones, zeros = (1,) * rank, (0,) * rank
    numbers, sizes = (np.broadcast_to(c, (channels,)).reshape(shape) for c in _arrays(m))
    return Map("conv", 1, numbers, sizes, (channels, ones, ones, zeros, zeros))


def _dense(m: Map) -> Map:
    """A convolution with one group and dilations of 1."""
    groups, strides, dilations, begins, ends = m.geometry
    shape = m.coefficients.shape
    spread = tuple((k - 1) * d + 1 for k, d in zip(shape[2:], dilations, strict=True))
    full = (shape[0], shape[1] * groups, *spread)
    if np.prod(full, dtype=float) > _LARGEST:
        raise NotLinear("a dense form would be too large")
    taps = tuple(slice(None, None, d) for d in dilations)
    arrays = []
    for array in (m.coefficients, np.abs(m.magnitudes)):
        dense = np.zeros(full)
        o, i = shape[0] // groups, shape[1]
        for g in range(groups):
            rows, columns = slice(g * o, (g + 1) * o), slice(g * i, (g + 1) * i)
            dense[(rows, columns, *taps)] = array[rows]
        arrays.append(dense)
    return replace(
        m,
        coefficients=arrays[0],
        magnitudes=arrays[1],
        geometry=(1, strides, (1,) * len(strides), begins, ends),
    )


def _grown_to(m: Map, begins: tuple[int, ...], ends: tuple[int, ...]) -> Map:
    """The same dense convolution with more padding and zero taps in it."""
    groups, strides, dilations, old_begins, old_ends = m.geometry
    more = [(n - o, e - p) for n, o, e, p in zip(begins, old_begins, ends, old_ends, strict=True)]
    pads = ((0, 0), (0, 0), *more)
    numbers, sizes = (np.pad(array, pads) for array in _arrays(m))
    return Map("conv", 1, numbers, sizes, (groups, strides, dilations, begins, ends))


def _conv_of_conv(first: Map, second: Map) -> Map:
    """``second(first(x))``, exact where no padding of the second meets what the first computed.

    A tap ``i`` of the first and ``j`` of the second read ``x`` at ``s1·(s2·p + j) + i - b1``. A
    pointwise first without a constant makes zeros of zeros, so the second's padding may stay.
    """
    first, second = _dense(first), _dense(second)
    _, s1, _, b1, e1 = first.geometry
    _, s2, _, b2, e2 = second.geometry
    k1, k2 = first.coefficients.shape[2:], second.coefficients.shape[2:]
    pointwise = all(n == 1 for n in k1) and not any((*b1, *e1)) and all(s == 1 for s in s1)
    if any((*b2, *e2)) and not pointwise:
        raise NotLinear("zero padding between two convolutions")
    size = tuple((n - 1) * s + m for n, s, m in zip(k2, s1, k1, strict=True))
    out, inner = second.coefficients.shape[:2]
    if first.coefficients.shape[0] != inner:
        raise NotLinear("channels that do not fit")
    shape = (out, first.coefficients.shape[1], *size)
    if np.prod(shape, dtype=float) > _LARGEST:
        raise NotLinear("a composed form would be too large")
    if pointwise:
        b1, e1 = b2, e2
    elif any(s != 1 for s in s1):
        # The last columns that the first skips depend on the size of the input.
        raise NotLinear("a convolution after one with a stride")
    arrays = []
    for a, b in zip(_arrays(first), _arrays(second), strict=True):
        if a is not first.coefficients:
            a, b = np.abs(a), np.abs(b)
        total = np.zeros(shape)
        for tap in np.ndindex(*k2):
            place = tuple(slice(j * s, j * s + m) for j, s, m in zip(tap, s1, k1, strict=True))
            kernel = b[(slice(None), slice(None), *tap)]
            total[(slice(None), slice(None), *place)] += np.tensordot(kernel, a, axes=(1, 0))
        arrays.append(total)
    strides = tuple(x * y for x, y in zip(s1, s2, strict=True))
    return Map("conv", 1, arrays[0], arrays[1], (1, strides, (1,) * len(strides), b1, e1))


@dataclass(frozen=True, eq=False)
class Form:
    """A value as ``Σ map_i(value_i) + constant``.

    Attributes:
        maps: The map of each value.
        constant: A relation of which only the shift speaks.
        spread: Whether operands of a sum in it may have been broadcast against each other.
    """

    maps: dict[str, Map]
    constant: Relation
    spread: bool = False

    @classmethod
    def value(cls, name: str, relation: Relation = IDENTITY) -> Form:
        """A value, or what ``relation`` makes of it."""
        scale = Map("scale", relation.axis, relation.scale, relation.scale)
        return cls({name: scale}, relation.only_shift())

    def after(self, relation: Relation) -> Form:
        """This, and then ``relation``."""
        maps = {name: m.after(relation) for name, m in self.maps.items()}
        return Form(maps, compose(self.constant, relation).only_shift(), self.spread)

    def __add__(self, other: Form) -> Form:
        """The sum, value by value."""
        maps = dict(self.maps)
        for name, m in other.maps.items():
            maps[name] = maps[name] + m if name in maps else m
        constant = compose(self.constant, other.constant)
        return Form(maps, constant, self.spread or other.spread)


def apply(second: Map, bias: Relation, form: Form) -> Form:
    """A linear map with a bias, of a form.

    Raises:
        NotLinear: The composition is none that a form can hold.
    """
    if form.spread:
        raise NotLinear("a linear map of a sum whose operands may differ in size")
    maps: dict[str, Map] = {}
    for name, m in form.maps.items():
        if m.kind == "scale":
            maps[name] = second.before(Relation.of(m.axis, m.coefficients))
            if m.magnitudes is not m.coefficients:
                sized = replace(second, coefficients=second.magnitudes)
                sized = sized.before(Relation.of(m.axis, np.abs(m.magnitudes)))
                maps[name] = replace(maps[name], magnitudes=np.abs(sized.coefficients))
        else:
            if np.any(form.constant.magnitude) and second.kind == "conv":
                second.of_constant(form.constant)
            maps[name] = m.then(second)
    constant = bias
    if np.any(form.constant.magnitude):
        shift, size = second.of_constant(form.constant)
        constant = compose(Relation.of(second.axis, 1.0, shift, size), bias)
    return Form(maps, constant)


def residual(a: Form, b: Form, unit: float, floor: float) -> tuple[float, str]:
    """How far two forms of the same values differ, in rounding units of their terms.

    Args:
        a: Of the original, whose magnitudes measure.
        b: Of the candidate.
        unit: The relative rounding error of the type that the candidate's constants are in.
        floor: The smallest step of that type near zero.

    Returns:
        The largest difference in units, and where: ``value[index]``.

    Raises:
        NotLinear: They are not of the same values or the same kind.
    """
    if a.maps.keys() != b.maps.keys():
        raise NotLinear("it is computed from other values")
    worst, where = 0.0, ""
    for name, mine in a.maps.items():
        x, y = alike(mine, b.maps[name])
        units, place = units_apart(x.coefficients, y.coefficients, x.magnitudes, unit, floor)
        if not units <= worst:
            worst, where = units, f"the coefficient {place} of {name!r}"
    compose(a.constant, b.constant)
    units, place = units_apart(
        a.constant.shift, b.constant.shift, a.constant.magnitude, unit, floor
    )
    if not units <= worst:
        worst, where = units, f"the constant {place}"
    return worst, where


def alike(a: Map, b: Map) -> tuple[Map, Map]:
    """Two maps of one value on one grid of coefficients.

    Raises:
        NotLinear: There is none that holds both.
    """
    if a.kind == b.kind == "scale":
        if None not in (a.axis, b.axis) and a.axis != b.axis:
            raise NotLinear("two constants run along different axes")
        return a, b
    if _on_one_grid(a, b):
        return a, b
    # Zero of one on the grid of the other.
    return a + replace(b, coefficients=0 * b.coefficients, magnitudes=0 * b.magnitudes), (
        replace(a, coefficients=0 * a.coefficients, magnitudes=0 * a.magnitudes) + b
    )


def units_apart(x: Any, y: Any, size: Any, unit: float, floor: float) -> tuple[float, str]:
    """The largest difference of two arrays in rounding units of ``size``, and its index."""
    difference = np.abs(x - y)
    if not difference.any():
        return (0.0, "") if np.isfinite(difference).all() else (np.inf, "")
    with np.errstate(all="ignore"):
        units = np.maximum(difference - floor, 0.0) / (unit * np.abs(size))
    units = np.where(difference <= floor, 0.0, units)
    units = np.where(np.isnan(units), np.inf, units)
    place = np.unravel_index(int(np.argmax(units)), units.shape)
    return float(units[place]), str([int(i) for i in place])
