"""How far the rounding errors of a dot product walk, as the runtime's kernels add it up.

A kernel adds the products to one number, and each addition rounds the partial sum that is reached
then. Partial sums may be much larger than what they add up to: where a bias takes a large sum back,
or the terms pull one way first and then the other. So they are followed in the order in which
the weights stand, in segments.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CHAINS", "WALK", "Walks", "chain_of", "walk"]

Array = np.ndarray[Any, Any]

WALK = 0.44
"""Rounding units of a partial sum by which an addition errs, in rms: measured on the runtime."""

CHAINS = (384, 1024)
"""Terms that are added up one by one before the sum is added to others: the more, the fewer
columns a product has. Both were measured on the runtime, as was where they meet."""

_EQUAL = 0.12
"""Rounding units of a sum of equal terms, for each of them, by which the sum errs in rms: in one
direction for as long as the sum is no larger than the next power of two. Measured likewise."""

_PANEL = 1 << 14
_SEGMENTS = 6
_SAME = 1e-5

# Bytes of walks that are held together.
_ROOM = 1 << 28


class Walks:
    """The walks of one run's dot products, found once for all runs on the same inputs.

    Runs that differ by rounding alone have walks that differ by as little: next to nothing of an
    error that is itself a few rounding units.
    """

    def __init__(self, known: list[Array | None] | None = None) -> None:
        self._known: list[Array | None] = [] if known is None else known
        self._position = 0

    def again(self) -> Walks:
        """Return what a further run on the same inputs asks, from its first dot product on."""
        return Walks(self._known)

    def of(self, results: Array, find: Callable[[], Array]) -> Array:
        """Return the walk of the run's next dot products.

        Args:
            results: What they are.
            find: Follows them; called where no run before had results of this shape in this place.
        """
        place = self._position
        self._position += 1
        known = self._known[place] if place < len(self._known) else None
        if known is not None and known.shape == results.shape:
            return known
        found = find()
        if place == len(self._known):
            held = sum(item.nbytes for item in self._known if item is not None)
            self._known.append(found if held + found.nbytes <= _ROOM else None)
        return found


def chain_of(columns: int) -> int:
    """Return how many terms a kernel adds up one by one where the product has some columns."""
    return int(np.clip(_PANEL // max(columns, 1), *CHAINS))


def walk(
    run: Callable[[Array, Array], Any],
    one: Array,
    two: Array,
    terms: int,
    chain: int,
    axes: tuple[int, int] | None,
) -> Array:
    """Return the rms error of dot products in rounding units of 1, in the shape of the results.

    Args:
        run: Makes them of numbers and weights.
        one: The numbers.
        two: The weights.
        terms: How many products each adds up.
        chain: How many of these are added up one by one.
        axes: Along which axes of both the products lie in order; None where that is along none.
    """
    scales = [float(np.abs(value).max(initial=0.0)) or 1.0 for value in (one, two)]
    # Half as dear in single precision, which the scales keep from over- and underflow.
    one, two = ((v / s).astype(np.float32) for v, s in zip((one, two), scales, strict=True))
    squared = (
        _expected(run, one, two, terms)
        if axes is None
        else _followed(run, one, two, terms, chain, axes)
    )
    return np.asarray(WALK * scales[0] * scales[1] * np.sqrt(squared))


def _expected(run: Callable[[Array, Array], Any], one: Array, two: Array, terms: int) -> Array:
    """Return what the squares of the partial sums add up to, on an average over all orders.

    That of k terms whose sum is S and whose squares add up to T is about ``k (S^2 / 3 + T / 6)``.
    """
    total, squares = (np.asarray(run(one**n, two**n), np.float64) for n in (1, 2))
    return np.asarray(terms * (np.square(total) / 3 + np.maximum(squares, 0.0) / 6))


def _followed(
    run: Callable[[Array, Array], Any],
    one: Array,
    two: Array,
    terms: int,
    chain: int,
    axes: tuple[int, int],
) -> Array:
    """Return what the squares of the partial sums add up to, in the order of the terms.

    Within a segment of ``n`` terms a partial sum goes from ``a`` to ``b``: straight, but for what
    a walk between both strays. Its squares are then, on an average, ``n (a^2 + b^2) / 2``. Where
    segments in a row come to the same a term, the terms are taken to be equal, and the errors too.
    """
    size = one.shape[axes[0]]
    count = min(size, math.ceil(_SEGMENTS * max(1.0, terms / chain)))
    cuts = np.linspace(0, size, count + 1).astype(int)
    squares = total = reached = square = np.zeros(())
    each, equal, longest = np.zeros(()), np.zeros(()), np.zeros(())
    taken = 0.0
    for start, end in itertools.pairwise(cuts):
        length = terms * (end - start) / size
        if taken + length > 1.01 * chain and taken:
            total, reached, square, taken = total + reached, np.zeros(()), np.zeros(()), 0.0
            squares = squares + np.square(total)
        parts = (_part(v, axis, start, end) for v, axis in zip((one, two), axes, strict=True))
        more = np.asarray(run(*parts))
        last, each = each, more / length
        same = (np.abs(each - last) <= _SAME * np.abs(each)) & (each != 0.0)
        equal = np.where(same, equal + length, length)
        longest = np.where(same, np.maximum(longest, equal), longest)
        reached = reached + more
        before, square = square, np.square(reached)
        squares = squares + length / 2 * (before + square)
        taken += length
    drift = _EQUAL / WALK * np.minimum(longest, chain) * (total + reached)
    return np.maximum(squares, np.square(drift))


def _part(value: Array, axis: int, start: int, end: int) -> Array:
    return value[(*[slice(None)] * (axis % value.ndim), slice(start, end))]
