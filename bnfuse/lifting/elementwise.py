"""Mul, Add, Sub, Div and Neg with a constant, on either side, as one :class:`ChannelAffine`."""

from __future__ import annotations

__all__ = ["AffineRead", "read_elementwise"]

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bnfuse.graph.affine import ChannelAffine
from bnfuse.graph.channel import ChannelConstant, NotPerChannel, channel_constant
from bnfuse.graph.sizes import same_shape
from bnfuse.lifting.sites import Step

if TYPE_CHECKING:
    import onnx_ir as ir
    from numpy.typing import NDArray

    from bnfuse.graph.constants import ConstantEvaluator

_BINARY = frozenset({"Add", "Sub", "Mul", "Div", "Sum"})


@dataclass(frozen=True, eq=False)
class AffineRead:
    """An op read as a map of its one run-time input.

    Attributes:
        affine: The map.
        step: The op.
    """

    affine: ChannelAffine
    step: Step


def read_elementwise(
    node: ir.Node, constants: ConstantEvaluator
) -> AffineRead | NotPerChannel | None:
    """Read ``node``, or say why its constant is not per channel; ``None`` for any other op."""
    given = [value for value in node.inputs if value is not None]
    if node.domain or not _is_float(node):
        return None
    if node.op_type == "Neg" and not constants.is_constant(given[0]):
        return AffineRead(ChannelAffine.of(None, -1.0), Step.of(node, scales=True))
    if len(node.inputs) != 2 or len(given) != 2:
        return None
    left, right = given
    if node.op_type == "Einsum":
        op_type, arrays = "Mul", _factors_by_name(node, left, right, constants)
    else:
        op_type = node.op_type
        arrays = [_operand(left, right, constants), _operand(right, left, constants)]
    found = [array for array in arrays if array is not None]
    constant_first = arrays[0] is not None
    if op_type not in _BINARY or len(found) != 1 or (op_type == "Div" and constant_first):
        return None
    position, (array,) = int(constant_first), found
    constant = channel_constant(array, given[position].shape)
    if isinstance(constant, NotPerChannel):
        return constant
    scales, per_channel = op_type in ("Mul", "Div"), array.ndim > 0 or node.op_type == "Einsum"
    step = Step.of(node, position, scales=scales, shifts=not scales, per_channel=per_channel)
    return AffineRead(_affine(op_type, constant, constant_first), step)


def _factors_by_name(
    node: ir.Node, left: ir.Value, right: ir.Value, constants: ConstantEvaluator
) -> list[NDArray[Any] | None]:
    """``einsum('nchw,c->nchw', x, s)``: the constant of an elementwise product by name."""
    equation = node.attributes.get_string("equation", "").replace(" ", "")
    operands, arrow, result = equation.partition("->")
    terms = operands.split(",")
    if not arrow or len(terms) != 2 or "." in equation:
        return [None, None]
    for x, constant, names, others in (
        (left, right, terms[0], terms[1]),
        (right, left, terms[1], terms[0]),
    ):
        array = constants.array(constant)
        if array is None or constants.is_constant(x) or names != result:
            continue
        distinct = len(set(names)) == len(names) and len(set(others)) == len(others)
        if not distinct or not set(others) <= set(names):
            break
        ordered = np.transpose(array, [others.index(n) for n in names if n in others])
        shape = [array.shape[others.index(n)] if n in others else 1 for n in names]
        shaped = ordered.reshape(shape)
        return [shaped, None] if constant is left else [None, shaped]
    return [None, None]


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
    return constants.pattern(value) if same_shape(value.shape, other.shape) else None


def _is_float(node: ir.Node) -> bool:
    dtype = next((v.dtype for v in (*node.outputs[:1], *node.inputs) if v and v.dtype), None)
    return dtype is not None and dtype.is_floating_point()
