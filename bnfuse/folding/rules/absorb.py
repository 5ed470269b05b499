"""An affine beside a linear map by a constant is that linear map with other constants.

After it, always exact, padding or not::

    s · (W · x + b) + t  =  (s · W) · x + (s · b + t)        W[o] *= s[o]

Before it::

    W · (s · x + t) + b  =  (W · s) · x + (b + W · t)        W[:, i] *= s[i]

The scale is exact for every linear op. The shift is not where the op pads with zeros: the zeros
are inserted after the shift, and the border sees no ``t``. That is any padded Conv, and every
ConvTranspose, whose border outputs see fewer taps than its inner ones.
"""

from __future__ import annotations

__all__ = ["AbsorbIntoLinear"]


from typing import TYPE_CHECKING

from bnfuse.folding.fitting import refuse_linear
from bnfuse.folding.plan import Absorb, Answer, Refusal, Response
from bnfuse.lifting.nodes import linear_of

if TYPE_CHECKING:
    import onnx_ir as ir

    from bnfuse.affine import ChannelAffine
    from bnfuse.lifting.constants import ConstantEvaluator
    from bnfuse.lifting.linear import LinearMap


class AbsorbIntoLinear:
    """Conv, ConvTranspose, Gemm and MatMul take the affine into weight and bias."""

    _NAME = "absorb"
    op_types = ("Linear",)

    def backward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """The affine follows the linear map."""
        del index, constants
        linear = _linear(node)
        refusal = _axis_refusal(linear, affine, linear.output_axis, "gives its channels")
        if refusal is None:
            refusal = refuse_linear(linear, linear.after(affine, self._NAME))
        return refusal or Answer(edits=(Absorb(node, "after", affine, self._NAME),))

    def forward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """The affine preceded the linear map."""
        del index, constants
        linear = _linear(node)
        refusal = _axis_refusal(linear, affine, linear.input_axis, "takes its channels")
        if refusal is None and affine.has_shift and linear.pads_with_zeros:
            refusal = Refusal(
                f"{linear.op_type} {linear.label!r} pads with zeros, "
                "which the shift must not reach",
                linear.name,
            )
        if refusal is None:
            refusal = refuse_linear(linear, linear.before(affine, self._NAME))
        return refusal or Answer(edits=(Absorb(node, "before", affine, self._NAME),))


def _linear(node: ir.Node) -> LinearMap:
    linear = linear_of(node)
    assert linear is not None
    return linear


def _axis_refusal(linear: LinearMap, affine: ChannelAffine, axis: int, verb: str) -> Refusal | None:
    if affine.axis in (None, axis):
        return None
    return Refusal(
        f"its constants run along axis {affine.axis}, and {linear.op_type} {linear.label!r} "
        f"{verb} along axis {axis}",
        linear.name,
    )
