"""What ONNX Runtime makes one op of: normalisers and GELUs that are written out in elementary ops.

**Normalisers** as ``x / sqrt(mean(x²) + eps)``, centred or not. The Mul and Add by constants that
end one, or one that has no scale of its own as PyTorch exports GroupNorm, are its scale and shift,
not a batch norm. The runtime fuses some spellings, and only together with that Mul, so there the
scale must not leave: `benchmarks/normalizer_forms.py` measured what that would cost.

**GELU** as ``0.5 · x · (1 + erf(x / √2))``, and as its approximation
``0.5 · x · (1 + tanh(√(2/π) · (x + 0.044715 · x³)))`` (Hendrycks and Gimpel 2016). Each number is a
scalar scale or shift like any other, and moving one saves an op. But the runtime's fusions look for
these very numbers, and save more.
"""

from __future__ import annotations

__all__ = ["Standardized", "gelu_numbers", "standardized"]

import enum
from typing import TYPE_CHECKING

from bnfuse.graph.access import given, readers
from bnfuse.lifting.nodes import affine_of, normalizer_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import onnx_ir as ir

    from bnfuse.graph.constants import ConstantEvaluator

_LAYOUT = frozenset(
    {"Expand", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
)
_HALF = 0.5
_CLOSE = 1e-6


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
    for dividend, divisor, is_division in _quotients(_past_casts(value)):
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
    root = _past_casts(divisor)
    if root is None or root.op_type != "Sqrt":
        return False
    mean, shifted = _past_constants(root.inputs[0])
    if mean is None or mean.op_type != "ReduceMean" or not shifted:
        return False
    square = _past_casts(mean.inputs[0])
    if square is None or square.op_type != "Pow":
        return False
    base, x = _origin(square.inputs[0]), _origin(dividend)
    is_square = base is x or _centred(base) is _centred(x) is not None
    return is_square and _is_over_last(mean, constants)


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
    while node is not None and (lifted := affine_of(node)) is not None:
        shifted = shifted or lifted.affine.has_shift
        node = _past_layout(node.inputs[0])
    return node, shifted


def _past_layout(value: ir.Value | None) -> ir.Node | None:
    """The node before all that only rearranges or repeats."""
    node = _past_casts(value)
    while node is not None and node.op_type in _LAYOUT:
        node = _past_casts(node.inputs[0])
    return node


def _past_casts(value: ir.Value | None) -> ir.Node | None:
    return _producer(_origin(value))


def _origin(value: ir.Value | None) -> ir.Value | None:
    """The value before any Cast."""
    while (node := _producer(value)) is not None and node.op_type == "Cast":
        value = node.inputs[0]
    return value


def _centred(value: ir.Value | None) -> ir.Value | None:
    """``x`` of ``x - mean(x)``: exporters repeat the subtraction for the variance."""
    node = _past_casts(value)
    if node is None or node.op_type != "Sub":
        return None
    mean = _past_casts(node.inputs[1])
    if mean is None or mean.op_type != "ReduceMean":
        return None
    x = _origin(node.inputs[0])
    return x if _origin(mean.inputs[0]) is x else None


def _is_over_last(mean: ir.Node, constants: ConstantEvaluator) -> bool:
    """Whether the mean is over the last axis alone, as far as can be told."""
    stored, x = constants.array(given(mean, 1)), mean.inputs[0]
    axes = list(mean.attributes.get_ints("axes", []) if stored is None else stored.reshape(-1))
    if len(axes) != 1 or x is None:
        return False
    return bool(axes[0] == (-1 if x.shape is None or axes[0] < 0 else len(x.shape) - 1))


def gelu_numbers(nodes: Iterable[ir.Node]) -> frozenset[ir.Node]:
    """The Affine nodes that are a number of some GELU among ``nodes``."""
    found: set[ir.Node] = set()
    for node in nodes:
        if node.op_type in ("Erf", "Tanh"):
            found.update(_numbers_around(node))
    return frozenset(found)


def _numbers_around(curve: ir.Node) -> list[ir.Node]:
    """The numbers of the GELU that an Erf or a Tanh is the curve of; none where it is another."""
    plus_one = _only_reader(curve)
    if plus_one is None or _uniform(plus_one) != (1.0, 1.0):
        return []
    product = _only_reader(plus_one)
    if product is None or product.op_type != "Mul":
        return []
    halves = [n for n in (_only_reader(product), *_producers(product)) if _is_half(n)]
    (inner,) = _producers(curve)
    # Inside a Tanh ``0.044715 · x³``, a power or products, is added to x.
    (total,) = _producers(inner)[:1] or [None]
    terms = _producers(total) if total is not None and total.op_type == "Add" else []
    cubes = [t for t in terms if any(n and n.op_type in ("Pow", "Mul") for n in _producers(t)[:1])]
    numbers = [plus_one, *halves, inner, *cubes]
    return [node for node in numbers if halves and node is not None and affine_of(node) is not None]


def _is_half(node: ir.Node | None) -> bool:
    found = _uniform(node)
    return found is not None and abs(found[0] - _HALF) < _CLOSE and found[1] == 0.0


def _uniform(node: ir.Node | None) -> tuple[float, float] | None:
    """A uniform Affine's scale and shift."""
    lifted = affine_of(node)
    if lifted is None or lifted.affine.axis is not None:
        return None
    return float(lifted.affine.scale), float(lifted.affine.shift)


def _only_reader(node: ir.Node) -> ir.Node | None:
    uses = readers(node.outputs[0])
    return uses[0].node if len(uses) == 1 else None


def _producers(node: ir.Node | None) -> list[ir.Node | None]:
    return [] if node is None else [_producer(value) for value in node.inputs]


def _producer(value: ir.Value | None) -> ir.Node | None:
    return None if value is None else value.producer()
