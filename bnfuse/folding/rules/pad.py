"""Through an explicit Pad, whose padding takes the affine with it.

Reflect, edge and wrap padding repeat elements of x, so ``A(pad(x)) = pad(A(x))``. Constant padding
with v becomes padding with ``s · v + t``, which must be one number for all channels; ``v = 0`` lets
any scale pass.
"""

from __future__ import annotations

__all__ = ["MoveThroughPad"]

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from bnfuse.folding.plan import Answer, Refusal, Repad, Response

if TYPE_CHECKING:
    from bnfuse.affine import ChannelAffine
    from bnfuse.lifting.constants import ConstantEvaluator
from bnfuse.lifting.limits import Limits


class MoveThroughPad:
    """Pad over axes other than the channels'."""

    op_types = ("Pad",)

    def backward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """``A(pad(x, v)) = pad(A(x), A(v))``."""
        del index
        return _answer(node, affine, constants, inverse=False)

    def forward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """``pad(A(x), v) = A(pad(x, A⁻¹(v)))``."""
        if index != 0:
            return Refusal(f"it steers Pad {node.name!r}", node.name or "")
        return _answer(node, affine, constants, inverse=True)


def _answer(
    node: ir.Node, affine: ChannelAffine, constants: ConstantEvaluator, *, inverse: bool
) -> Response:
    x, y = node.inputs[0], node.outputs[0]
    assert x is not None
    refusal = _refuse_axis(node, affine, constants)
    if refusal is not None:
        return refusal
    move = Answer(push=((y, affine),)) if inverse else Answer(pull=((x, affine),))
    if node.attributes.get_string("mode", "constant") != "constant":
        return move
    value = _padding_value(node, constants)
    if value is None:
        return Refusal(f"what Pad {node.name!r} pads with is computed at run time", node.name or "")
    if inverse and np.any(affine.scale == 0.0):
        return Refusal(f"a scale of 0 cannot be undone before Pad {node.name!r}", node.name or "")
    padding = (
        (value - affine.shift) / affine.scale if inverse else affine.scale * value + affine.shift
    )
    if np.all(padding == value):
        return move
    if padding.size == 0 or np.any(padding != padding.reshape(-1)[0]):
        return Refusal(
            f"Pad {node.name!r} would need another padding value for each channel",
            node.name or "",
        )
    if len(node.inputs) < 2:
        return Refusal(f"Pad {node.name!r} keeps its value in an attribute", node.name or "")
    new = float(padding.reshape(-1)[0])
    if x.dtype is None or Limits.of(x.dtype).overflows(np.asarray(new)):
        return Refusal(f"the padding of Pad {node.name!r} would overflow", node.name or "")
    return Answer(edits=(Repad(node, new),), pull=move.pull, push=move.push)


def _padding_value(node: ir.Node, constants: ConstantEvaluator) -> float | None:
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        array = constants.array(node.inputs[2])
        return None if array is None else float(array.reshape(-1)[0])
    return node.attributes.get_float("value", 0.0)


def _refuse_axis(
    node: ir.Node, affine: ChannelAffine, constants: ConstantEvaluator
) -> Refusal | None:
    if affine.axis is None:
        return None
    x = node.inputs[0]
    unknown = Refusal(f"which axes Pad {node.name!r} pads is not known", node.name or "")
    if x is None or x.shape is None:
        return unknown
    rank = len(x.shape)
    if len(node.inputs) > 1:
        given = None if node.inputs[1] is None else constants.array(node.inputs[1])
        if given is None:
            return unknown
        pads = [int(n) for n in given]
    else:
        pads = list(node.attributes.get_ints("pads", []))
    axes = list(range(rank))
    if len(node.inputs) > 3 and node.inputs[3] is not None:
        chosen = constants.array(node.inputs[3])
        if chosen is None:
            return unknown
        axes = [int(n) % rank for n in chosen]
    half = len(pads) // 2
    padded = {axis for i, axis in enumerate(axes) if pads[i] or pads[half + i]}
    if affine.axis in padded:
        return Refusal(
            f"Pad {node.name!r} pads the axis that its constants run along", node.name or ""
        )
    return None
