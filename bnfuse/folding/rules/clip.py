"""Through Clip, whose bounds take the affine with it.

``s · clip(x, l, h) + t = clip(s · x + t, s · l + t, s · h + t)`` for s > 0. ONNX's bounds are one
number each, so the affine must be the same for all channels; a lower bound of 0 alone lets any
positive scale pass, as a Relu does.
"""

from __future__ import annotations

__all__ = ["MoveThroughClip"]

from typing import TYPE_CHECKING

import numpy as np

from bnfuse.folding.plan import Answer, Refusal, Response

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

    from bnfuse.affine import ChannelAffine
    from bnfuse.lifting.constants import ConstantEvaluator


class MoveThroughClip:
    """Clip by constants."""

    op_types = ("Clip",)

    def backward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """The affine follows the Clip."""
        del index
        x = node.inputs[0]
        assert x is not None
        refusal = _refusal(node, affine, constants)
        if refusal is not None:
            return refusal
        return Answer(pull=((x, affine), *((bound, affine) for bound in _moved(node, affine))))

    def forward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """The affine preceded the Clip."""
        refusal = _refusal(node, affine, constants)
        if refusal is not None or index != 0:
            return refusal or Refusal(f"it steers Clip {node.name!r}", node.name or "")
        undo = affine.inverse()
        bounds = tuple((bound, undo) for bound in _moved(node, affine))
        return Answer(pull=bounds, push=((node.outputs[0], affine),))


def _moved(node: ir.Node, affine: ChannelAffine) -> list[ir.Value]:
    """The bounds that change: a lower bound of 0 does not by a scale per channel."""
    return [] if affine.axis is not None else [x for x in node.inputs[1:] if x is not None]


def _refusal(node: ir.Node, affine: ChannelAffine, constants: ConstantEvaluator) -> Refusal | None:
    title, name = f"Clip {node.name!r}", node.name or ""
    if np.any(affine.scale <= 0.0):
        return Refusal(f"a scale is not positive, next to {title}", name)
    bounds = node.inputs[1:]
    if any(key in node.attributes for key in ("min", "max")) or any(
        bound is not None and not constants.is_constant(bound) for bound in bounds
    ):
        return Refusal(f"the bounds of {title} are not constant inputs", name)
    if affine.axis is None or _is_relu(bounds, affine, constants):
        return None
    return Refusal(f"{title} has the same bounds for all channels", name)


def _is_relu(
    bounds: Sequence[ir.Value | None],
    affine: ChannelAffine,
    constants: ConstantEvaluator,
) -> bool:
    lowest, highest = (*bounds, None, None)[:2]
    above = None if highest is None else constants.array(highest)
    below = None if lowest is None else constants.array(lowest)
    return (
        not affine.has_shift
        and below is not None
        and not np.any(below)
        and (above is None or bool(np.all(np.isposinf(above))))
    )
