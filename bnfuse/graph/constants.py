"""Constant sub-expressions: whatever depends on no graph input is a number.

Which number that is, and how it is made, :mod:`bnfuse.graph.evaluation` says.
"""

from __future__ import annotations

__all__ = ["Constant", "ConstantEvaluator"]

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx_ir as ir

from bnfuse.graph.arithmetic import ELEMENTWISE, Array
from bnfuse.graph.evaluation import Evaluation, Recipe, flattening, inputs_of, recipe_of, settle
from bnfuse.graph.sizes import known_sizes

if TYPE_CHECKING:
    from collections.abc import Hashable


@dataclass(frozen=True, eq=False)
class Constant:
    """A value that is the same on every run.

    Attributes:
        value: The graph's value: an initialiser, or the end of a constant sub-expression.
        root: The first value of the graph that is made in the same way: an Identity of a weight is
            the weight, two Transposes of it are one.
        dtype: Its element type in the model, which what replaces it is rounded to.
        shape: Its shape.
    """

    value: ir.Value
    root: ir.Value
    dtype: ir.DataType
    shape: tuple[int, ...]
    _evaluator: ConstantEvaluator

    @property
    def name(self) -> str:
        """What a tensor that replaces it is named after."""
        return self.root.name or ""

    @property
    def nbytes(self) -> int:
        """What it takes, or would take, to store."""
        return round(math.prod(self.shape) * self.dtype.itemsize)

    @property
    def stored_bytes(self) -> int:
        """What the tensors that it is made from take."""
        tensors = [self._evaluator.tensor_of(part) for part in self.parts]
        sizes = [tensor.nbytes for tensor in tensors if tensor is not None]
        # What was made on the way is stored nowhere yet.
        return sum(sizes) if len(sizes) == len(tensors) else self.nbytes

    @property
    def parts(self) -> frozenset[ir.Value]:
        """The stored tensors that it is made from; itself, where it is one."""
        return self._evaluator.parts(self.root)

    @property
    def is_tied(self) -> bool:
        """Whether a tensor that it is made from is read in another way too."""
        return bool(self.parts & self._evaluator.tied)

    def stored(self) -> Array:
        """The number as it is kept: in the model's dtype if stored, in float64 if computed."""
        tensor = self._evaluator.tensor(self.root)
        return self.array() if tensor is None else tensor.numpy()

    def array(self) -> Array:
        """The number: float64 for any float type, else the type as it is."""
        array = self._evaluator.array(self.root)
        assert array is not None
        return array


