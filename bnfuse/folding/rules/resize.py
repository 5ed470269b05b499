"""Through Resize and Upsample over positions: interpolation weights sum to 1.

``resize(s · x + t) = s · resize(x) + t`` for nearest, linear and cubic interpolation, whose
weights are normalised also at the borders. An extrapolation value stands for no input and would
not be shifted.
"""

from __future__ import annotations

__all__ = ["MoveThroughResize"]


from typing import TYPE_CHECKING

from bnfuse.folding.plan import Answer, Refusal, Response
from bnfuse.lifting.channel import static_dim

if TYPE_CHECKING:
    import onnx_ir as ir

    from bnfuse.affine import ChannelAffine
    from bnfuse.lifting.constants import ConstantEvaluator


class MoveThroughResize:
    """Resize and Upsample."""

    op_types = ("Resize", "Upsample")

    def backward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """The same constants before the interpolation."""
        del index, constants
        x = node.inputs[0]
        assert x is not None
        return _refuse(node, affine) or Answer(pull=((x, affine),))

    def forward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """The same constants after the interpolation."""
        del constants
        if index != 0:
            return Refusal(f"it steers {node.op_type} {node.name!r}", node.name or "")
        return _refuse(node, affine) or Answer(push=((node.outputs[0], affine),))


def _refuse(node: ir.Node, affine: ChannelAffine) -> Refusal | None:
    x, y = node.inputs[0], node.outputs[0]
    assert x is not None
    coordinates = node.attributes.get_string("coordinate_transformation_mode", "half_pixel")
    if coordinates == "tf_crop_and_resize":
        return Refusal(f"Resize {node.name!r} may extrapolate", node.name or "")
    if affine.axis is None:
        return None
    before, after = static_dim(x.shape, affine.axis), static_dim(y.shape, affine.axis)
    if before is None or before != after:
        return Refusal(
            f"{node.op_type} {node.name!r} may resize the axis that its constants run along",
            node.name or "",
        )
    return None
