"""Through Identity, and through activations that commute with a positive scale.

``relu(s · x) = s · relu(x)`` for s ≥ 0, and the same for Abs, for LeakyRelu and for PRelu, whose
slopes only depend on the sign of x. A shift does not pass: it moves the kink. Forward, where the
scale is 0 and nothing but the shift is left, ``relu(0 · x + t) = 0 · relu(x) + relu(t)``.
"""

from __future__ import annotations

__all__ = ["MoveThroughActivation", "MoveThroughIdentity"]

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from bnfuse.affine import ChannelAffine
from bnfuse.folding.plan import Answer, Refusal, Response
from bnfuse.folding.rules.commuting import CommutingRule
from bnfuse.lifting.constants import ConstantEvaluator


class MoveThroughIdentity(CommutingRule):
    """Identity and Dropout at inference: they change nothing."""

    op_types = ("Identity", "Dropout")

    def refusal(
        self, node: ir.Node, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Refusal | None:
        """A Dropout that may train drops elements."""
        del affine
        return _refuse_training(node, constants)


class MoveThroughActivation(CommutingRule):
    """Relu, LeakyRelu, PRelu and Abs."""

    op_types = ("Relu", "LeakyRelu", "PRelu", "Abs")

    def refusal(
        self, node: ir.Node, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Refusal | None:
        """Only a scale that is not negative passes."""
        del constants
        return _refuse_kink(node, affine)

    def forward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """The same scales, and of a channel that is all shift the activation of that."""
        activate = _ACTIVATIONS.get(node.op_type)
        if activate is None or np.any(affine.shift[affine.scale != 0.0]):
            return super().forward(node, index, affine, constants)
        # The attribute is stored as float32: the double nearest to that is what runs.
        alpha = float(np.float32(node.attributes.get_float("alpha", 0.01)))
        shift = activate(affine.shift, alpha)
        moved = ChannelAffine.of(affine.axis, affine.scale, shift, affine.magnitude)
        refusal = self.refusal(node, affine.only_scale(), constants)
        return refusal or Answer(push=((node.outputs[0], moved),))


_ACTIVATIONS: dict[str, Callable[[NDArray[np.float64], float], NDArray[np.float64]]] = {
    "Relu": lambda x, _: np.maximum(x, 0.0),
    "LeakyRelu": lambda x, alpha: np.where(x < 0.0, alpha * x, x),
    "Abs": lambda x, _: np.abs(x),
}


def _refuse_kink(node: ir.Node, affine: ChannelAffine) -> Refusal | None:
    title, name = f"{node.op_type} {node.name!r}", node.name or ""
    if affine.has_shift:
        return Refusal(f"a shift does not pass through {title}: it moves the kink", name)
    negative = np.flatnonzero(np.atleast_1d(affine.scale) < 0.0)
    if negative.size:
        return Refusal(f"the scale of channel {negative[0]} is negative, next to {title}", name)
    return None


def _refuse_training(node: ir.Node, constants: ConstantEvaluator) -> Refusal | None:
    if node.op_type != "Dropout":
        return None
    mode = node.inputs[2] if len(node.inputs) > 2 else None
    training = mode is not None and (
        not constants.is_constant(mode) or bool(np.any(constants.array(mode)))
    )
    if not training:
        return None
    return Refusal(f"Dropout {node.name!r} may drop elements", node.name or "")
