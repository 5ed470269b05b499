"""Constant sub-expressions, evaluated in float64.

``sqrt(var + eps)``, a weight norm's ``g · v / ‖v‖``, reshapes and casts of parameters: whatever
depends on no graph input is a number, and is computed here once, in double precision, however
narrow its stored dtype is. A cast between float types is the identity in exact arithmetic and
is treated so.
"""

from __future__ import annotations

__all__ = ["Constant", "ConstantEvaluator"]

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable

Array = NDArray[Any]

_NUMPY_OPS: dict[str, Callable[..., Array]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Neg": np.negative,
    "Abs": np.abs,
    "Sqrt": np.sqrt,
    "Exp": np.exp,
    "Log": np.log,
    "Reciprocal": lambda x: 1.0 / x,
    "Pow": lambda x, y: np.power(x, y.astype(x.dtype)),
    "Div": lambda x, y: x / y if x.dtype.kind == "f" else np.trunc(x / y).astype(x.dtype),
    "Max": lambda *xs: np.max(np.broadcast_arrays(*xs), axis=0),
    "Min": lambda *xs: np.min(np.broadcast_arrays(*xs), axis=0),
    "Identity": lambda x: x,
    "Reshape": lambda x, shape: x.reshape(_reshape_target(x, shape)),
    "Expand": lambda x, shape: np.broadcast_to(
        x, np.broadcast_shapes(x.shape, tuple(int(d) for d in shape))
    ),
}
_ELEMENTWISE = frozenset(_NUMPY_OPS) - {"Reshape", "Expand"} | {"Cast"}
_NEVER_CONSTANT = frozenset(
    {"Bernoulli", "Dropout", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform"}
    | {"RandomUniformLike", "If", "Loop", "Scan"}
    # Eight bits that a fold would write out as floats are no longer a quantised model.
    | {"DequantizeLinear", "QuantizeLinear", "DynamicQuantizeLinear"}
)


@dataclass(frozen=True, eq=False)
class Constant:
    """A value that is the same on every run.

    Attributes:
        value: The graph's value: an initialiser, or the end of a constant sub-expression.
        dtype: Its element type in the model, which what replaces it is rounded to.
    """

    value: ir.Value
    dtype: ir.DataType
    _evaluator: ConstantEvaluator

    @property
    def name(self) -> str:
        """The value's name."""
        return self.value.name or ""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape, without reading its elements where they are stored."""
        stored = self.value.const_value
        if stored is not None and self.value.producer() is None:
            return tuple(int(n) for n in stored.shape.numpy())
        return self.array().shape

    def array(self) -> Array:
        """The number: float64 for any float type, else the type as it is."""
        array = self._evaluator.array(self.value)
        assert array is not None
        return array


class ConstantEvaluator:
    """Evaluates constant values of one graph on demand and remembers the small ones."""

    _REMEMBER_BYTES = 1 << 16

    def __init__(self, opset: int) -> None:
        self._opset = opset
        self._known: dict[ir.Value, bool] = {}
        self._small: dict[ir.Value, Array] = {}
        self._patterns: dict[ir.Value, Array | None] = {}

    def constant(self, value: ir.Value | None) -> Constant | None:
        """``value`` as a constant, or ``None`` when it depends on a run."""
        if value is None or not self.is_constant(value):
            return None
        dtype = value.dtype
        if dtype is None and value.const_value is not None:
            dtype = value.const_value.dtype
        if dtype is None:
            return None
        return Constant(value, dtype, self)

    def is_constant(self, value: ir.Value) -> bool:
        """Whether no graph input and no random op reaches ``value``."""
        pending = [value]
        while pending:
            top = pending[-1]
            if top in self._known:
                pending.pop()
                continue
            node = top.producer()
            if node is None:
                self._known[top] = top.const_value is not None and not top.is_graph_input()
            elif node.op_type in _NEVER_CONSTANT or node.domain not in ("", "ai.onnx"):
                self._known[top] = False
            else:
                # CastLike reads its second input's type, which is known before a run.
                read = node.inputs[:1] if node.op_type == "CastLike" else node.inputs
                inputs = [v for v in read if v is not None]
                unknown = [v for v in inputs if v not in self._known]
                if unknown:
                    pending.extend(unknown)
                    continue
                self._known[top] = all(self._known[v] for v in inputs)
            pending.pop()
        return self._known[value]

    def array(self, value: ir.Value) -> Array | None:
        """The value's number, or ``None`` when it is not constant."""
        if not self.is_constant(value):
            return None
        if value in self._small:
            return self._small[value]
        node = value.producer()
        with np.errstate(all="ignore"):
            if node is None:
                assert value.const_value is not None
                array = _widen(value.const_value.numpy())
            else:
                inputs = [
                    self.array(v) if v is not None and self.is_constant(v) else None
                    for v in node.inputs
                ]
                array = _widen(self._run(node, inputs, node.outputs.index(value)))
        if array.nbytes <= self._REMEMBER_BYTES:
            self._small[value] = array
        return array

    def pattern(self, value: ir.Value) -> Array | None:
        """The constant that ``value`` repeats over a shape known only at run time, if any.

        ``expand_as`` and ``repeat`` make an Expand or a Tile of a constant; what is computed
        elementwise from such values (``sqrt(var.expand_as(x) + eps)``) repeats too.
        """
        if self.is_constant(value):
            return self.array(value)
        if value not in self._patterns:
            self._patterns[value] = self._pattern(value)
        return self._patterns[value]

    def _pattern(self, value: ir.Value) -> Array | None:
        node = value.producer()
        if node is None or node.domain not in ("", "ai.onnx"):
            return None
        if node.op_type in ("Expand", "Tile") and node.inputs[0] is not None:
            return self.pattern(node.inputs[0])
        if node.op_type not in _ELEMENTWISE:
            return None
        inputs = [None if v is None else self.pattern(v) for v in node.inputs]
        if any(array is None for array in inputs):
            return None
        try:
            with np.errstate(all="ignore"):
                return _widen(self._run(node, inputs, 0))
        except ValueError:
            # Repetitions of different lengths do not combine before they are repeated.
            return None

    def remember(self, value: ir.Value, array: Array) -> None:
        """Take ``array`` for a new constant's number: what it was before it was rounded."""
        self._known[value] = True
        self._small[value] = array

    def _run(self, node: ir.Node, inputs: list[Array | None], index: int) -> Array:
        if node.op_type == "Constant":
            return _constant_attribute(node)
        if node.op_type in ("Cast", "CastLike"):
            return _cast(node, inputs)
        if node.op_type in _NUMPY_OPS and not any(x is None for x in inputs):
            return np.asarray(_NUMPY_OPS[node.op_type](*inputs))
        return self._reference(node, inputs, index)

    def _reference(self, node: ir.Node, inputs: list[Array | None], index: int) -> Array:
        import onnx
        from onnx.reference import ReferenceEvaluator

        proto = ir.serde.serialize_node(node)
        feeds = {
            name: array
            for name, array in zip(proto.input, inputs, strict=True)
            if array is not None
        }
        graph = onnx.helper.make_graph(
            [proto],
            "constant",
            [
                onnx.helper.make_tensor_value_info(
                    name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
                )
                for name, array in feeds.items()
            ],
            [onnx.helper.make_empty_tensor_value_info(proto.output[index])],
        )
        model = onnx.helper.make_model(
            graph, opset_imports=[onnx.helper.make_opsetid("", self._opset)]
        )
        results: Any = ReferenceEvaluator(model).run(None, feeds)
        return np.asarray(results[0])


def _widen(array: Array) -> Array:
    # ml_dtypes' float types (bfloat16, float8) report kind "V" or "f": both convert exactly.
    is_float = array.dtype.kind == "f" or array.dtype.name.startswith(("bfloat", "float"))
    return array.astype(np.float64) if is_float else array


def _constant_attribute(node: ir.Node) -> Array:
    (attribute,) = (a for a in node.attributes.values())
    if isinstance(attribute.value, ir.TensorProtocol):
        return attribute.value.numpy()
    return np.asarray(attribute.value)


def _cast(node: ir.Node, inputs: list[Array | None]) -> Array:
    source = inputs[0]
    assert source is not None
    if node.op_type == "CastLike":
        like = node.outputs[0].dtype or (node.inputs[1].dtype if node.inputs[1] else None)
        target = like or ir.DataType.DOUBLE
    else:
        target = ir.DataType(node.attributes["to"].as_int())
    if target.is_floating_point():
        return source.astype(np.float64)
    return source.astype(target.numpy())


def _reshape_target(x: Array, shape: Array) -> tuple[int, ...]:
    return tuple(int(x.shape[i]) if d == 0 else int(d) for i, d in enumerate(shape))
