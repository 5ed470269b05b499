"""Inputs on both sides of where the original decides otherwise.

A threshold that is off by a thousandth shows only between it and the right one, where hardly any
number that is drawn lies. So the way between two inputs on which the original decides differently
is halved again and again. What lies so near that rounding might turn the decision tells nothing:
the two sides keep a distance at which rounding many times as coarse does not.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bnfuse.verifying.runtime.floats import is_float, unit_roundoff
from bnfuse.verifying.runtime.narrow_types import carried
from bnfuse.verifying.runtime.sessions import RunError
from bnfuse.verifying.samples.drawing import Sample
from bnfuse.verifying.truth.jitter import Jitter
from bnfuse.verifying.truth.sources import NoTruthError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bnfuse.verifying.original.follow import Follower
    from bnfuse.verifying.runtime.onnx_models import Port

__all__ = ["near"]

Array = np.ndarray[Any, Any]

_HALVINGS = 16
# Parts of the whole way that the two sides keep from the decision, the nearest first.
_DISTANCES = (2.0**-15, 2.0**-12, 2.0**-9, 2.0**-6)
# How many times as coarse as the original's is the rounding that no side turns by, in each run.
_COARSE = 16.0
_DRAWS = 2
# Decisions in all that are sought one at a time: those that no row takes by itself.
_MOST_ALONE = 6
# Rows after which no further way is gone for them.
_MOST_ROWS = 48
# Elements of a row's decisions among which the one least sought is taken.
_MOST_ELEMENTS = 64


class _Coarse(Jitter):
    """Errs as :class:`Jitter`, many times as much."""

    @property
    def inner(self) -> float:
        return _COARSE * super().inner

    def weight(self, value: Array, unit: float) -> Array:
        return value + _COARSE * (super().weight(value, unit) - value)


@dataclass(frozen=True)
class _Mark:
    """What is to change on the way: one element of a decision, or all of it without an index."""

    choice: int
    index: tuple[int, ...] | None

    def same(self, one: Sequence[Array], two: Sequence[Array]) -> bool:
        a, b = one[self.choice], two[self.choice]
        inside = self.index is not None and all(np.less(self.index, a.shape))
        if inside and a.shape == b.shape:
            a, b = a[self.index], b[self.index]
        return np.array_equal(a, b)


def near(
    follower: Follower,
    ports: Iterable[Port],
    ends: Iterable[tuple[Mapping[str, Array], Mapping[str, Array]]],
    seed: int,
) -> list[Sample]:
    """Return inputs between pairs of others, next to where the original's decisions change.

    Args:
        follower: Knows the decisions.
        ports: The model's inputs.
        ends: Pairs of inputs of the same shapes. Between them the floats are moved together, row
            by row where the decisions go by rows; all other inputs are the first's.
        seed: Of the choice among what changes, and of simulated rounding.
    """
    ports = list(ports)
    moved = [port for port in ports if port.dtype is not None and is_float(port.dtype)]
    is_open = all(port.dims and not isinstance(port.dims[0], int) for port in ports)
    found: list[Sample] = []
    search = _Search(follower, moved, np.random.default_rng(seed))
    for one, two in ends if moved else ():
        rows = {value.shape[:1] for value in one.values()}
        alone = is_open and len(rows) == 1
        with suppress(NoTruthError, RunError):
            found += search.between(one, two, rows=alone)
            if alone:
                # What is decided for all rows together is decided for one by itself, too.
                first, last = ({n: v[:1] for n, v in end.items()} for end in (one, two))
                found += search.between(first, last)
    return found


class _Search:
    """What was sought so far, of one original's decisions."""

    def __init__(self, follower: Follower, moved: Sequence[Port], rng: np.random.Generator) -> None:
        self._follower = follower
        self._moved = moved
        self._rng = rng
        units = [unit_roundoff(port.dtype) for port in moved if port.dtype is not None]
        self._jitter = _Coarse(rng, max(units, default=0.0))
        # How many rows by decision, and by element of it; which go by rows; how many others.
        self._sought: Counter[tuple[int, ...]] = Counter()
        self._by_rows: set[int] = set()
        self._alone = 0

    def between(
        self, one: Mapping[str, Array], two: Mapping[str, Array], *, rows: bool = False
    ) -> list[Sample]:
        """Return pairs of samples on the two sides of decisions.

        Args:
            one: The inputs to start from.
            two: The inputs that the floats are taken of at the other end.
            rows: Leave out what is decided for all rows together.
        """
        way = _Way(self._moved, one, two)
        ends = [self._follower.decided(way.at(np.full(1, place))) for place in (0.0, 1.0)]
        by_row: list[list[_Mark]] = [[] for _ in range(way.rows)]
        alone: list[_Mark] = []
        for n, (first, last) in enumerate(zip(*ends, strict=True)):
            selects = self._follower.choices[n].decision.op == "NonMaxSuppression"
            alike = first.shape == last.shape and not selects
            if alike and way.rows > 1 and first.shape[:1] == (way.rows,):
                self._by_rows.add(n)
                for row in range(way.rows):
                    by_row[row] += self._changing(n, first, last, row)
            elif rows or n in self._by_rows:
                continue
            elif alike:
                alone += self._changing(n, first, last)
            elif not np.array_equal(first, last):
                alone.append(_Mark(n, None))
        found: list[Sample] = []
        done = sum(self._sought[(n,)] for n in self._by_rows)
        marks = [self._least(row) for row in by_row] if done < _MOST_ROWS else []
        if any(marks):
            found += self._sides(way, marks, ends[0])
        for mark in alone[: _MOST_ALONE - self._alone]:
            self._alone += 1
            found += self._sides(way, [mark], ends[0])
        return found

    def _changing(self, n: int, one: Array, two: Array, row: int | None = None) -> list[_Mark]:
        """Return the element of a decision, or of its row, that changes and was least sought."""
        within = ... if row is None else row
        places = np.argwhere(np.asarray(one[within] != two[within]))
        if not len(places):
            return []
        places = self._rng.permutation(places)[:_MOST_ELEMENTS]
        best = min(places.tolist(), key=lambda place: self._sought[n, *place])
        return [_Mark(n, tuple(best) if row is None else (row, *best))]

    def _least(self, marks: Sequence[_Mark]) -> _Mark | None:
        if not marks:
            return None
        mark = min(marks, key=lambda mark: self._sought[(mark.choice,)])
        self._sought[(mark.choice,)] += 1
        self._sought[mark.choice, *(mark.index or ())[1:]] += 1
        return mark

    def _sides(
        self, way: _Way, marks: Sequence[_Mark | None], first: Sequence[Array]
    ) -> list[Sample]:
        """Return two samples next to the change of each row's mark that halving comes to."""
        lacking = np.array([mark is not None for mark in marks])
        low, high = np.zeros(len(marks)), lacking.astype(np.float64)
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            same = _same(marks, self._follower.decided(way.at(middle)), first)
            low, high = np.where(same, middle, low), np.where(same, high, middle)
        taken = [self._follower.decided(way.at(place)) for place in (low, high)]
        sides = [np.zeros(len(marks)), np.zeros(len(marks))]
        for distance in _DISTANCES:
            apart = [np.clip(low - distance, 0.0, 1.0), np.clip(high + distance, 0.0, 1.0)]
            tried = [np.where(lacking, new, old) for new, old in zip(apart, sides, strict=True)]
            steady = lacking
            for place, decided in zip(tried * _DRAWS, taken * _DRAWS, strict=True):
                drawn = self._follower.decided(way.at(place), self._jitter)
                steady = steady & _same(marks, drawn, decided)
            sides = [np.where(steady, new, old) for new, old in zip(tried, sides, strict=True)]
            lacking = lacking & ~steady
            if not lacking.any():
                break
        return [Sample("near", way.at(place)) for place in sides if any(map(np.any, sides))]


def _same(marks: Sequence[_Mark | None], one: Sequence[Array], two: Sequence[Array]) -> Array:
    return np.array([mark is None or mark.same(one, two) for mark in marks])


class _Way:
    """The straight way between two inputs.

    Attributes:
        rows: How many the inputs that are moved have; 1 if they differ in that.
    """

    def __init__(
        self, moved: Sequence[Port], one: Mapping[str, Array], two: Mapping[str, Array]
    ) -> None:
        self._moved = moved
        self._one = one
        self._two = two
        lengths = {one[port.name].shape[:1] or (1,) for port in moved}
        self.rows = next(iter(lengths))[0] if len(lengths) == 1 else 1

    def at(self, place: Array) -> dict[str, Array]:
        """Return the inputs at a place from 0 to 1 for each row, or at one place for all."""
        feeds = dict(self._one)
        for port in self._moved:
            a, b = (np.asarray(end[port.name], np.float64) for end in (self._one, self._two))
            each = place.reshape(-1, *[1] * (a.ndim - 1)) if a.ndim else place[0]
            assert port.dtype is not None
            value = np.asarray(a + (b - a) * each, port.dtype)
            feeds[port.name] = value.astype(carried(port.dtype))
        return feeds
