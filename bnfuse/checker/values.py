"""The values of one graph: their types, their declared shapes, and the numbers of constants."""

from __future__ import annotations

__all__ = ["FLOOR", "UNITS_OF", "Array", "Values"]

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from bnfuse.checker.lean import stored_bytes
from bnfuse.checker.nodes import PARAMETERS, Node, NotProved, need, words
from bnfuse.checker.sizes import Shape, Size, count_of, product, quotient

Array = NDArray[Any]
UNITS_OF: dict[int, float] = {
    TensorProto.FLOAT: 2.0**-24,
    TensorProto.DOUBLE: 2.0**-53,
    TensorProto.FLOAT16: 2.0**-11,
    TensorProto.BFLOAT16: 2.0**-8,
}
"""The float types that the laws speak of, and the relative error of rounding to each."""

FLOOR = {2.0**-24: 2.0**-149, 2.0**-53: 0.0, 2.0**-11: 2.0**-24, 2.0**-8: 2.0**-133}
"""The smallest number above zero of the type with that rounding unit."""

_RANK = 64
"""Sizes that are told at a time."""

_SMALL, _KEPT = 1 << 16, 1 << 23
"""Bytes of a constant from which on it is large, and of all large ones that are kept."""

_SIMPLE: dict[str, Callable[..., Any]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
    "Sqrt": np.sqrt,
    "Neg": np.negative,
    "Reciprocal": np.reciprocal,
    "Exp": np.exp,
    "Pow": np.power,
}
"""What constants are mostly computed with, in float64: continuous, so a rounding is no matter."""

_TRUSTED = words(
    "Abs And Cast CastLike Ceil Clip Concat Constant ConstantOfShape Equal Erf Expand Flatten "
    "Floor Gather GatherElements Greater GreaterOrEqual Identity Less LessOrEqual Log MatMul Max "
    "Min Not Or Range ReduceMax ReduceMean ReduceMin ReduceSum Reshape ScatterElements ScatterND "
    "Sigmoid Sign Slice Split Squeeze Sum Tanh Tile Transpose Trilu Unsqueeze Where Xor"
)
"""The other ops whose reference implementation is right in every operator set."""

_MOVING = words(
    "Concat Constant Expand Flatten Gather GatherElements Identity Reshape ScatterElements "
    "ScatterND Slice Split Squeeze Tile Transpose Trilu Unsqueeze"
)
"""Those that only move numbers."""

_EXACT = (*_MOVING, *words("Add Sub Mul Div Sqrt Neg Reciprocal"))
"""Those that make the same number everywhere, if that is one of their type."""

_STEPS = words("Ceil Floor Range Sign")
"""Those whose float result jumps where a rounding decides."""

_NEAR = 2.0**-13
"""How far numbers that are computed in their own type may be from those of float64."""


_MOVES = words("Cast Concat Gather Reshape Slice Squeeze Unsqueeze")
"""What sizes are picked and put together with."""


_COUNTS: dict[str, Any] = {
    "Mul": np.frompyfunc(lambda x, y: product((x, y)) if _are_sizes(x, y) else None, 2, 1),
    "Div": np.frompyfunc(lambda x, y: quotient((x,), (y,)) if _are_sizes(x, y) else None, 2, 1),
}
"""What elements are counted with."""


def _are_sizes(*numbers: Any) -> bool:
    """Whether no count of them is below 0, or wraps."""
    return all(number is None or 0 <= count_of(number) < 1 << 31 for number in numbers)


