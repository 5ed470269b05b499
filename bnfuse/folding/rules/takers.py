"""The ops that take an affine for good: linear maps, normalisers, other affines.

After a linear map, always exact, padding or not::

    s · (W · x + b) + t  =  (s · W) · x + (s · b + t)        W[o] *= s[o]

Before it::

    W · (s · x + t) + b  =  (W · s) · x + (b + W · t)        W[:, i] *= s[i]

The scale is exact for every linear op. The shift is not where the op pads with zeros: the zeros
are inserted after the shift, and the border sees no ``t``. That is any padded Conv, and every
ConvTranspose, whose border outputs see fewer taps than its inner ones.

LayerNormalization and its kin end with ``g · n + b``, where ``n`` is normalised by statistics of
the input, so ``s · (g · n + b) + t = (s · g) · n + (s · b + t)`` along the axis of their constants.
Nothing passes the other way: what stands before a normaliser changes its statistics.

Two affines in a row along one axis are one: ``s₂ · (s₁ · x + t₁) + t₂``.
"""

from __future__ import annotations

__all__ = ["TAKERS"]

from typing import TYPE_CHECKING, Literal

import numpy as np

from bnfuse.folding.fitting import check_affine, check_linear
from bnfuse.folding.plan import Absorb, Answer, Compose, Refusal, Rescale
from bnfuse.folding.rules.row import Crossing
from bnfuse.folding.wording import title
from bnfuse.graph.limits import fits
from bnfuse.lifting.nodes import linear_of
from bnfuse.lifting.normalizer import NORMALIZERS, normalizer_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx_ir as ir

    from bnfuse.folding.plan import Response
    from bnfuse.folding.rule import Rule
    from bnfuse.graph.affine import ChannelAffine
    from bnfuse.graph.constants import ConstantEvaluator
    from bnfuse.lifting.normalizer import Normalizer


class _TakeIntoLinear:
    """Conv, ConvTranspose, Gemm, MatMul and recurrent layers take it into weight and bias."""

    joins = False

    def backward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """The affine follows the linear map."""
        del index, constants
        return _absorbed(node, "after", affine)

    def forward(
        self, node: ir.Node, lost: Mapping[int, ChannelAffine], constants: ConstantEvaluator
    ) -> Response:
        """The affine preceded the linear map."""
        del constants
        (affine,) = lost.values()
        return _absorbed(node, "before", affine)


class _TakeIntoNormalizer:
    """LayerNormalization, RMSNormalization, InstanceNormalization, GroupNormalization."""

    joins = False

    def backward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """The affine follows the normaliser."""
        at, normalizer = Crossing(node, constants, output=index), normalizer_of(node)
        if index != 0:
            raise at.refusal("it is a statistic of")
        if normalizer is None:
            raise at.refusal("the scale or shift of", " is no constant per channel")
        reason = _reason(normalizer, affine)
        if reason:
            raise at.refusal("", f" {reason}")
        return Answer(edits=(Rescale(node, affine),))

    def forward(
        self, node: ir.Node, lost: Mapping[int, ChannelAffine], constants: ConstantEvaluator
    ) -> Response:
        """The affine preceded the normaliser."""
        del lost
        raise Crossing(node, constants).refusal("", " takes its statistics from it")


class _TakeIntoAffine:
    """Two ops become one."""

    joins = False

    def backward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """The other affine follows this one."""
        del index, constants
        check_affine(node, [("after", affine)])
        return Answer((Compose(node, "after", affine),))

    def forward(
        self, node: ir.Node, lost: Mapping[int, ChannelAffine], constants: ConstantEvaluator
    ) -> Response:
        """The other affine preceded this one."""
        del constants
        (affine,) = lost.values()
        check_affine(node, [("before", affine)])
        return Answer((Compose(node, "before", affine),))


TAKERS: dict[str, Rule] = {
    "Linear": _TakeIntoLinear(),
    "Affine": _TakeIntoAffine(),
    **dict.fromkeys(sorted(NORMALIZERS), _TakeIntoNormalizer()),
}


def _absorbed(node: ir.Node, side: Literal["after", "before"], affine: ChannelAffine) -> Answer:
    linear = linear_of(node)
    assert linear is not None
    is_after = side == "after"
    axis = linear.output_axis if is_after else linear.input_axis
    if affine.axis not in (None, axis):
        along = f"{'gives' if is_after else 'takes'} its channels along axis {axis}"
        raise Refusal(f"its constants run along axis {affine.axis}, and {title(node)} {along}")
    if not is_after and affine.has_shift and linear.pads_with_zeros:
        raise Refusal(f"{title(node)} pads with zeros, which the shift must not reach")
    take = linear.after if is_after else linear.before
    check_linear(linear, take(affine, "absorb"))
    return Answer(edits=(Absorb(node, side, affine, "absorb"),))


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
