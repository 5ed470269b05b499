"""What the verifier knows of each ONNX op: one table, which shares nothing with what folds.

An op that is not in the table rounds, decides nothing and lets nothing through: what is unknown
is judged as if it could err. ``tests/verify/test_ops.py`` holds the table to ONNX's own cases.
"""

from __future__ import annotations

__all__ = ["TORCH", "Fact", "has", "onnx_name", "ops_with", "rounds"]

import enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import NodeProto


class Fact(enum.Flag):
    """A thing that an op does or does not do."""

    NONE = 0
    EXACT = enum.auto()
    """Its result is a number of the type that holds what it reads: it rounds nothing."""
    CONSTANTS = enum.auto()
    """Another form of the same function may hold its constants rounded otherwise."""
    RANDOM = enum.auto()
    """Its result is not a function of what it reads."""
    NARROW = enum.auto()
    """``onnx.reference`` computes it in float32, whatever it is given."""
    LINEAR = enum.auto()
    """Its slope is worked out from the shapes of what it reads, and from its constants."""
    RISING = enum.auto()
    """Of two numbers that it reads, the larger gives the larger result."""
    SIZES = enum.auto()
    """It reads shapes alone."""
    ARITHMETIC = enum.auto()
    """An integer that it reads is a number: neither a size nor an index."""

    # Where the numbers of its result come from: each is one of those that it reads.
    REORDERS = enum.auto()
    """Each number of its first input, once."""
    REPEATS = enum.auto()
    """Each number of its first input, once or more."""
    CONVERTS = enum.auto()
    """Each number of its first input, once, in another type."""
    PICKS = enum.auto()
    """Some of the numbers of its first input."""
    JOINS = enum.auto()
    """Numbers of several inputs, or of its first input and others beside or between them."""
    TRANSPARENT = enum.auto()
    """Element by element or in the same order, so that a decision before it is one behind it."""
    ROWS = enum.auto()
    """A table's rows are where they were."""

    # What it makes of floats that are near each other.
    COMPARES = enum.auto()
    """Two floats, into a boolean."""
    CHOOSES = enum.auto()
    """The place of a largest or smallest float."""
    STEPS = enum.auto()
    """A float, into the whole number next to it."""
    LEVELS = enum.auto()
    """A float, into the level of a quantisation next to it."""
    SELECTS = enum.auto()
    """The rows that others do not outdo."""
    INTEGRAL = enum.auto()
    """It makes integers or booleans of whatever it reads."""

    # Which sides it has.
    SIGNED = enum.auto()
    """Negative and positive numbers."""
    BOUNDED = enum.auto()
    """Numbers below, inside and above bounds."""
    CONDITIONAL = enum.auto()
    """Where a condition holds, and where not."""
    EXTREME = enum.auto()
    """The input that is the largest or smallest."""

    BENT = SIGNED | BOUNDED | CONDITIONAL | EXTREME
    DECIDES = COMPARES | CHOOSES | STEPS | SELECTS
    SAME_NUMBERS = REORDERS | REPEATS | CONVERTS
    MOVES = REORDERS | REPEATS | PICKS | JOINS


