"""The numbers of a lifted graph's gauges, and what its ops ask of them.

Every value that is computed from the input has, for each axis of known length, a scale and a shift
for each entry of the axis, and one of each for all its elements:

    v' = Π scale[axis] · (v + Σ shift[axis])

The shift is in units of the value itself, so what ties shifts does not depend on any scale.
"""

from __future__ import annotations

__all__ = ["Relations", "Slot", "Value"]

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import onnx_ir as ir

from bnfuse.folding.fitting import refuse_copy
from prototypes.gauges.classes import Floats, Index
from prototypes.gauges.system import Equation, System

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bnfuse.lifting.constants import ConstantEvaluator


class Slot(NamedTuple):
    """A constant as one op reads it: each use has its own gauge."""

    node: ir.Node
    position: int


Value = ir.Value | Slot
Axis = int | None


class Relations:
    """Collects relations, then solves them."""

    def __init__(self, constants: ConstantEvaluator) -> None:
        self.constants = constants
        self.count = 0
        self.blocks: dict[tuple[Value, Axis], Index] = {}
        self.lengths: dict[Value, dict[Axis, int]] = {}
        self.ops: list[str] = []
        self.by = -1
        self.narrow: set[ir.Node] = set()
        self._ties: dict[bool, list[tuple[Index, Index, float, int]]] = {True: [], False: []}
        self._fixed: dict[bool, list[tuple[Index, int]]] = {True: [], False: []}
        self._positive: list[tuple[Index, int]] = []
        self._equations: dict[bool, list[Equation]] = {True: [], False: []}

    def op(self, title: str) -> None:
        """What follows is asked by this op."""
        self.ops.append(title)
        self.by = len(self.ops) - 1

    def operand(self, node: ir.Node, position: int) -> Value | None:
        """What a node reads at a place, if that has a gauge: no integers, nothing left out."""
        x = node.inputs[position] if position < len(node.inputs) else None
        if x is None or (x.dtype is not None and not x.dtype.is_floating_point()):
            return None
        if not self.constants.is_constant(x):
            return x
        constant = self.constants.constant(x)
        slot = Slot(node, position)
        if constant is not None and slot not in self.lengths:
            axes: dict[Axis, int] = dict(enumerate(constant.shape))
            self.lengths[slot] = {None: 1, **axes}
            if refuse_copy(constant) is not None or not constant.dtype.is_floating_point():
                self.pin_whole(slot)
        return slot if slot in self.lengths else None

    def axes(self, value: Value) -> dict[Axis, int]:
        """The axes that a value has gauges along, ``None`` for all its elements alike."""
        if value not in self.lengths:
            assert isinstance(value, ir.Value)
            dims = () if value.shape is None else tuple(value.shape)
            known: dict[Axis, int] = {i: n for i, n in enumerate(dims) if isinstance(n, int) and n}
            self.lengths[value] = {None: 1, **known}
        return self.lengths[value]

    def numbers(self, value: Value, axis: Axis) -> Index:
        """The numbers of a value along one of its axes."""
        key = (value, axis)
        if key not in self.blocks:
            n = self.axes(value)[axis]
            self.blocks[key] = np.arange(self.count, self.count + n)
            self.count += n
        return self.blocks[key]

    def pin_whole(self, value: Value, *, scale: bool = True) -> None:
        """The value stays as it is, or at least without a shift."""
        self.pin(value, *self.axes(value), scale=scale)

    def pin(self, value: Value, *axes: Axis, scale: bool = True, shift: bool = True) -> None:
        """The value stays as it is along these axes."""
        for axis in axes:
            if axis in self.axes(value):
                for which in [True] * scale + [False] * shift:
                    self._fixed[which].append((self.numbers(value, axis), self.by))

    def equal(self, x: Index, y: Index, *, scale: bool = True, shift: float | None = 1.0) -> None:
        """Scales are equal, and y's shift is so many times x's; ``None`` for nothing said."""
        if scale:
            self._ties[True].append((y, x, 1.0, self.by))
        if shift is not None:
            self._ties[False].append((y, x, shift, self.by))

    def positive(self, numbers: Index) -> None:
        """These scales are positive."""
        self._positive.append((numbers, self.by))

    def product(self, total: Index, factors: Sequence[Index]) -> None:
        """One scale is the product of others."""
        if len(factors) == 1:
            self.equal(factors[0], total, shift=None)
            return
        terms = ((total, np.array(-1.0)), *((f, np.array(1.0)) for f in factors))
        self._equations[True].append(Equation(terms, np.array(1.0), self.by))

    def total(self, total: Index, parts: Sequence[tuple[Index, float]]) -> None:
        """One shift is the weighted sum of others."""
        if len(parts) == 1:
            self.equal(parts[0][0], total, scale=False, shift=parts[0][1])
            return
        terms = ((total, np.array(-1.0)), *((p, np.array(w)) for p, w in parts))
        self._equations[False].append(Equation(terms, np.array(0.0), self.by))

    def system(self, *, scales: bool) -> System:
        """What all ops ask of the scales, or the shifts, solved as far as it goes by itself."""
        system = System(self.count, nonzero=scales)
        ties = self._ties[scales]
        if ties:
            i, j = (np.concatenate([tie[place] for tie in ties]) for place in (0, 1))
            mul = np.concatenate([np.full(tie[0].size, tie[2]) for tie in ties])
            system.classes.tie(i, j, mul)
        if scales and self._positive:
            system.classes.positive(*_joined(self._positive))
        if self._fixed[scales]:
            index, by = _joined(self._fixed[scales])
            system.classes.fix(index, 1.0 if scales else 0.0, by)
        system.classes.flatten()
        system.classes.changed.clear()
        system.classes.joined.clear()
        for equation in self._equations[scales]:
            system.add_equation(equation)
        system.settle()
        system.classes.flatten()
        return system


def _joined(parts: list[tuple[Index, int]]) -> tuple[Index, Index]:
    index = np.concatenate([part[0] for part in parts])
    return index, np.concatenate([np.full(part[0].size, part[1]) for part in parts])


def as_floats(value: float) -> Floats:
    """A number as an array of no dimension."""
    return np.asarray(value, np.float64)
