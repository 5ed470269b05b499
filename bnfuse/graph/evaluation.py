"""How constants are made, and the numbers: in float64 where that is only more precise.

Recipes are kept apart from the graph, which may lose the nodes that make its constants.

**Which number.** What the model computes, to the last digit where the digits are the meaning, and
more precisely where they are not. Every op of a constant sub-expression has its result in the
declared dtypes. Where an op is smooth (:data:`bnfuse.graph.arithmetic.SMOOTH`), rounding is mere
loss: it is computed in float64 from its inputs' float64 numbers. The result of any other op is
taken as declared, together with all that leads to it: comparisons and steps (``Floor``, ``Equal``,
``ArgMax``), a Cast to a dtype that holds fewer numbers, integer arithmetic. A Cast to a dtype that
holds them all is the identity, and a number beyond the declared dtype is infinite.
"""

from __future__ import annotations

__all__ = ["Evaluation", "Recipe", "flattening", "inputs_of", "recipe_of", "settle"]

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
import onnx_ir as ir

from bnfuse.graph.access import input_of
from bnfuse.graph.arithmetic import SMOOTH, Array, apply, overflowed, widen, widens
from bnfuse.graph.source import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

_NEVER_CONSTANT = frozenset(
    {"Bernoulli", "Dropout", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform"}
    | {"RandomUniformLike", "If", "Loop", "Scan"}
    # Eight bits that a fold would write out as floats are no longer a quantised model.
    | {"DequantizeLinear", "QuantizeLinear", "DynamicQuantizeLinear"}
)
_ATTRIBUTES = frozenset(
    {ir.AttributeType.FLOAT, ir.AttributeType.FLOATS, ir.AttributeType.INT, ir.AttributeType.INTS}
    | {ir.AttributeType.STRING, ir.AttributeType.TENSOR}
)
_Key = TypeVar("_Key")
_Result = TypeVar("_Result")


def settle(
    start: _Key,
    known: dict[_Key, _Result],
    needs: Callable[[_Key], Iterable[_Key]],
    decide: Callable[[_Key], _Result],
) -> _Result:
    """What is known of ``start``, once it is decided for all that it needs, however deep that goes.

    Args:
        start: What is asked about.
        known: What was decided already; grows.
        needs: What must be known before something can be decided.
        decide: Decides.
    """
    pending = [] if start in known else [start]
    while pending:
        top = pending[-1]
        missing = [] if top in known else [need for need in needs(top) if need not in known]
        if missing:
            pending.extend(missing)
            continue
        if top not in known:
            known[top] = decide(top)
        pending.pop()
    return known[start]


@dataclass(frozen=True, eq=False)
class Recipe:
    """One output of a node, computed from other values.

    Attributes:
        source: The node.
        index: Which of its outputs.
    """

    source: Source
    index: int

    @property
    def op_type(self) -> str:
        """The operator."""
        return self.source.op_type

    @property
    def inputs(self) -> list[ir.Value]:
        """What must be known."""
        return [value for value in self.source.inputs if value is not None]

    def of_its_data(self) -> Recipe:
        """What an Expand or a Tile repeats."""
        return Recipe(_one_input(self.source, "Identity"), 0)

    def key(self, roots: dict[ir.Value, ir.Value]) -> Hashable:
        """What tells it apart from another recipe, its inputs being known by their roots."""
        inputs = tuple(None if v is None else roots.get(v, v) for v in self.source.inputs)
        attributes = self.source.frame.attributes.values()
        return (self.op_type, self.index, inputs, frozenset((a.name, _key(a)) for a in attributes))


def recipe_of(node: ir.Node, value: ir.Value) -> Recipe | None:
    """How ``value`` is made, if it is a number whenever what its node reads is one."""
    if node.domain or node.op_type in _NEVER_CONSTANT:
        return None
    if not isinstance(value.type, ir.TensorType | None) or value.dtype is ir.DataType.STRING:
        return None
    if any(a.type not in _ATTRIBUTES or a.is_ref() for a in node.attributes.values()):
        return None
    source = Source.of(node)
    if node.op_type == "CastLike":
        # It reads its second input's type, which is known before a run.
        like = value.dtype or input_of(node, 1).dtype
        if like is None:
            return None
        return Recipe(_one_input(source, "Cast", [ir.AttrInt64("to", int(like))]), 0)
    return Recipe(source, node.outputs.index(value))


def inputs_of(recipe: Recipe | None) -> list[ir.Value]:
    """What must be known for a recipe; nothing where there is none."""
    return [] if recipe is None else recipe.inputs


def flattening(value: ir.Value, axis: int) -> Recipe:
    """A Flatten of a value, which stands in no graph."""
    frame = ir.Node("", "Flatten", [], attributes=[ir.AttrInt64("axis", axis)])
    return Recipe(Source("Flatten", "", "", (value,), frame, {}, None, ""), 0)


def _one_input(source: Source, op_type: str, attributes: Sequence[ir.Attr] = ()) -> Source:
    """An op of the first thing that a node reads."""
    frame = ir.Node("", op_type, [], attributes=attributes)
    return replace(source, op_type=op_type, inputs=source.inputs[:1], frame=frame, outputs=1)


def _key(attribute: ir.Attr) -> Hashable:
    value = attribute.value
    if isinstance(value, list | tuple):
        return tuple(value)
    return value if isinstance(value, int | float | str) else id(value)


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
        if wanted in self._small:
            return self._small[wanted]
        order: dict[_Step, None] = {}
        settle(wanted, order, self._open_needs, lambda _: None)
        last = {need: at for at, step in enumerate(order) for need in self._needs(step)}
        results: dict[_Step, Array] = {}
        for at, step in enumerate(order):
            results[step] = self._compute(step, results)
            if results[step].nbytes <= self._REMEMBER_BYTES:
                self._small[step] = results[step]
            for need in self._needs(step):
                if last[need] == at:
                    results.pop(need, None)
        return results[wanted]

    def _open_needs(self, step: _Step) -> list[_Step]:
        return [need for need in self._needs(step) if need not in self._small]

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
