"""Through Resize and Upsample over positions: interpolation weights sum to 1.

``resize(s · x + t) = s · resize(x) + t`` for nearest, linear and cubic interpolation, whose
weights are normalised also at the borders. An extrapolation value stands for no input and would
not be shifted.
"""

from __future__ import annotations

__all__ = ["MoveThroughResize"]

import onnx_ir as ir

from bnfuse.affine import ChannelAffine
from bnfuse.folding.plan import Refusal
from bnfuse.folding.rules.commuting import CommutingRule
from bnfuse.lifting.channel import static_dim
from bnfuse.lifting.constants import ConstantEvaluator


class MoveThroughResize(CommutingRule):
    """Resize and Upsample."""

    op_types = ("Resize", "Upsample")

    def refusal(
        self, node: ir.Node, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Refusal | None:
        """The channels must stay as they are, and nothing be extrapolated."""
        del constants
        return _refuse(node, affine)


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
