"""Through a product of two run-time values: the scale, by either factor; no shift.

``s · (u · v) = (s · u) · v``. A quotient takes it in its numerator.
"""

from __future__ import annotations

__all__ = ["MoveThroughProduct"]


from typing import TYPE_CHECKING

from bnfuse.affine import ChannelAffine
from bnfuse.folding.plan import Answer, Refusal, Response
from bnfuse.folding.rules.broadcast import over, under
from bnfuse.folding.wording import two_ways
from bnfuse.lifting.batch_statistics import batch_statistics

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx_ir as ir

    from bnfuse.lifting.constants import ConstantEvaluator


class MoveThroughProduct:
    """Mul and Div of run-time values."""

    op_types = ("Mul", "Div")

    def backward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """One factor takes the scale; each is tried."""
        del index, constants
        refusal = _refuse_shift(node, affine)
        if refusal is not None:
            return refusal
        factors = node.inputs[:1] if node.op_type == "Div" else node.inputs
        placed = [(x, under(node, x, affine)) for x in factors if x is not None]
        refusals = [part for _, part in placed if isinstance(part, Refusal)]
        pulls = [((x, part),) for x, part in placed if not isinstance(part, Refusal)]
        return tuple(Answer(pull=pull) for pull in pulls) or refusals[0]

    def forward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """One factor lost the affine."""
        return self.join(node, {index: affine}, constants)

    def join(
        self, node: ir.Node, lost: Mapping[int, ChannelAffine], constants: ConstantEvaluator
    ) -> Response:
        """The product lost the scales that the factors lost."""
        del constants
        if node.op_type == "Div" and 1 in lost:
            return Refusal(f"it is the divisor of Div {node.name!r}", node.name or "")
        product = ChannelAffine.of(None)
        for place, affine in lost.items():
            refusal = _refuse_shift(node, affine)
            out = refusal or over(node, node.inputs[place], affine)
            if isinstance(out, Refusal):
                return out
            if not product.composes_with(out):
                return two_ways(node)
            product = product.then(out)
        return Answer(push=((node.outputs[0], product),))


def _refuse_shift(node: ir.Node, affine: ChannelAffine) -> Refusal | None:
    if not affine.has_shift:
        return None
    reason = batch_statistics(node)
    if reason is None:
        what = f"{node.op_type} {node.name!r}"
        reason = f"a shift does not pass through {what} of two run-time values"
    return Refusal(reason, node.name or "")
