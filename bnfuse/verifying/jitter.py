"""Simulated rounding: a float64 run in which each op errs as a float32 implementation may.

Monte Carlo arithmetic (Parker, 1997). Where a deep net enlarges a few directions, the original's
own runs are few draws from a wide distribution and may all be lucky. Each simulated run is one
more honest draw, and knows the conditioning of the function itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CONSTANT_OPS", "EXACT_OPS", "Jitter", "reach", "sequential_sum"]

Array = np.ndarray[Any, Any]

EXACT_OPS = frozenset(
    {
        "Cast", "CastLike", "Ceil", "Clip", "Compress", "Concat", "Constant", "ConstantOfShape",
        "DepthToSpace", "Dropout", "Expand", "EyeLike", "Flatten", "Floor", "Gather",
        "GatherElements", "GatherND", "GlobalMaxPool", "Identity", "If", "Loop", "Max", "MaxPool",
        "Min", "Neg", "OneHot", "Pad", "Range", "ReduceMax", "ReduceMin", "Relu", "Reshape",
        "Round", "Scan", "ScatterElements", "ScatterND", "Shape", "Sign", "Slice",
        "SpaceToDepth", "Split", "Squeeze", "Tile", "TopK", "Transpose", "Trilu", "Unsqueeze",
        "Where",
    }
)  # fmt: skip
"""Ops that round nothing."""

CONSTANT_OPS = frozenset(
    {
        "Add", "BatchNormalization", "Conv", "ConvTranspose", "Div", "Gemm",
        "GroupNormalization", "InstanceNormalization", "LayerNormalization", "MatMul", "Mul",
        "PRelu", "Sub",
    }
)  # fmt: skip
"""Ops whose constants another form of the same function may hold rounded otherwise."""

# A scale is a quotient by a root of a sum, and a folded weight a product by it: in float32 that
# is about two roundings' worth where exact arithmetic would have one.
_DERIVED = 2.0

# A dot product of k terms errs by a random walk: about this times sqrt(k) roundings of its result.
_WALK = 0.25


@dataclass
class Jitter:
    """Draws rounding errors.

    Attributes:
        rng: Where they come from.
        unit: The relative error of one rounding.
    """

    rng: np.random.Generator
    unit: float

    def weight(self, value: Array) -> Array:
        """Return a constant as if it had been derived and stored in the narrow type."""
        return value * (1.0 + _DERIVED * self.unit * self.rng.uniform(-1.0, 1.0, value.shape))

    def rounded(self, value: Array) -> Array:
        """Return the result of an op that rounds once or twice."""
        return value * (1.0 + self.unit * self.rng.uniform(-1.0, 1.0, value.shape))

    def accumulated(self, value: Array, terms: int) -> Array:
        """Return the result of dot products of ``terms`` terms: the error is of their scale."""
        finite = value[np.isfinite(value)]
        if not finite.size:
            return value
        scale = float(np.sqrt(np.mean(np.square(finite))))
        spread = self.unit * max(1.0, _WALK * math.sqrt(terms)) * scale
        return self.rounded(value) + spread * self.rng.standard_normal(value.shape)


def sequential_sum(value: Array, axes: Sequence[int], keepdims: bool) -> Array:
    """Return the sum over ``axes`` added one by one in float32, as a plain loop does.

    Equal numbers (a constant image, a zero one) do not err at random: the error grows in
    proportion to how many there are, and only a real summation shows it.
    """
    kept = [axis for axis in range(value.ndim) if axis not in axes]
    moved = value.transpose(*kept, *axes).reshape(*(value.shape[axis] for axis in kept), -1)
    with np.errstate(over="ignore", invalid="ignore"):
        total = np.cumsum(moved, axis=-1, dtype=np.float32)[..., -1].astype(np.float64)
    if keepdims:
        total = total.reshape([1 if i in axes else n for i, n in enumerate(value.shape)])
    return np.asarray(total)


def reach(op: str, inputs: Sequence[Any]) -> int:
    """Return how many terms each dot product of a node adds; 0 if it has none."""
    if op in {"Conv", "ConvInteger"}:
        return int(np.prod(inputs[1].shape[1:]))
    if op == "ConvTranspose":
        return int(inputs[1].shape[0] * np.prod(inputs[1].shape[2:]))
    if op in {"MatMul", "Gemm"}:
        return int(inputs[0].shape[-1])
    return 0
