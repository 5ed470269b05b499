"""The numbers that recipes make: in float64 where that is only more precise, else as declared.

**Which number.** What the model computes, to the last digit where the digits are the meaning, and
more precisely where they are not. Every op of a constant sub-expression has its result in the
declared dtypes. Where an op is smooth (:data:`bnfuse.graph.arithmetic.SMOOTH`), rounding is mere
loss: it is computed in float64 from its inputs' float64 numbers. The result of any other op is
taken as declared, together with all that leads to it: comparisons and steps (``Floor``, ``Equal``,
``ArgMax``), a Cast to a dtype that holds fewer numbers, integer arithmetic. A Cast to a dtype that
holds them all is the identity, and a number beyond the declared dtype is infinite.
"""

from __future__ import annotations

__all__ = ["Evaluation"]

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bnfuse.graph.arithmetic import SMOOTH, Array, apply, overflowed, widen, widens

if TYPE_CHECKING:
    import onnx_ir as ir

    from bnfuse.graph.recipes import Recipe


class _Step(NamedTuple):
    """A number to be computed."""

    value: ir.Value
    exact: bool


class Evaluation:
    """Evaluates recipes, each step of one evaluation once, and remembers small results.

    Attributes:
        recipes: How each value that is not stored is made.
    """

    _REMEMBER_BYTES = 1 << 16

    def __init__(self, opset: int) -> None:
        self.recipes: dict[ir.Value, Recipe] = {}
        self._opset = opset
        self._small: dict[_Step, Array] = {}

    def remember(self, value: ir.Value, array: Array) -> None:
        """Take ``array`` for the number of a value."""
        self._small[_Step(value, exact=True)] = array

    def array(self, value: ir.Value) -> Array:
        """The number: float64 for any float type, else the type as it is.

        Raises:
            Exception: It cannot be computed before a run.
        """
        wanted = _Step(value, exact=True)
        order = self._order(wanted)
        last = {need: at for at, step in enumerate(order) for need in self._needs(step)}
        results: dict[_Step, Array] = {}
        for at, step in enumerate(order):
            results[step] = self._compute(step, results)
            if results[step].nbytes <= self._REMEMBER_BYTES:
                self._small[step] = results[step]
            for need in self._needs(step):
                if last[need] == at:
                    results.pop(need, None)
        return results[wanted] if wanted in results else self._small[wanted]

    def _order(self, wanted: _Step) -> list[_Step]:
        """What must be computed, each after what it needs."""
        order: dict[_Step, None] = {}
        pending = [wanted]
        while pending:
            step = pending[-1]
            missing = [
                need
                for need in ([] if step in order or step in self._small else self._needs(step))
                if need not in order and need not in self._small
            ]
            if missing:
                pending.extend(missing)
                continue
            if step not in self._small:
                order[step] = None
            pending.pop()
        return list(order)

    def _needs(self, step: _Step) -> list[_Step]:
        recipe = self.recipes.get(step.value)
        if recipe is None:
            return []
        if step.exact and not self._is_smooth(step.value, recipe):
            return [_Step(step.value, exact=False)]
        return [_Step(value, step.exact) for value in recipe.inputs]

    def _is_smooth(self, value: ir.Value, recipe: Recipe) -> bool:
        """Whether float64 inputs give the same number, only more precisely."""
        if value.dtype is None or not value.dtype.is_floating_point():
            return False
        if recipe.op_type == "Cast":
            return widens(recipe.inputs[0].dtype, value.dtype)
        return recipe.op_type in SMOOTH

    def _compute(self, step: _Step, results: dict[_Step, Array]) -> Array:
        value, recipe = step.value, self.recipes.get(step.value)
        if recipe is None:
            return self._stored(step)
        known = {need: results.get(need, self._small.get(need)) for need in self._needs(step)}
        declared = known.get(_Step(value, exact=False))
        if declared is not None:
            return widen(declared)
        if step.exact and recipe.op_type == "Cast":
            (array,) = (array for array in known.values() if array is not None)
            return array
        given = [None if v is None else known[_Step(v, step.exact)] for v in recipe.source.inputs]
        with np.errstate(all="ignore"):
            array = apply(recipe.source, given, recipe.index, self._opset)
            return overflowed(array, value.dtype) if step.exact and value.dtype else array

    def _stored(self, step: _Step) -> Array:
        exact = self._small.get(_Step(step.value, exact=True))
        if exact is not None:
            return exact if step.value.dtype is None else exact.astype(step.value.dtype.numpy())
        tensor = step.value.const_value
        assert tensor is not None
        return widen(tensor.numpy()) if step.exact else tensor.numpy()
