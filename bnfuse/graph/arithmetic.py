"""What one op makes of constants, in the dtypes that the model declares or in float64.

The ops of :data:`SMOOTH` depend continuously on the numbers that they are given, so that computing
them in float64 changes their result by no more than the rounding that it spares. Any other op may
turn the last digit of an input into another result altogether.
"""

from __future__ import annotations

__all__ = ["ELEMENTWISE", "SMOOTH", "Array", "apply", "overflowed", "widen", "widens"]

from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bnfuse.graph.source import Source

Array = NDArray[Any]

_NUMPY_OPS: dict[str, Callable[..., Any]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Neg": np.negative,
    "Abs": np.abs,
    "Sqrt": np.sqrt,
    "Exp": np.exp,
    "Log": np.log,
    "Reciprocal": np.reciprocal,
    "Identity": lambda x: x,
}
"""Those whose numpy function is the op in every dtype; the reference takes a thousand times
longer to start."""
ELEMENTWISE = frozenset(
    {"Abs", "Add", "Cast", "Div", "Exp", "Identity", "Log", "Max", "Mean", "Min", "Mul", "Neg"}
    | {"Pow", "Reciprocal", "Sqrt", "Sub", "Sum"}
)
SMOOTH = (
    ELEMENTWISE - {"Cast"}
    | {"Clip", "Cos", "CumSum", "Einsum", "Elu", "Gemm", "HardSigmoid"}
    | {"HardSwish", "LeakyRelu", "LogSoftmax", "MatMul", "Mish", "PRelu", "Relu", "Selu", "Sigmoid"}
    | {"Sin", "Softmax", "Softplus", "Softsign", "Tanh", "LpNormalization"}
    | {"ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean"}
    | {"ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare"}
    # These only rearrange.
    | {"Concat", "DepthToSpace", "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "Pad"}
    | {"Reshape", "ScatterElements", "ScatterND", "Slice", "SpaceToDepth", "Split", "Squeeze"}
    | {"Tile", "Transpose", "Trilu", "Unsqueeze", "Where"}
)


def widen(array: Array) -> Array:
    """Float64 for any float dtype, which all convert to it exactly; else the array as it is."""
    # ml_dtypes' float types (bfloat16, float8) report kind "V" or "f".
    is_float = array.dtype.kind == "f" or array.dtype.name.startswith(("bfloat", "float"))
    return array.astype(np.float64) if is_float else array


def widens(source: ir.DataType | None, target: ir.DataType | None) -> bool:
    """Whether every number of one float dtype is one of the other."""
    if source is None or target is None:
        return False
    if not (source.is_floating_point() and target.is_floating_point()):
        return False
    narrow, wide = _format(source), _format(target)
    return all(a <= b for a, b in zip(narrow, wide, strict=True))


def _format(dtype: ir.DataType) -> tuple[int, float, float]:
    """The digits of a float dtype, its largest number, and how small its smallest is."""
    info: Any = ml_dtypes.finfo(dtype.numpy())  # type: ignore[no-untyped-call]
    return int(info.nmant), float(info.max), 1.0 / float(info.smallest_subnormal)


def overflowed(array: Array, dtype: ir.DataType) -> Array:
    """Float64 numbers with infinity in place of those that the dtype does not reach."""
    if array.dtype != np.float64 or not array.size or dtype is ir.DataType.DOUBLE:
        return array
    beyond = np.abs(array) > float(ml_dtypes.finfo(dtype.numpy()).max)  # type: ignore[no-untyped-call]
    if not beyond.any():
        return array
    return np.where(beyond, array.astype(dtype.numpy()).astype(np.float64), array)


def apply(source: Source, inputs: Sequence[Array | None], index: int, opset: int) -> Array:
    """One output of a node of the model, in the dtypes of its inputs.

    Args:
        source: The node.
        inputs: What it is given; ``None`` where it is given nothing.
        index: Which of its outputs.
        opset: The operator set that the model imports.

    Raises:
        Exception: The node cannot be computed before a run.
    """
    if source.op_type == "Constant":
        return _attribute(source)
    if source.op_type in _NUMPY_OPS:
        return np.asarray(_NUMPY_OPS[source.op_type](*inputs))
    from onnx import helper
    from onnx.reference import ReferenceEvaluator

    feeds = {f"x{i}": array for i, array in enumerate(inputs) if array is not None}
    node = ir.serde.serialize_node(source.frame)
    node.input.extend(f"x{i}" if array is not None else "" for i, array in enumerate(inputs))
    node.ClearField("output")
    node.output.extend(f"y{i}" for i in range(source.outputs))
    imports, results = [helper.make_opsetid("", opset)], [f"y{index}"]
    alone = helper.make_function("", "constant", list(feeds), results, [node], imports)
    (result,) = ReferenceEvaluator(alone).run(None, feeds, attributes={})
    return np.asarray(result)


def _attribute(source: Source) -> Array:
    """What a Constant holds; a float is one of single precision, whatever Python keeps it in."""
    (attribute,) = source.frame.attributes.values()
    if isinstance(attribute.value, ir.TensorProtocol):
        return attribute.value.numpy()
    is_float = attribute.type in (ir.AttributeType.FLOAT, ir.AttributeType.FLOATS)
    return np.asarray(attribute.value, dtype=np.float32 if is_float else np.int64)