class ConstantEvaluator:
    """Evaluates constant values of one graph on demand and remembers the small ones.

    Attributes:
        tied: The stored tensors that are read in two ways; see :func:`bnfuse.lifting.tied_tensors`.
    """

    def __init__(self, opset: int) -> None:
        self.tied: frozenset[ir.Value] = frozenset()
        self._evaluation = Evaluation(opset)
        self._recipes = self._evaluation.recipes
        self._known: dict[ir.Value, bool] = {}
        self._made_by: dict[ir.Value, Recipe | None] = {}
        self._made: set[ir.Value] = set()
        self._roots: dict[ir.Value, ir.Value] = {}
        self._alike: dict[Hashable, ir.Value] = {}
        self._shapes: dict[ir.Value, tuple[int, ...]] = {}
        self._patterns: dict[ir.Value, bool] = {}

    def constant(self, value: ir.Value | None) -> Constant | None:
        """``value`` as a constant, or ``None`` when it depends on a run."""
        if value is None or not self.is_constant(value):
            return None
        root = self._roots.get(value, value)
        tensor, shape = self.tensor(root), self._shape(root)
        dtype = value.dtype or (None if tensor is None else tensor.dtype)
        if dtype is None or shape is None:
            return None
        return Constant(value, root, dtype, shape, self)

    def varies(self, value: ir.Value | None) -> bool:
        """Whether there is a value, and it depends on a run."""
        return value is not None and self.constant(value) is None

    def is_constant(self, value: ir.Value) -> bool:
        """Whether no graph input and no random op reaches ``value``."""
        return settle(value, self._known, lambda v: inputs_of(self._recipe(v)), self._decide)

    def _recipe(self, value: ir.Value) -> Recipe | None:
        if value not in self._made_by:
            node = value.producer()
            self._made_by[value] = None if node is None else recipe_of(node, value)
        return self._made_by[value]

    def _decide(self, value: ir.Value) -> bool:
        recipe = self._recipe(value)
        if value.producer() is None:
            return value.const_value is not None and not value.is_graph_input()
        if recipe is None:
            return False
        if all(self._known[v] for v in recipe.inputs):
            self._recipes[value] = recipe
            self._roots[value] = self._root(value, recipe)
            return True
        # Asked about itself on the way, it is none.
        self._known[value] = False
        sizes = known_sizes(value, self)
        if sizes is not None:
            self.remember(value, sizes)
        return sizes is not None

    def array(self, value: ir.Value | None) -> Array | None:
        """The value's number, or ``None`` when it is not constant."""
        if value is None or not self.is_constant(value):
            return None
        try:
            return self._evaluation.array(value)
        except Exception:
            # What cannot be computed now is left to the run, whatever it will make of it.
            self._known[value] = False
            return None

    def tensor(self, value: ir.Value) -> ir.TensorProtocol | None:
        """The stored tensor, if that is all there is to the value's number."""
        if value in self._recipes or value in self._made:
            return None
        return value.const_value

    def parts(self, value: ir.Value) -> frozenset[ir.Value]:
        """The stored tensors, initialisers or in a Constant, that a constant is made from."""
        seen: dict[ir.Value, None] = {value: None}
        pending = [value]
        while pending:
            recipe = self._recipes.get(pending.pop())
            given = [v for v in inputs_of(recipe) if v not in seen]
            seen.update(dict.fromkeys(given))
            pending.extend(given)
        recipes = ((v, self._recipes.get(v)) for v in seen)
        return frozenset(v for v, recipe in recipes if recipe is None or not recipe.inputs)

    def tensor_of(self, part: ir.Value) -> ir.TensorProtocol | None:
        """The tensor of one of the parts of a constant."""
        recipe = self._recipes.get(part)
        if recipe is None:
            return None if part in self._made else part.const_value
        attribute = recipe.source.frame.attributes.get("value")
        return None if attribute is None else attribute.as_tensor()

    def pattern(self, value: ir.Value) -> Array | None:
        """The constant that ``value`` repeats over a shape known only at run time, if any.

        ``expand_as`` and ``repeat`` make an Expand or a Tile of a constant; what is computed
        elementwise from such values (``sqrt(var.expand_as(x) + eps)``) repeats too.
        """
        if self.is_constant(value):
            return self.array(value)
        if not self._is_pattern(value):
            return None
        try:
            return self._evaluation.array(value)
        except Exception:
            # Repetitions of different lengths do not combine before they are repeated.
            self._patterns[value] = False
            return None

    def _is_pattern(self, value: ir.Value) -> bool:
        return settle(
            value, self._patterns, lambda v: inputs_of(self._repetition(v)), self._repeats
        )

    def _repetition(self, value: ir.Value) -> Recipe | None:
        """How a value is made, if it repeats what it is made from."""
        recipe = None if self.is_constant(value) else self._recipe(value)
        if recipe is not None and recipe.op_type in ("Expand", "Tile"):
            return recipe.of_its_data()
        return recipe if recipe is not None and recipe.op_type in ELEMENTWISE else None

    def _repeats(self, value: ir.Value) -> bool:
        recipe = self._repetition(value)
        if recipe is None:
            return self.is_constant(value)
        self._recipes[value] = recipe
        return all(self._patterns[v] for v in recipe.inputs)

    def _root(self, value: ir.Value, recipe: Recipe) -> ir.Value:
        """The first value that was made in the same way."""
        if recipe.op_type == "Identity":
            return self._roots.get(recipe.inputs[0], recipe.inputs[0])
        return self._alike.setdefault(recipe.key(self._roots), value)

    def flattened(self, constant: Constant, axis: int) -> Constant | None:
        """A constant as a matrix: the axes from ``axis`` on are its columns."""
        value = constant.root
        matrix = ir.Value(name=value.name, type=ir.TensorType(constant.dtype))
        recipe = flattening(value, axis)
        self._known[matrix] = True
        self._recipes[matrix] = recipe
        self._roots[matrix] = self._root(matrix, recipe)
        return self.constant(matrix)

    def remember(self, value: ir.Value, array: Array) -> None:
        """Take ``array`` for a new constant's number: what it was before it was rounded."""
        self._known[value] = True
        self._made.add(value)
        self._evaluation.remember(value, array)

    def _shape(self, value: ir.Value) -> tuple[int, ...] | None:
        """The shape, without reading elements that are stored."""
        if value not in self._shapes:
            tensor = self.tensor(value)
            array = self.array(value) if tensor is None else None
            if tensor is not None:
                self._shapes[value] = tuple(int(n) for n in tensor.shape.numpy())
            elif array is not None:
                self._shapes[value] = array.shape
        return self._shapes.get(value)
