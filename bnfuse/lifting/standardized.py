"""Normalisers written out in elementary ops: ``x / sqrt(mean(x²) + eps)``, centred or not.

The Mul and Add by constants that end such a normaliser, or one that has no scale of its own as
PyTorch exports GroupNorm, are its scale and shift, not a batch norm. ONNX Runtime makes one op of
some spellings, and only together with that Mul, so there the scale must not leave:
`benchmarks/normalizer_forms.py` measured what that would cost.
"""

from __future__ import annotations

__all__ = ["Standardized", "standardized"]

import enum
from typing import TYPE_CHECKING

from bnfuse.lifting.nodes import affine_of
from bnfuse.lifting.normalizer import normalizer_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx_ir as ir

    from bnfuse.graph.constants import ConstantEvaluator

_LAYOUT = frozenset(
    {"Expand", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
)


class Standardized(enum.Enum):
    """How a value is divided by the root of its own mean square."""

    FUSED = "fused"
    """As ONNX Runtime's LayerNormFusion and SimplifiedLayerNormFusion look for it: Pow,
    ReduceMean over the last axis, Add, Sqrt, Div."""
    APART = "apart"
    """In any other way: each op runs by itself."""


def standardized(value: ir.Value | None, constants: ConstantEvaluator) -> Standardized | None:
    """Whether ``value`` is a standardised one, and how; ``None`` for any other value.

    Affines and normalisers must be lifted already: the Add of eps is one.
    """
    quotient = _producer(value)
    for dividend, divisor, is_division in _quotients(quotient):
        if is_division and _is_fused(dividend, divisor, constants):
            return Standardized.FUSED
    inner = _past_layout(value)
    normalizer = normalizer_of(inner)
    if normalizer is not None and normalizer.affine.is_identity:
        return Standardized.APART
    for _, divisor, _ in _quotients(inner):
        root = _past_constants(divisor)[0]
        if root is not None and root.op_type == "Sqrt" and _is_statistic(root.inputs[0]):
            return Standardized.APART
    return None


def _is_fused(
    dividend: ir.Value | None, divisor: ir.Value | None, constants: ConstantEvaluator
) -> bool:
    """Whether it is spelt as the runtime's fusion looks for it."""
    root = _producer(divisor)
    if root is None or root.op_type != "Sqrt":
        return False
    mean, shifted = _past_constants(root.inputs[0])
    if mean is None or mean.op_type != "ReduceMean" or not shifted:
        return False
    square = _producer(mean.inputs[0])
    if square is None or square.op_type != "Pow" or not _is_square_of(square, dividend):
        return False
    return _is_over_last(mean, constants)


def _is_statistic(value: ir.Value | None) -> bool:
    """Whether it is a mean over the input, or what is left of one: a variance, with eps."""
    node = _past_constants(value)[0]
    while node is not None and node.op_type == "Sub":
        # mean(x²) - mean(x)²
        node = _past_constants(node.inputs[0])[0]
    return node is not None and node.op_type in ("ReduceMean", "ReduceSum")


def _quotients(
    node: ir.Node | None,
) -> Iterator[tuple[ir.Value | None, ir.Value | None, bool]]:
    """The ways to read a node as a quotient: dividend, divisor, and whether it is spelt by Div."""
    if node is None or len(node.inputs) != 2:
        return
    left, right = node.inputs
    if node.op_type == "Div":
        yield left, right, True
    if node.op_type == "Mul":
        for x, factor in ((left, right), (right, left)):
            inverse = _past_layout(factor)
            if inverse is not None and inverse.op_type == "Reciprocal":
                yield x, inverse.inputs[0], False
            if inverse is not None and inverse.op_type == "Div":
                yield x, inverse.inputs[1], True


def _past_constants(value: ir.Value | None) -> tuple[ir.Node | None, bool]:
    """What lies before scales and shifts by constants, and whether there was a shift."""
    node, shifted = _past_layout(value), False
    while (lifted := affine_of(node)) is not None and node is not None:
        shifted = shifted or lifted.affine.has_shift
        node = _past_layout(node.inputs[0])
    return node, shifted


def _past_layout(value: ir.Value | None) -> ir.Node | None:
    """The node before all that only rearranges or repeats."""
    node = _producer(value)
    while node is not None and node.op_type in _LAYOUT:
        node = _producer(node.inputs[0])
    return node


def _is_square_of(square: ir.Node, x: ir.Value | None) -> bool:
    if square.op_type not in ("Pow", "Mul"):
        return False
    base = _origin(square.inputs[0])
    if square.op_type == "Mul" and _origin(square.inputs[1]) is not base:
        return False
    return base is _origin(x) or _centred(base) is _centred(_origin(x)) is not None


def _centred(value: ir.Value | None) -> ir.Value | None:
    """``x`` of ``x - mean(x)``: exporters repeat the subtraction for the variance."""
    node = _producer(value)
    if node is None or node.op_type != "Sub":
        return None
    mean = _producer(node.inputs[1])
    if mean is None or mean.op_type != "ReduceMean":
        return None
    x = _origin(node.inputs[0])
    return x if _origin(mean.inputs[0]) is x else None


def _is_over_last(mean: ir.Node, constants: ConstantEvaluator) -> bool:
    """Whether the mean is over the last axis alone, as far as can be told."""
    axes = list(mean.attributes.get_ints("axes", []))
    given = constants.constant(mean.inputs[1]) if len(mean.inputs) > 1 else None
    if given is not None:
        axes = [int(n) for n in given.array().reshape(-1)]
    x = mean.inputs[0]
    if len(axes) != 1 or x is None:
        return False
    return axes[0] == (-1 if x.shape is None or axes[0] < 0 else len(x.shape) - 1)


def _producer(value: ir.Value | None) -> ir.Node | None:
    origin = _origin(value)
    return None if origin is None else origin.producer()


def _origin(value: ir.Value | None) -> ir.Value | None:
    """The value before any Cast."""
    while value is not None and (node := value.producer()) is not None:
        if node.op_type != "Cast":
            return value
        value = node.inputs[0]
    return value
