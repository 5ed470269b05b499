"""Through a product of two run-time values: the scale, by either factor; no shift.

``s · (u · v) = (s · u) · v``. A quotient takes it in its numerator.
"""

from __future__ import annotations

__all__ = ["MoveThroughProduct"]


from typing import TYPE_CHECKING

from bnfuse.folding.plan import Answer, Refusal, Response
from bnfuse.folding.rules.broadcast import over, under
from bnfuse.lifting.batch_statistics import batch_statistics

if TYPE_CHECKING:
    import onnx_ir as ir

    from bnfuse.affine import ChannelAffine
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
        """The product lost the scale that the factor lost."""
        del constants
        x, y = node.inputs[index], node.outputs[0]
        if node.op_type == "Div" and index == 1:
            return Refusal(f"it is the divisor of Div {node.name!r}", node.name or "")
        refusal = _refuse_shift(node, affine)
        if refusal is not None:
            return refusal
        out = over(node, x, affine)
        return out if isinstance(out, Refusal) else Answer(push=((y, out),))


def _refuse_shift(node: ir.Node, affine: ChannelAffine) -> Refusal | None:
    if not affine.has_shift:
        return None
    reason = batch_statistics(node)
    if reason is None:
        what = f"{node.op_type} {node.name!r}"
        reason = f"a shift does not pass through {what} of two run-time values"
    return Refusal(reason, node.name or "")
