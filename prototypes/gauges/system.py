"""Classes and what ties three or more of them: a product of scales, a sum of shifts.

Such an equation waits until all but two of its numbers are known, and is a tie or a fixed number
from then on. As long as three are free one of them is the slack: nothing to be checked.
"""

from __future__ import annotations

__all__ = ["Equation", "System"]

from dataclasses import dataclass

import numpy as np

from prototypes.gauges.classes import Classes, ConflictError, Floats, Index

_TINY = 1e-9


@dataclass(frozen=True, eq=False)
class Equation:
    """``Σ coefficient · x = constant``; of scales ``Π x ** coefficient = constant``.

    Attributes:
        terms: Numbers of shape (n,) with their coefficient, one or n.
        constant: One or n.
        by: The op that asks for it.
    """

    terms: tuple[tuple[Index, Floats], ...]
    constant: Floats
    by: int


class System:
    """All scales, or all shifts, of a graph."""

    def __init__(self, count: int, *, nonzero: bool) -> None:
        self.classes = Classes(count, nonzero=nonzero)
        self.equations: list[Equation] = []
        self._watch: dict[int, set[int]] = {}

    def add_equation(self, equation: Equation) -> None:
        """Add one, to be looked at by the next :meth:`settle`."""
        number = len(self.equations)
        self.equations.append(equation)
        for index, _ in equation.terms:
            for root in np.unique(self.classes.find(index)[0]):
                self._watch.setdefault(int(root), set()).add(number)
        self.classes.changed.append(equation.terms[0][0])

    def settle(self) -> None:
        """Follow what was tied or fixed through the equations that it stands in."""
        classes = self.classes
        while True:
            for child, root in classes.joined:
                for c, r in zip(child.tolist(), root.tolist(), strict=True):
                    if c in self._watch:
                        self._watch.setdefault(r, set()).update(self._watch[c])
            classes.joined.clear()
            if not classes.changed:
                return
            roots = np.unique(classes.find(np.unique(np.concatenate(classes.changed)))[0])
            classes.changed.clear()
            due: set[int] = set()
            if self._watch:
                due.update(*(self._watch.get(root, ()) for root in roots.tolist()))
            for number in sorted(due):
                self._follow(self.equations[number])

    def drop(self, count: int) -> None:
        """Forget the equations from this one on; their numbers are not given again."""
        for number in range(count, len(self.equations)):
            nothing = np.zeros(0, dtype=np.intp)
            gone = ((nothing, np.zeros(())),)
            self.equations[number] = Equation(gone, np.zeros(()), self.equations[number].by)

    def waiting_entries(self, equation: Equation) -> Index:
        """Which entries of an equation have three free numbers or more."""
        return np.flatnonzero(self._reduced(equation)[3] > 2)

    def _reduced(self, equation: Equation) -> tuple[Floats, Index, Floats, Index]:
        """What is left: coefficients (T, n) of roots (T, n), the constant, how many are free."""
        classes, nonzero = self.classes, self.classes.nonzero
        n = equation.terms[0][0].size
        coefficients = np.empty((len(equation.terms), n))
        roots = np.empty((len(equation.terms), n), dtype=np.intp)
        constant = np.broadcast_to(equation.constant, (n,)).astype(np.float64)
        for t, (index, given) in enumerate(equation.terms):
            root, mul, add = classes.find(index)
            value = classes.value[root]
            fixed = ~np.isnan(value)
            coefficient = np.broadcast_to(given, (n,))
            with np.errstate(all="ignore"):
                if nonzero:
                    constant = constant / np.where(fixed, mul * value, mul) ** coefficient
                    left = coefficient
                else:
                    part = np.where(fixed, mul * np.nan_to_num(value) + add, add)
                    constant = constant - coefficient * part
                    left = coefficient * mul
            coefficients[t] = np.where(fixed, 0.0, left)
            roots[t] = root
        for t in range(1, len(equation.terms)):
            for s in range(t):
                alike = (roots[s] == roots[t]) & (coefficients[s] != 0.0)
                coefficients[s] = np.where(
                    alike, coefficients[s] + coefficients[t], coefficients[s]
                )
                coefficients[t] = np.where(alike, 0.0, coefficients[t])
        coefficients[np.abs(coefficients) < _TINY] = 0.0
        return coefficients, roots, constant, np.count_nonzero(coefficients, axis=0)

    def _follow(self, equation: Equation) -> None:
        coefficients, roots, constant, count = self._reduced(equation)
        classes, neutral = self.classes, 1.0 if self.classes.nonzero else 0.0
        known = count == 0
        wrong = known & (np.abs(constant - neutral) > _TINY * (1.0 + np.abs(constant)) * 10)
        if wrong.any():
            raise ConflictError(int(np.argmax(wrong)), "equation", equation.by)
        order = np.argsort(coefficients == 0.0, axis=0, kind="stable")
        c = np.take_along_axis(coefficients, order, axis=0)
        r = np.take_along_axis(roots, order, axis=0)
        one, two = count == 1, count == 2
        if classes.nonzero:
            squares = one & (np.abs(c[0]) != 1.0)
            if squares.any():
                root_of = np.abs(constant[squares]) ** (1.0 / c[0][squares])
                classes.fix(r[0][squares], root_of, equation.by)
            one &= np.abs(c[0]) == 1.0
            if len(c) > 1:
                ratio = (c[0] == -c[1]) & (np.abs(c[0]) == 1.0)
                products = two & ~ratio
                if products.any():
                    # x · y = constant is no tie of these classes: y is left at 1.
                    classes.fix(r[1][products], 1.0, equation.by)
                two &= ratio
            if one.any():
                classes.fix(r[0][one], constant[one] ** c[0][one], equation.by)
            if two.any():
                # A fix just made may have changed the roots' values, never the tie itself.
                classes.tie(r[0][two], r[1][two], constant[two] ** c[0][two], 0.0, equation.by)
            return
        if one.any():
            classes.fix(r[0][one], constant[one] / c[0][one], equation.by)
        if two.any():
            first = c[0][two]
            classes.tie(
                r[0][two], r[1][two], -c[1][two] / first, constant[two] / first, equation.by
            )