_F = Fact
_VIEW = _F.EXACT | _F.REORDERS | _F.TRANSPARENT
_ROWS: dict[str, Fact] = {
    # Elements that move.
    "Flatten Reshape Squeeze Unsqueeze": _VIEW,
    "Identity": _VIEW | _F.ROWS,
    "DepthToSpace Dropout ReverseSequence SpaceToDepth Transpose": _F.EXACT | _F.REORDERS,
    "Expand Tile": _F.EXACT | _F.REPEATS,
    "Compress Gather GatherElements GatherND Slice Split": _F.EXACT | _F.PICKS,
    "Pad": _F.EXACT | _F.JOINS,
    "Concat": _F.EXACT | _F.JOINS | _F.ARITHMETIC,
    "CenterCropPad ConstantOfShape Constant EyeLike MaxUnpool OneHot Range Scatter "
    "ScatterElements ScatterND Trilu": _F.EXACT,
    "ConcatFromSequence Optional OptionalGetElement SequenceAt SequenceConstruct SequenceEmpty "
    "SequenceErase SequenceInsert SplitToSequence": _F.EXACT,
    "Loop Scan": _F.EXACT,
    "Resize": _F.JOINS,
    # Numbers that stay, or become others without rounding.
    "Abs Sign": _F.EXACT | _F.ARITHMETIC,
    "Neg": _F.EXACT | _F.ARITHMETIC,
    "Cast": _F.EXACT | _F.TRANSPARENT | _F.CONVERTS | _F.ROWS | _F.LINEAR,
    "CastLike Mod": _F.EXACT,
    "DequantizeLinear": _F.ROWS,
    # Sides.
    "Relu": _F.EXACT | _F.SIGNED,
    "Celu Elu LeakyRelu Selu": _F.SIGNED,
    "PRelu": _F.SIGNED | _F.CONSTANTS,
    "Clip": _F.EXACT | _F.BOUNDED | _F.TRANSPARENT | _F.ARITHMETIC,
    "HardSigmoid HardSwish": _F.BOUNDED,
    "If Where": _F.EXACT | _F.CONDITIONAL,
    "Max Min": _F.EXACT | _F.EXTREME | _F.ARITHMETIC,
    "MaxPool": _F.EXACT | _F.LINEAR,
    "GlobalMaxPool MaxRoiPool": _F.EXACT,
    "ReduceMax ReduceMin": _F.EXACT | _F.ARITHMETIC,
    "ThresholdedRelu": _F.EXACT,
    # Decisions.
    "Greater GreaterOrEqual Less LessOrEqual": (
        _F.EXACT | _F.COMPARES | _F.INTEGRAL | _F.LINEAR
    ),
    "ArgMax ArgMin": _F.EXACT | _F.CHOOSES | _F.INTEGRAL,
    "Hardmax Unique": _F.EXACT,
    "Ceil Floor Round": _F.EXACT | _F.STEPS,
    "QuantizeLinear": _F.LEVELS | _F.INTEGRAL,
    "NonMaxSuppression": _F.EXACT | _F.SELECTS | _F.INTEGRAL,
    "TopK": _F.EXACT,
    "And Or": _F.EXACT | _F.INTEGRAL | _F.LINEAR,
    "Not": _F.EXACT | _F.INTEGRAL | _F.TRANSPARENT | _F.LINEAR,
    "BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Equal IsInf IsNaN NonZero "
    "Xor": _F.EXACT | _F.INTEGRAL,
    "Shape Size": _F.EXACT | _F.INTEGRAL | _F.SIZES,
    # Sums and products.
    "Add Sub": _F.CONSTANTS | _F.LINEAR | _F.ARITHMETIC,
    "Mul": _F.CONSTANTS | _F.ARITHMETIC,
    "Div": _F.CONSTANTS,
    "BatchNormalization Conv ConvTranspose Gemm MatMul": _F.CONSTANTS | _F.LINEAR,
    "GroupNormalization InstanceNormalization LayerNormalization": _F.CONSTANTS,
    "AveragePool GlobalAveragePool ReduceMean": _F.LINEAR,
    "ReduceSum": _F.LINEAR | _F.ARITHMETIC,
    "Exp Log LogSoftmax Sigmoid Softmax Sqrt Tanh": _F.RISING,
    # What the reference does not compute in float64.
    "AffineGrid BitCast CausalConvWithState DynamicQuantizeLinear GridSample LinearAttention "
    "MelWeightMatrix TfIdfVectorizer": _F.NARROW,
    "Bernoulli Multinomial RandomNormal RandomNormalLike RandomUniform "
    "RandomUniformLike": _F.RANDOM,
}  # fmt: skip
_TABLE = {name: facts for names, facts in _ROWS.items() for name in names.split()}


def has(op: str, fact: Fact) -> bool:
    """Whether an op has ``fact``, or one of several."""
    return bool(_TABLE.get(op, Fact.NONE) & fact)


def rounds(node: NodeProto) -> bool:
    """Whether a node may round: a Scatter does only where it adds or multiplies."""
    reductions = (item.s for item in node.attribute if item.name == "reduction")
    return not has(node.op_type, Fact.EXACT) or any(by in {b"add", b"mul"} for by in reductions)


def ops_with(fact: Fact) -> frozenset[str]:
    """The ops that have ``fact``, or one of several."""
    return frozenset(op for op, facts in _TABLE.items() if facts & fact)


TORCH = {
    "_log_softmax": "LogSoftmax", "_softmax": "Softmax", "_to_copy": "Cast",
    "_unsafe_view": "Reshape", "acos": "Acos", "argmax": "ArgMax",
    "argmin": "ArgMin", "asin": "Asin", "atan": "Atan", "cat": "Concat",
    "ceil": "Ceil", "clamp": "Clip", "clone": "Identity", "constant_pad_nd": "Pad",
    "copy": "Identity", "cos": "Cos", "elu": "Elu", "embedding": "Gather",
    "empty": "ConstantOfShape", "erf": "Erf", "exp": "Exp", "eye": "EyeLike", "floor": "Floor",
    "full": "ConstantOfShape", "gather": "GatherElements", "ge": "GreaterOrEqual",
    "gelu": "Gelu", "gt": "Greater", "hardsigmoid": "HardSigmoid", "hardswish": "HardSwish",
    "hardtanh": "Clip", "index": "GatherND", "index_select": "Gather", "le": "LessOrEqual",
    "log": "Log", "lt": "Less", "max": "ArgMax",
    "max_pool2d_with_indices": "MaxPool",
    "maximum": "Max", "min": "ArgMin", "minimum": "Min", "mish": "Mish", "neg": "Neg",
    "ones": "ConstantOfShape", "relu": "Relu", "round": "Round", "sigmoid": "Sigmoid",
    "silu": "Swish", "sin": "Sin", "softplus": "Softplus", "sort": "TopK", "stack": "Concat",
    "tan": "Tan", "tanh": "Tanh", "topk": "TopK", "where": "Where", "zeros": "ConstantOfShape",
}  # fmt: skip
"""The ONNX op that exporters write for a torch op, by the name of its overload packet."""


def onnx_name(op: str) -> str:
    """The ONNX op of a torch op, in place or not; any other name as it is."""
    return TORCH.get(op.rstrip("_"), op)
