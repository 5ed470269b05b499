"""What may be claimed of two forms, or of two tables: scales, shifts and an order of axes.

A claim is read off the numbers; whether it holds, the checker says.
"""

from __future__ import annotations

__all__ = ["of_forms", "of_tables"]

from dataclasses import replace
from typing import Any

import numpy as np

from bnfuse.checker.check import Forms
from bnfuse.checker.maps import alike
from bnfuse.checker.nodes import need
from bnfuse.checker.relations import IDENTITY, Relation, inverse, reshaped, then

Array = np.ndarray[Any, Any]

_SNAP = 64.0
"""Rounding units within which a scale is 1 and a shift is 0."""


_BLOCK = 1 << 8
"""Coefficients of each channel that are compared at a time."""

_FEW = 8
"""Numbers that are taken for the same in many channels."""


def of_tables(x: Array, y: Array) -> Relation:
    """How the columns of the second table follow from those of the first."""
    if x.shape != y.shape or x.ndim != 2 or x.dtype.kind != "f":
        return IDENTITY
    low, high, columns = x.argmin(axis=0), x.argmax(axis=0), np.arange(x.shape[1])
    span, rise = (t[high, columns] - t[low, columns] for t in (x, y))
    with np.errstate(all="ignore"):
        scale = np.where(span > 0.0, rise / span, 1.0)
    scale = np.where(np.abs(scale - 1.0) < 1e-6, 1.0, scale)
    shift = y[high, columns] - scale * x[high, columns]
    size = np.abs(y[high, columns]) + np.abs(scale * x[high, columns])
    return Relation.of(1, scale, np.where(np.abs(shift) <= 4e-7 * size, 0.0, shift))


def of_forms(forms: Forms) -> Relation:
    """The scales and shifts that make most of one form into the other."""
    a, b, unit, sizes = forms
    need(a.maps.keys() == b.maps.keys(), "it is computed from other values")
    axes = [f.constant.axis for f in (a, b)]
    above: Array | float = 0.0
    below: Array | float = 0.0
    low, high = np.asarray(-np.inf), np.asarray(np.inf)
    for name, mine in a.maps.items():
        x, y = alike(mine, b.maps[name])
        axes += [x.axis, y.axis]
        v, w = (m.c.reshape(len(m.c), -1) for m in (x, y))
        above = above + np.einsum("oi,oi->o", v, w)
        below = below + np.einsum("oi,oi->o", v, v)
        least, most = _ratios(v, w, unit)
        low, high = np.maximum(low, least), np.minimum(high, most)
    with np.errstate(all="ignore"):
        scale = np.where(below > 0.0, above / below, 1.0)
        scale = np.where((low <= high) & np.isfinite(high - low), (low + high) / 2.0, scale)
    need(len({axis for axis in axes if axis is not None}) <= 1, "numbers along different axes")
    scale = _few(scale, np.asarray(below), _SNAP * unit)
    scale = np.where((np.abs(scale - 1.0) <= _SNAP * unit) | (scale == 0.0), 1.0, scale)
    shift = b.constant.shift - scale * a.constant.shift
    size = np.abs(scale) * a.constant.magnitude + sizes.magnitude + np.abs(b.constant.shift)
    shift = np.where(np.abs(shift) <= _SNAP * unit * size, 0.0, shift)
    axis = next((axis for axis in axes if axis is not None), None)
    if axis is None:
        scale, shift = np.reshape(scale, -1)[0], np.reshape(shift, -1)[0]
    found = Relation.of(axis, *np.broadcast_arrays(scale, shift))
    found = reshaped(found, *a.view) if a.view else found
    if a.order is not None and found.axis is not None:
        found = found.along(a.order.index(found.axis))
    return replace(found, order=then(inverse(a.order), b.order))


def _ratios(v: Array, w: Array, unit: float) -> tuple[Array, Array]:
    """The smallest and largest scale that makes ``v`` to ``w`` but for one rounding, row by row."""
    low, high = np.full(len(v), -np.inf), np.full(len(v), np.inf)
    for begin in range(0, v.shape[1], _BLOCK):
        part = slice(begin, begin + _BLOCK)
        with np.errstate(all="ignore"):
            ratios = np.where(v[:, part] != 0.0, w[:, part] / v[:, part], np.nan)
        spread = unit * np.abs(ratios)
        low = np.fmax(low, np.fmax.reduce(ratios - spread, axis=1))
        high = np.fmin(high, np.fmin.reduce(ratios + spread, axis=1))
    return low, high


def _few(numbers: Array, weights: Array, tolerance: float) -> Array:
    """Numbers of which there are few but for rounding, as those few; others as they are.

    One number for all channels passes any Reshape, and one for all heads theirs.
    """
    if not np.isfinite(numbers).all() or not np.any(weights):
        return numbers
    # What is 0 on both sides has any number.
    numbers = np.where(weights > 0.0, numbers, numbers[np.argmax(weights)])
    order = np.argsort(numbers)
    steps = np.diff(numbers[order]) > tolerance * np.abs(numbers[order][1:])
    groups = np.empty(len(numbers), int)
    groups[order] = np.concatenate([[0], np.cumsum(steps)])
    if groups.max() >= _FEW:
        return numbers
    sums, totals = (np.bincount(groups, w) for w in (numbers * weights, weights))
    with np.errstate(all="ignore"):
        means = sums / totals
    return np.where(weights > 0.0, means[groups], numbers)
