"""Through a product of two run-time values: the scale, by either factor; no shift.

``s · (u · v) = (s · u) · v``. A quotient takes it in its numerator.
"""

from __future__ import annotations

__all__ = ["MoveThroughProduct"]


from typing import TYPE_CHECKING

from bnfuse.folding.axes import input_axis
from bnfuse.folding.plan import Answer, Refusal, Response
from bnfuse.lifting.channel import static_dim

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
        answers = tuple(
            Answer(pull=((x, placed),))
            for x in factors
            if x is not None and (placed := _placed(node, x, affine)) is not None
        )
        return answers or _broadcasts(node)

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
        if affine.axis is None:
            return Answer(push=((y, affine),))
        if x is None or x.shape is None or y.shape is None:
            return _broadcasts(node)
        axis = affine.axis + len(y.shape) - len(x.shape)
        if static_dim(y.shape, axis) != affine.channels:
            return _broadcasts(node)
        return Answer(push=((y, affine.along(axis)),))


def _placed(node: ir.Node, x: ir.Value, affine: ChannelAffine) -> ChannelAffine | None:
    if affine.axis is None:
        return affine
    y = node.outputs[0]
    if x.shape is None or y.shape is None:
        return None
    axis = input_axis(affine.axis, len(x.shape), len(y.shape))
    if axis is None or static_dim(x.shape, axis) != affine.channels:
        return None
    return affine.along(axis)


def _refuse_shift(node: ir.Node, affine: ChannelAffine) -> Refusal | None:
    if not affine.has_shift:
        return None
    return Refusal(
        f"a shift does not pass through {node.op_type} {node.name!r} of two run-time values",
        node.name or "",
    )


def _broadcasts(node: ir.Node) -> Refusal:
    return Refusal(f"{node.op_type} {node.name!r} broadcasts along the channels", node.name or "")
