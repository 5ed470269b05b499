"""Mul, Add, Sub, Div and Neg with a constant, on either side, as one :class:`ChannelAffine`."""

from __future__ import annotations

__all__ = ["AffineRead", "read_elementwise"]

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bnfuse.graph.affine import ChannelAffine
from bnfuse.graph.channel import ChannelConstant, NotPerChannel, channel_constant

if TYPE_CHECKING:
    import onnx_ir as ir
    from numpy.typing import NDArray

    from bnfuse.graph.constants import ConstantEvaluator

_BINARY = frozenset({"Add", "Sub", "Mul", "Div", "Sum"})


@dataclass(frozen=True, eq=False)
class AffineRead:
    """An op read as a map of its one run-time input.

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
) -> AffineRead | NotPerChannel | None:
    """Read ``node``, or say why its constant is not per channel; ``None`` for any other op."""
    given = [value for value in node.inputs if value is not None]
    if node.domain or not _is_float(node):
        return None
    if node.op_type == "Neg" and not constants.is_constant(given[0]):
        return AffineRead(given[0], ChannelAffine.of(None, -1.0), True, False, False)
    if len(node.inputs) != 2 or len(given) != 2:
        return None
    left, right = given
    if node.op_type == "Einsum":
        return _read_einsum(node, left, right, constants)
    if node.op_type not in _BINARY:
        return None
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
    return AffineRead(
        x,
        _affine(node.op_type, constant, constant_first),
        scales=node.op_type in ("Mul", "Div"),
        shifts=node.op_type in ("Add", "Sub", "Sum"),
        per_channel=array.ndim > 0,
    )


def _read_einsum(
    node: ir.Node, left: ir.Value, right: ir.Value, constants: ConstantEvaluator
) -> AffineRead | NotPerChannel | None:
    """``einsum('nchw,c->nchw', x, s)``: an elementwise product by name."""
    equation = node.attributes.get_string("equation", "").replace(" ", "")
    operands, arrow, result = equation.partition("->")
    terms = operands.split(",")
    if not arrow or len(terms) != 2 or "." in equation:
        return None
    for x, constant, names, others in (
        (left, right, terms[0], terms[1]),
        (right, left, terms[1], terms[0]),
    ):
        array = constants.array(constant)
        if array is None or constants.is_constant(x) or names != result:
            continue
        distinct = len(set(names)) == len(names) and len(set(others)) == len(others)
        if not distinct or not set(others) <= set(names):
            return None
        ordered = np.transpose(array, [others.index(n) for n in names if n in others])
        shape = [array.shape[others.index(n)] if n in others else 1 for n in names]
        found = channel_constant(ordered.reshape(shape), x.shape)
        if isinstance(found, NotPerChannel):
            return found
        return AffineRead(x, _affine("Mul", found, False), True, False, True)
    return None


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


def _operand(value: ir.Value, other: ir.Value, constants: ConstantEvaluator) -> NDArray[Any] | None:
    """The number that ``value`` is, also when it is only expanded to ``other``'s run-time shape."""
    array = constants.array(value)
    if array is not None:
        return array
    # Without the repetition the op must still give the same shape: the repeated one is `other`'s.
    return constants.pattern(value) if _same_shape(value.shape, other.shape) else None


def _same_shape(one: ir.Shape | None, two: ir.Shape | None) -> bool:
    if one is None or two is None or len(one) != len(two):
        return False
    return all(_same_dim(a, b) for a, b in zip(one, two, strict=True))


def _same_dim(one: int | ir.SymbolicDim, two: int | ir.SymbolicDim) -> bool:
    if isinstance(one, int) or isinstance(two, int):
        return one == two
    return one.value is not None and one.value == two.value


def _is_float(node: ir.Node) -> bool:
    dtype = next((v.dtype for v in (*node.outputs[:1], *node.inputs) if v and v.dtype), None)
    return dtype is not None and dtype.is_floating_point()
