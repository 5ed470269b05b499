"""Numbers that are tied to one another: a union-find whose edges are affine, in batches.

Every number ``x`` is ``mul · x[root] + add``. Gauges' scales are such numbers with ``add = 0`` that
are never 0 and may have to be positive; gauges' shifts are such numbers without either.
"""

from __future__ import annotations

__all__ = ["Classes", "ConflictError"]

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Index = NDArray[np.intp]

_TOLERANCE = 1e-9


class ConflictError(Exception):
    """A tie that contradicts the others.

    Attributes:
        entry: Which entry of the batch.
        reason: What kind of contradiction.
        pinned_by: The op that fixes the class, -1 where ties alone do.
    """

    def __init__(self, entry: int, reason: str, pinned_by: int = -1) -> None:
        super().__init__(reason)
        self.entry, self.reason, self.pinned_by = entry, reason, pinned_by


class Classes:
    """Numbers in classes.

    Args:
        count: How many numbers.
        nonzero: Whether they are scales: never 0, with ties that only multiply.
    """

    def __init__(self, count: int, *, nonzero: bool) -> None:
        self.nonzero = nonzero
        self.parent = np.arange(count)
        self.mul, self.add = np.ones(count), np.zeros(count)
        self.size = np.ones(count, dtype=np.intp)
        self.value = np.full(count, np.nan)
        self.sign = np.zeros(count)
        self.by = np.full(count, -1)
        self.changed: list[Index] = []
        self.joined: list[tuple[Index, Index]] = []
        self._trail: list[tuple[NDArray[Any], Index, NDArray[Any]]] | None = None

    def begin(self) -> None:
        """What follows can be undone."""
        self._trail = []
        self.changed.clear()

    def undo(self) -> None:
        """Take back what was done since the beginning."""
        for array, index, old in reversed(self._trail or []):
            array[index] = old
        self._trail = []

    def _set(self, array: NDArray[Any], index: Index, new: Any) -> None:
        if self._trail is not None:
            self._trail.append((array, index, array[index]))
        array[index] = new

    def find(self, index: Index) -> tuple[Index, Floats, Floats]:
        """Roots r, and the numbers as ``mul · x[r] + add``."""
        root = index
        mul, add = self.mul[root], self.add[root]
        root = self.parent[root]
        while True:
            up = self.parent[root]
            if np.array_equal(up, root):
                return root, mul, add
            add = add + mul * self.add[root]
            mul = mul * self.mul[root]
            root = up

    def values(self, index: Index) -> Floats:
        """The numbers where their classes are fixed, else NaN."""
        root, mul, add = self.find(index)
        value: Floats = mul * self.value[root] + add
        return value

    def tie(
        self, i: Index, j: Index, mul: Floats | float = 1.0, add: Floats | float = 0.0, by: int = -1
    ) -> None:
        """``x[i] = mul · x[j] + add``, entry by entry."""
        times, plus = (np.broadcast_to(np.asarray(a, np.float64), i.shape) for a in (mul, add))
        entry = np.arange(i.size)
        while i.size:
            (ri, mi, ai), (rj, mj, aj) = self.find(i), self.find(j)
            k, d = times * mj / mi, (times * aj + plus - ai) / mi
            same = ri == rj
            self._check_loops(ri[same], k[same], d[same], entry[same], by)
            apart = ~same
            if not apart.any():
                return
            ri, rj, k, d, kept = ri[apart], rj[apart], k[apart], d[apart], entry[apart]
            low = (self.size[ri] < self.size[rj]) | ((self.size[ri] == self.size[rj]) & (ri < rj))
            child, parent = np.where(low, ri, rj), np.where(low, rj, ri)
            k, d = np.where(low, k, 1.0 / k), np.where(low, d, -d / k)
            _, first = np.unique(child, return_index=True)
            self._hook(child[first], parent[first], k[first], d[first], kept[first])
            i, j, times, plus, entry = i[apart], j[apart], times[apart], plus[apart], kept

    def _check_loops(self, root: Index, k: Floats, d: Floats, entry: Index, by: int) -> None:
        """``x = k · x + d`` says nothing, is wrong, or fixes x."""
        loose = np.abs(k - 1.0) <= _TOLERANCE
        wrong = loose & (np.abs(d) > _TOLERANCE * (1.0 + np.abs(d)))
        if self.nonzero:
            wrong |= ~loose
        if wrong.any():
            at = int(np.argmax(wrong))
            raise ConflictError(int(entry[at]), "loop", int(self.by[root[at]]))
        if not loose.all():
            fixed = ~loose
            self._fix(root[fixed], d[fixed] / (1.0 - k[fixed]), entry[fixed], by)

    def _hook(self, child: Index, parent: Index, k: Floats, d: Floats, entry: Index) -> None:
        self._set(self.parent, child, parent)
        self._set(self.mul, child, k)
        self._set(self.add, child, d)
        root, mul, add = self.find(child)
        unique, inverse = np.unique(root, return_inverse=True)
        grown = np.bincount(inverse, weights=self.size[child]).astype(np.intp)
        self._set(self.size, unique, self.size[unique] + grown)
        self.joined.append((child, root))
        self.changed.append(root)
        fixed = ~np.isnan(self.value[child])
        if fixed.any():
            value = (self.value[child[fixed]] - add[fixed]) / mul[fixed]
            self._fix(root[fixed], value, entry[fixed], self.by[child[fixed]])
        signed = self.sign[child] != 0.0
        if signed.any():
            wanted = self.sign[child[signed]] * np.sign(mul[signed])
            self._turn(root[signed], wanted, entry[signed], self.by[child[signed]])

    def fix(self, index: Index, value: Floats | float, by: int | Index) -> None:
        """``x[i] = value``."""
        root, mul, add = self.find(index)
        wanted = (np.broadcast_to(np.asarray(value, np.float64), index.shape) - add) / mul
        self._fix(root, wanted, np.arange(index.size), by)

    def _fix(self, root: Index, value: Floats, entry: Index, by: int | Index) -> None:
        if self.nonzero and np.any(value == 0.0):
            raise ConflictError(int(entry[np.argmax(value == 0.0)]), "zero")
        old, was_by = self.value[root], self.by[root]
        new = np.where(np.isnan(old), value, old)
        self._set(self.value, root, new)
        self._set(self.by, root, np.where(np.isnan(old), by, was_by))
        now = self.value[root]
        size = 1.0 + np.maximum(np.abs(now), np.abs(value))
        wrong = np.abs(now - value) > _TOLERANCE * size
        # An entry of another size in the same batch may have won.
        if wrong.any():
            at = int(np.argmax(wrong))
            raise ConflictError(int(entry[at]), "fixed", int(self.by[root[at]]))
        self._check_signs(root, entry)
        self.changed.append(root[np.isnan(old)])

    def positive(self, index: Index, by: int | Index) -> None:
        """``x[i] > 0``."""
        root, mul, _ = self.find(index)
        self._turn(root, np.sign(mul), np.arange(index.size), by)

    def _turn(self, root: Index, sign: Floats, entry: Index, by: int | Index) -> None:
        old = self.sign[root]
        self._set(self.sign, root, np.where(old == 0.0, sign, old))
        loose = np.isnan(self.value[root]) & (self.by[root] < 0)
        self._set(self.by, root, np.where(loose, by, self.by[root]))
        wrong = self.sign[root] != sign
        if wrong.any():
            at = int(np.argmax(wrong))
            raise ConflictError(int(entry[at]), "sign", int(self.by[root[at]]))
        self._check_signs(root, entry)

    def _check_signs(self, root: Index, entry: Index) -> None:
        value, sign = self.value[root], self.sign[root]
        wrong = ~np.isnan(value) & (sign != 0.0) & (np.sign(value) != sign)
        if wrong.any():
            at = int(np.argmax(wrong))
            raise ConflictError(int(entry[at]), "sign", int(self.by[root[at]]))

    def flatten(self) -> None:
        """Point every number at its root: no undoing past this."""
        root, mul, add = self.find(np.arange(self.parent.size))
        self.parent, self.mul, self.add = root, mul, add
        self._trail = None
