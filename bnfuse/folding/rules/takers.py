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

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bnfuse.folding.fitting import check_affine, check_linear
from bnfuse.folding.plan import Answer, Refusal, Take
from bnfuse.folding.rule import Crossing, title
from bnfuse.graph.affine import ChannelAffine
from bnfuse.graph.limits import fits
from bnfuse.lifting.linear import Side
from bnfuse.lifting.nodes import linear_at, normalizer_of
from bnfuse.lifting.normalizer import NORMALIZERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bnfuse.folding.plan import Response
    from bnfuse.folding.rule import Rule
    from bnfuse.lifting.normalizer import Normalizer


@dataclass(frozen=True)
class _Taker:
    """Takes an affine, unless the check refuses."""

    check: Callable[[Crossing, Side, ChannelAffine], None]
    joins = False

    def backward(self, at: Crossing, affine: ChannelAffine) -> Response:
        """The affine follows it."""
        return self._taken(at, "after", affine)

    def forward(self, at: Crossing, lost: Mapping[int, ChannelAffine]) -> Response:
        """The affine preceded it."""
        return self._taken(at, "before", lost[at.place])

    def _taken(self, at: Crossing, side: Side, affine: ChannelAffine) -> Answer:
        self.check(at, side, affine)
        return Answer((Take(at.node, side, affine),))


def _check_linear(at: Crossing, side: Side, affine: ChannelAffine) -> None:
    """Conv, ConvTranspose, Gemm, MatMul and recurrent layers take it into weight and bias."""
    linear, is_after = linear_at(at.node), side == "after"
    axis = linear.output_axis if is_after else linear.input_axis
    if affine.axis not in (None, axis):
        along = f"{'gives' if is_after else 'takes'} its channels along axis {axis}"
        raise Refusal(f"its constants run along axis {affine.axis}, and {title(at.node)} {along}")
    if not is_after and affine.has_shift and linear.pads_with_zeros:
        raise Refusal(f"{title(at.node)} pads with zeros, which the shift must not reach")
    check_linear(linear, linear.taking(side, affine))


def _check_normalizer(at: Crossing, side: Side, affine: ChannelAffine) -> None:
    """LayerNormalization, RMSNormalization, InstanceNormalization, GroupNormalization."""
    if side == "before":
        raise at.refusal("", " takes its statistics from it")
    normalizer = normalizer_of(at.node)
    if at.output != 0:
        raise at.refusal("it is a statistic of")
    if normalizer is None:
        raise at.refusal("the scale or shift of", " is no constant per channel")
    reason = _reason(normalizer, affine)
    if reason:
        raise at.refusal("", f" {reason}")


def _check_affine(at: Crossing, side: Side, affine: ChannelAffine) -> None:
    """Two ops become one."""
    check_affine(at.node, [(side, affine)])


TAKERS: dict[str, Rule] = {
    "Linear": _Taker(_check_linear),
    "Affine": _Taker(_check_affine),
    **dict.fromkeys(sorted(NORMALIZERS), _Taker(_check_normalizer)),
}


def _reason(normalizer: Normalizer, affine: ChannelAffine) -> str:
    """Why the normaliser cannot end with ``affine`` too; empty when it can."""
    if affine.axis not in (None, normalizer.place.axis):
        return f"has its scale along another axis than {affine.axis}"
    joined = normalizer.affine.then(affine)
    if joined.has_shift and not normalizer.shifts:
        return "has no shift"
    if not fits(joined, normalizer.dtype):
        return "cannot hold the numbers that would result"
    if normalizer.place.repeats > 1 and joined.axis is not None:
        groups = np.stack([joined.scale, joined.shift]).reshape(2, -1, normalizer.place.repeats)
        if np.any(groups != groups[:, :, :1]):
            return "has one scale for a whole group of channels"
    return ""