@dataclass(eq=False)
class Values:
    """What is known of the values of a model's main graph.

    Attributes:
        proto: The model, large tensors of a file left in it.
        path: The file; the folder of external data is its own.
        producers: The node of each value and the place of the value among its outputs.
        tensors: The stored constants.
        types: Of each value its element type and, where its rank is known, its shape.
        aliases: Of each value that is another one, the other.
        told: Of sizes that follow from others: what they are.
    """

    proto: onnx.ModelProto
    path: Path = field(default_factory=Path)
    producers: dict[str, tuple[Node, int]] = field(default_factory=dict)
    tensors: dict[str, TensorProto] = field(default_factory=dict)
    types: dict[str, tuple[int, Shape | None]] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    told: dict[str, Size] = field(default_factory=dict)
    _constants: dict[str, Array | None] = field(default_factory=dict)
    _large: dict[str, int] = field(default_factory=dict)
    _narrow: dict[str, Array] = field(default_factory=dict)
    _rounded: set[str] = field(default_factory=set)

    def same(self, name: str) -> str:
        """The name of the value that a value is."""
        return self.aliases.get(name, name)

    def made(self, name: str) -> tuple[Node, int]:
        """The node of a value, and the place of the value among its outputs."""
        need(name in self.producers, f"no node gives {name!r}", name)
        return self.producers[name]

    def dtype(self, name: str) -> int:
        """The element type of a value; 0 where it is not known."""
        return self.types.get(name, (0, None))[0]

    def unit(self, name: str) -> float:
        """The relative error of rounding to a float value's type."""
        need(self.is_float(name), f"{name!r} has no float type that the laws speak of", name)
        return UNITS_OF[self.dtype(name)]

    def is_float(self, name: str) -> bool:
        """Whether a value is of one of the float types that the laws speak of."""
        return self.dtype(name) in UNITS_OF

    def shape(self, name: str) -> Shape:
        """The dimensions of a value: a number, a symbol, or ``None``.

        Raises:
            NotProved: Not even its rank is known.
        """
        shape = self.types.get(name, (0, None))[1]
        if shape is None:
            raise NotProved(f"the rank of {name!r} is not known", name)
        return tuple(self.told.get(size, size) if isinstance(size, str) else size for size in shape)

    def is_constant(self, name: str) -> bool:
        """Whether no input reaches a value."""
        return name in self.tensors or self.constant(name) is not None

    def constant(self, name: str) -> Array | None:
        """The numbers of a value that no input reaches; floats in float64, ``None`` if reached.

        A rounding that a Cast to a narrower float makes is carried out.
        """
        name = self.same(name)
        if name in self._constants:
            return self._constants[name]
        stack = [name]
        while stack:
            value = stack[-1]
            made = self.producers.get(value)
            inputs = [self.same(i) for i in made[0].proto.input] if made else []
            missing = [i for i in inputs if i and i not in self._constants]
            if missing and value not in self._constants:
                stack += missing
                continue
            stack.pop()
            if value not in self._constants:
                self._constants[value] = found = self._evaluate(value)
                if found is not None and found.nbytes >= _SMALL:
                    self._large[value] = found.nbytes
        found = self._constants[name]
        while sum(self._large.values()) > _KEPT:
            # Each is read again if it is needed.
            oldest = next(iter(self._large))
            del self._large[oldest], self._constants[oldest]
            self._narrow.pop(oldest, None)
        return found

    def _evaluate(self, name: str) -> Array | None:
        if name in self.tensors:
            return self._widened(self.stored(self.tensors[name]), name)
        if name not in self.producers:
            return None
        node, place = self.producers[name]
        names = [i for i in node.proto.input if i]
        inputs: list[Any] = [self._constants[self.same(i)] for i in names]
        if node.op == "Shape" or (node.op in _MOVES and inputs[0] is None):
            sizes = self.sizes(name)
            known = sizes is not None and all(isinstance(size, int) for size in sizes.flat)
            return np.asarray(sizes, np.int64) if known else None
        if any(value is None for value in inputs):
            return None
        found = self._computed(node, place, names, inputs)
        if found is None or not self.is_float(name):
            return found
        # What rounding decides, what cancels and what overflows is another number where it is run.
        own = {self.same(i) for i in names}
        low: Array | None = found
        if node.op in _SIMPLE or own & self._narrow.keys():
            kinds = [self._narrowed(i, v) for i, v in zip(names, inputs, strict=True)]
            low = self._computed(node, place, names, kinds)
        if low is None:
            return None
        low = low.astype(helper.tensor_dtype_to_np_dtype(self.dtype(name)))
        run = low.astype(np.float64)
        with np.errstate(all="ignore"):
            same = (run == found) | (np.isnan(run) & np.isnan(found))
            bound = max(16.0 * self.unit(name), _NEAR) * np.abs(found)
            near = same | (np.abs(run - found) <= bound)
        if not same.all():
            self._narrow[name] = low
        if node.op not in _EXACT or not same.all() or own & self._rounded:
            self._rounded.add(name)
        return found if near.all() else None

    def _narrowed(self, name: str, numbers: Array) -> Array:
        """A constant as it is in its own type, where nodes make it in that."""
        low = self._narrow.get(self.same(name), numbers)
        return low.astype(helper.tensor_dtype_to_np_dtype(self.dtype(name)))

    def _computed(
        self, node: Node, place: int, names: list[str], inputs: list[Array]
    ) -> Array | None:
        """What a node makes of constants; in their own type, where those are given in that."""
        result = node.outputs[place]
        if node.op in _SIMPLE and all(self.is_float(i) for i in names):
            with np.errstate(all="ignore"):
                return np.asarray(_SIMPLE[node.op](*inputs))
        if self._jumps(node, result) and self._rounded.intersection(map(self.same, names)):
            return None
        if node.op not in (*_TRUSTED, *_SIMPLE) or sum(v.size for v in inputs) > 1 << 26:
            return None
        if node.op == "Slice" and min(self.parameter(node, "steps") or (1,)) < 0:
            return None
        # In the declared types: where numbers are compared, cut off or made integers, the
        # rounding is part of the meaning.
        values = {
            i: v.astype(helper.tensor_dtype_to_np_dtype(self.dtype(i))) if self.is_float(i) else v
            for i, v in zip(names, inputs, strict=True)
        }
        try:
            made = self.run(node, values)[place]
        except NotProved:
            return None
        is_array = isinstance(made, np.ndarray | np.generic)
        return self._widened(np.asarray(made), result) if is_array else None

    def _jumps(self, node: Node, result: str) -> bool:
        """Whether a rounding of what a node is given may decide what it makes."""
        if node.op in _STEPS or not self.is_float(result):
            return True
        source = node.inputs[0] if node.inputs else result
        return node.op == "Cast" and self.is_float(source) and self.unit(source) < self.unit(result)

    def run(self, node: Node, values: dict[str, Array]) -> list[Any]:
        """What the op's reference implementation makes of values of the node's inputs.

        Raises:
            NotProved: It makes nothing of them.
        """
        fed = [
            helper.make_tensor_value_info(i, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
            for i, v in values.items()
        ]
        outputs = [helper.make_empty_tensor_value_info(o) for o in node.proto.output if o]
        graph = helper.make_graph([node.proto], "constant", fed, outputs)
        model = helper.make_model(graph, opset_imports=self.proto.opset_import)
        try:
            results = iter(ReferenceEvaluator(model).run(None, values))
        except Exception as error:
            raise NotProved(f"{node.op} cannot be followed: {error}") from error
        return [next(results) if o else None for o in node.proto.output]

    def sizes(self, name: str) -> Array | None:
        """The numbers of an integer value that is put together from sizes; none is guessed."""
        name = self.same(name)
        node = self.producers[name][0] if name in self.producers else None
        if node is not None and node.op == "Shape":
            if self.types.get(node.inputs[0], (0, None))[1] is None:
                return None
            start, end = node.attributes.get("start") or 0, node.attributes.get("end")
            return np.array(self.shape(node.inputs[0])[start:end], object)
        numbers = self._constants.get(name) if node is not None else self.constant(name)
        if numbers is not None and numbers.dtype.kind == "i":
            return np.array(numbers, object)
        if node is not None and node.op in _COUNTS and self.dtype(name) == TensorProto.INT64:
            x, y = map(self.sizes, node.inputs)
            if x is not None and y is not None:
                return np.asarray(_COUNTS[node.op](x, y), object)
        if node is None or node.op not in _MOVES or self.dtype(name) != TensorProto.INT64:
            return self._unknown(name)
        # What the reference makes of the places of sizes, it makes of sizes.
        if node.op != "Concat" and node.inputs[0] in node.inputs[1:]:
            return self._unknown(name)
        pool: list[Size] = []
        feeds: dict[str, Array] = {}
        for place, source in enumerate(node.inputs):
            picked = place == 0 or node.op == "Concat"
            given = self.sizes(source) if picked else self.constant(source)
            if given is None:
                return None
            if picked:
                places = len(pool) + np.arange(given.size).reshape(given.shape)
                pool, given = [*pool, *given.flat], places
            feeds[node.proto.input[place]] = given
        return np.asarray(np.array(pool, object)[self.run(node, feeds)[0]], object)

    def _unknown(self, name: str) -> Array | None:
        """As many sizes as a value holds, of which nothing is known."""
        kind, shape = self.types.get(name, (0, None))
        if kind != TensorProto.INT64 or shape is None or len(shape) > 1:
            return None
        counts = [n for n in shape if isinstance(n, int) and n <= _RANK]
        return np.full(counts, None, object) if len(counts) == len(shape) else None

    def stored(self, tensor: TensorProto) -> Array:
        """The numbers of a stored tensor."""
        return np.asarray(stored_bytes(tensor, self.path))

    def _widened(self, array: Array, name: str) -> Array:
        return array.astype(np.float64) if self.is_float(name) else array

    def parameter(self, node: Node, name: str) -> Any:
        """An attribute, or the constant input that newer opsets have in its place.

        Returns:
            The attribute's value; an array's as nested tuples; ``None`` where it is not given.

        Raises:
            NotProved: It is computed at run time.
        """
        if node.attributes.get(name) is not None:
            return node.attributes[name]
        places = PARAMETERS.get(node.op, ())
        place = 1 + places.index(name) if name in places else len(node.inputs)
        if place >= len(node.inputs) or not node.inputs[place]:
            return None
        array = self.constant(node.inputs[place])
        if array is None:
            raise NotProved(f"{name} of {node.op} is computed at run time", node.outputs[0])
        return tuple(array.tolist()) if array.ndim else array.item()
