"""An affine after a normaliser is that normaliser with another scale and shift.

LayerNormalization and its kin end with ``g · n + b``, where ``n`` is normalised by statistics of
the input, so ``s · (g · n + b) + t = (s · g) · n + (s · b + t)`` along the axis of their constants.
Nothing passes the other way: what stands before a normaliser changes its statistics.
"""

from __future__ import annotations

__all__ = ["AbsorbIntoNormalizer"]

from typing import TYPE_CHECKING

import numpy as np

from bnfuse.folding.plan import Answer, Refusal, Rescale, Response
from bnfuse.lifting.limits import fits
from bnfuse.lifting.normalizer import NORMALIZERS, normalizer_of

if TYPE_CHECKING:
    import onnx_ir as ir

    from bnfuse.affine import ChannelAffine
    from bnfuse.lifting.constants import ConstantEvaluator
    from bnfuse.lifting.normalizer import Normalizer


class AbsorbIntoNormalizer:
    """LayerNormalization, RMSNormalization, InstanceNormalization, GroupNormalization."""

    op_types = tuple(sorted(NORMALIZERS))

    def backward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """The affine follows the normaliser."""
        del constants
        title, name = f"{node.op_type} {node.name!r}", node.name or ""
        normalizer = normalizer_of(node)
        if index != 0:
            return Refusal(f"it is a statistic of {title}", name)
        if normalizer is None:
            return Refusal(f"the scale or shift of {title} is no constant per channel", name)
        reason = _reason(normalizer, affine)
        if reason:
            return Refusal(f"{title} {reason}", name)
        return Answer(edits=(Rescale(node, affine),))

    def forward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """The affine preceded the normaliser."""
        del index, affine, constants
        title = f"{node.op_type} {node.name!r}"
        return Refusal(f"{title} takes its statistics from it", node.name or "")


def _reason(normalizer: Normalizer, affine: ChannelAffine) -> str:
    """Why the normaliser cannot end with ``affine`` too; empty when it can."""
    if affine.axis not in (None, normalizer.axis):
        return f"has its scale along another axis than {affine.axis}"
    joined = normalizer.affine.then(affine)
    if joined.has_shift and not normalizer.shifts:
        return "has no shift"
    if not fits(joined, normalizer.dtype):
        return "cannot hold the numbers that would result"
    if normalizer.repeats > 1 and joined.axis is not None:
        groups = np.stack([joined.scale, joined.shift]).reshape(2, -1, normalizer.repeats)
        if np.any(groups != groups[:, :, :1]):
            return "has one scale for a whole group of channels"
    return ""
