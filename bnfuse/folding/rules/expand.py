"""Through Expand over axes other than the channels': repeated elements have the same constants."""

from __future__ import annotations

__all__ = ["MoveThroughExpand"]


from typing import TYPE_CHECKING

from bnfuse.folding.axes import input_axis
from bnfuse.folding.plan import Answer, Refusal, Response
from bnfuse.lifting.channel import static_dim

if TYPE_CHECKING:
    import onnx_ir as ir

    from bnfuse.affine import ChannelAffine
    from bnfuse.lifting.constants import ConstantEvaluator


class MoveThroughExpand:
    """Expand."""

    op_types = ("Expand",)

    def backward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """The channels take their constants before they are repeated."""
        del index, constants
        x, y = node.inputs[0], node.outputs[0]
        assert x is not None
        if affine.axis is None:
            return Answer(pull=((x, affine),))
        if x.shape is None or y.shape is None:
            return _refuse(node)
        axis = input_axis(affine.axis, len(x.shape), len(y.shape))
        if axis is None or static_dim(x.shape, axis) != affine.channels:
            return _refuse(node)
        return Answer(pull=((x, affine.along(axis)),))

    def forward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """The channels take their constants after they are repeated."""
        del constants
        x, y = node.inputs[0], node.outputs[0]
        if index != 0 or x is None or x.shape is None or y.shape is None:
            return _refuse(node)
        if affine.axis is None:
            return Answer(push=((y, affine),))
        axis = affine.axis + len(y.shape) - len(x.shape)
        if static_dim(y.shape, axis) != affine.channels:
            return _refuse(node)
        return Answer(push=((y, affine.along(axis)),))


def _refuse(node: ir.Node) -> Refusal:
    return Refusal(f"Expand {node.name!r} may repeat the channels", node.name or "")
