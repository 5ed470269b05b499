"""Through Identity, and through activations that commute with a positive scale.

``relu(s · x) = s · relu(x)`` for s ≥ 0, and the same for LeakyRelu and for PRelu, whose slopes
only depend on the sign of x. A shift does not pass: it moves the kink.
"""

from __future__ import annotations

__all__ = ["MoveThroughActivation", "MoveThroughIdentity"]

from typing import TYPE_CHECKING

import numpy as np

from bnfuse.folding.plan import Answer, Refusal, Response

if TYPE_CHECKING:
    import onnx_ir as ir

    from bnfuse.affine import ChannelAffine
    from bnfuse.lifting.constants import ConstantEvaluator


class MoveThroughIdentity:
    """Identity and Dropout at inference."""

    op_types = ("Identity", "Dropout")

    def backward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """It changes nothing, so neither does the affine."""
        x = node.inputs[0]
        assert x is not None
        return _refuse_training(node, index, constants) or Answer(pull=((x, affine),))

    def forward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """It changes nothing, so neither does the affine."""
        return _refuse_training(node, index, constants) or Answer(push=((node.outputs[0], affine),))


class MoveThroughActivation:
    """Relu, LeakyRelu and PRelu."""

    op_types = ("Relu", "LeakyRelu", "PRelu")

    def backward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """``s · relu(x) = relu(s · x)``."""
        del index, constants
        x = node.inputs[0]
        assert x is not None
        return _refuse_kink(node, affine) or Answer(pull=((x, affine),))

    def forward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """``relu(s · x) = s · relu(x)``."""
        del constants
        if index != 0:
            return Refusal(f"it is the slope of {node.op_type} {node.name!r}", node.name or "")
        return _refuse_kink(node, affine) or Answer(push=((node.outputs[0], affine),))


def _refuse_kink(node: ir.Node, affine: ChannelAffine) -> Refusal | None:
    title, name = f"{node.op_type} {node.name!r}", node.name or ""
    if affine.has_shift:
        return Refusal(f"a shift does not pass through {title}: it moves the kink", name)
    negative = np.flatnonzero(np.atleast_1d(affine.scale) < 0.0)
    if negative.size:
        return Refusal(f"the scale of channel {negative[0]} is negative, next to {title}", name)
    return None


def _refuse_training(node: ir.Node, index: int, constants: ConstantEvaluator) -> Refusal | None:
    """A Dropout passes only what its first output carries, and only at inference."""
    if node.op_type != "Dropout":
        return None
    mode = node.inputs[2] if len(node.inputs) > 2 else None
    training = mode is not None and (
        not constants.is_constant(mode) or bool(np.any(constants.array(mode)))
    )
    if index == 0 and not training:
        return None
    return Refusal(f"Dropout {node.name!r} may drop elements", node.name or "")
