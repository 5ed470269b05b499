"""The ops that an affine may pass: one row for each identity.

``docs/folding.md`` shows this table to people, and is tested against it. What takes an affine for
good (linear maps, normalisers, other affines) stands in ``rules/takers.py``.
"""

from __future__ import annotations

__all__ = ["REARRANGING", "TABLE"]

from typing import TYPE_CHECKING

import numpy as np

from bnfuse.folding.rules.channels import (
    BROADCAST,
    REDUCED,
    SAME,
    Kept,
    behind_channels,
    elements,
    padded,
    resized,
)
from bnfuse.folding.rules.conditions import (
    clip_bounds,
    pad_values,
    refuse_extrapolation,
    refuse_lost_average,
    refuse_lost_maximum,
    refuse_training,
)
from bnfuse.folding.rules.parts import DEPTH_TO_SPACE, SELECTED, SPACE_TO_DEPTH
from bnfuse.folding.rules.row import Flow, Row, Scales

if TYPE_CHECKING:
    import onnx_ir as ir
    from numpy.typing import NDArray

_KINK = ": it moves the kink"
_SIZE = ": it changes the size"
_VALUES = " of two run-time values"
_POOLED = Kept("pools", behind_channels)
_RESIZED = Kept("may resize", resized)
_PADDED = Kept("pads", padded)
_NOT_NEGATIVE, _POSITIVE = Scales.NOT_NEGATIVE, Scales.POSITIVE


def _relu(x: NDArray[np.float64], node: ir.Node) -> NDArray[np.float64]:
    # The attribute is stored as float32: the double nearest to that is what runs.
    slope = node.attributes.get_float("alpha", 0.01) if node.op_type == "LeakyRelu" else 0.0
    return np.where(x < 0.0, float(np.float32(slope)) * x, x)


TABLE = (
    # Element by element.
    Row("Identity", SAME),
    Row("Dropout", SAME, guard=refuse_training),
    Row("Relu LeakyRelu", SAME, scales=_NOT_NEGATIVE, shift=_KINK, of_constant=_relu),
    Row("PRelu", SAME, scales=_NOT_NEGATIVE, shift=_KINK),
    Row("Abs", SAME, scales=_NOT_NEGATIVE, shift=_KINK, of_constant=lambda x, _: np.abs(x)),
    Row("Clip", SAME, scales=_POSITIVE, bounds=clip_bounds),
    # Elements move along other axes than the channels', or several become one.
    Row("AveragePool", _POOLED, guard=refuse_lost_average),
    Row("MaxPool", _POOLED, scales=_NOT_NEGATIVE, guard=refuse_lost_maximum),
    Row("GlobalAveragePool", _POOLED),
    Row("GlobalMaxPool", _POOLED, scales=_NOT_NEGATIVE),
    Row("ReduceMean", REDUCED),
    Row("ReduceSum", REDUCED, count=elements),
    Row("ReduceMax ReduceMin", REDUCED, scales=_NOT_NEGATIVE),
    Row("ReduceL1 ReduceL2", REDUCED, scales=_NOT_NEGATIVE, shift=_SIZE),
    Row("Resize", _RESIZED, guard=refuse_extrapolation),
    Row("Upsample", _RESIZED),
    Row("Pad", _PADDED, bounds=pad_values),
    Row("Expand", BROADCAST),
    # Channels move.
    Row("DepthToSpace", DEPTH_TO_SPACE),
    Row("SpaceToDepth", SPACE_TO_DEPTH),
    Row("Slice Gather", SELECTED),
    Row("Split", SELECTED, Flow.APART),
    # Several values become one.
    Row("Concat", SAME, Flow.TOGETHER),
    Row("Add Sum", BROADCAST, Flow.SUM),
    Row("Sub", BROADCAST, Flow.SUM, weights=(1.0, -1.0)),
    Row("Mean", BROADCAST, Flow.CHOICE, count=lambda at: 1.0 / len(at.node.inputs)),
    Row("Max Min", BROADCAST, Flow.CHOICE, scales=_NOT_NEGATIVE),
    Row("Where", BROADCAST, Flow.CHOICE, places=(1, None)),
    Row("Mul", BROADCAST, Flow.PRODUCT, shift=_VALUES),
    Row("Div", BROADCAST, Flow.PRODUCT, shift=_VALUES, places=(0, 1)),
)

REARRANGING = ("Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "MatMul")
"""Ops that compute nothing: channels move with the elements, through all such ops at once, and
through the product of two run-time matrices that may stand between them, as in an attention."""
