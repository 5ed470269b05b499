"""Mul, Add, Sub, Div and Neg with a constant, on either side, as one :class:`ChannelAffine`."""

from __future__ import annotations

__all__ = ["ElementwiseRead", "read_elementwise"]

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from bnfuse.affine import ChannelAffine
from bnfuse.lift.channel import ChannelConstant, NotPerChannel, channel_constant
from bnfuse.lift.constants import ConstantEvaluator

_BINARY = frozenset({"Add", "Sub", "Mul", "Div", "Sum"})


@dataclass(frozen=True, eq=False)
class ElementwiseRead:
    """An elementwise op read as a map of its one run-time input.

    Attributes:
        x: The run-time input.
        affine: The map.
        scales: Whether the op multiplies.
        shifts: Whether the op adds.
        per_channel: Whether the constant has a dimension.
    """

    x: ir.Value
    affine: ChannelAffine
    scales: bool
    shifts: bool
    per_channel: bool


def read_elementwise(
    node: ir.Node, constants: ConstantEvaluator
) -> ElementwiseRead | NotPerChannel | None:
    """Read ``node``, or say why its constant is not per channel; ``None`` for any other op."""
    if node.domain not in ("", "ai.onnx") or not _is_float(node.outputs[0], node):
        return None
    if node.op_type == "Neg" and node.inputs[0] is not None:
        if constants.is_constant(node.inputs[0]):
            return None
        return ElementwiseRead(node.inputs[0], ChannelAffine.of(None, -1.0), True, False, False)
    if node.op_type not in _BINARY or len(node.inputs) != 2:
        return None
    left, right = node.inputs
    assert left is not None
    assert right is not None
    left_array = _operand(left, right, constants)
    right_array = _operand(right, left, constants)
    if (left_array is None) == (right_array is None):
        return None
    x, array = (left, right_array) if left_array is None else (right, left_array)
    assert array is not None
    constant_first = left_array is not None
    if node.op_type == "Div" and constant_first:
        return None
    constant = channel_constant(array, x.shape)
    if isinstance(constant, NotPerChannel):
        return constant
    return ElementwiseRead(
        x,
        _affine(node.op_type, constant, constant_first),
        scales=node.op_type in ("Mul", "Div"),
        shifts=node.op_type in ("Add", "Sub", "Sum"),
        per_channel=array.ndim > 0,
    )


def _affine(op_type: str, constant: ChannelConstant, constant_first: bool) -> ChannelAffine:
    axis, c = constant.axis, constant.vector
    with np.errstate(divide="ignore"):
        if op_type == "Mul":
            return ChannelAffine.of(axis, scale=c)
        if op_type == "Div":
            return ChannelAffine.of(axis, scale=1.0 / c)
        if op_type == "Sub" and constant_first:
            return ChannelAffine.of(axis, scale=-1.0, shift=c)
        return ChannelAffine.of(axis, shift=-c if op_type == "Sub" else c)


def _operand(
    value: ir.Value, other: ir.Value, constants: ConstantEvaluator
) -> NDArray[Any] | None:
    """The number that ``value`` is, also when it is only expanded to ``other``'s run-time shape."""
    array = constants.array(value)
    if array is not None:
        return array
    node = value.producer()
    if node is None or node.op_type != "Expand" or node.domain not in ("", "ai.onnx"):
        return None
    # Without the Expand the op must still give the same shape: the expanded shape is `other`'s.
    if not _same_shape(value.shape, other.shape):
        return None
    assert node.inputs[0] is not None
    return constants.array(node.inputs[0])


def _same_shape(one: ir.Shape | None, two: ir.Shape | None) -> bool:
    if one is None or two is None or len(one) != len(two):
        return False
    return all(_same_dim(a, b) for a, b in zip(one, two, strict=True))


def _same_dim(one: int | ir.SymbolicDim, two: int | ir.SymbolicDim) -> bool:
    if isinstance(one, int) or isinstance(two, int):
        return one == two
    return one.value is not None and one.value == two.value


def _is_float(value: ir.Value, node: ir.Node) -> bool:
    dtype = value.dtype or next((v.dtype for v in node.inputs if v and v.dtype), None)
    return dtype is not None and dtype.is_floating_point()
