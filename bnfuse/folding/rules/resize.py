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
from bnfuse.lifting.doubt import resize_scales


class MoveThroughResize(CommutingRule):
    """Resize and Upsample."""

    op_types = ("Resize", "Upsample")

    def refusal(
        self, node: ir.Node, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Refusal | None:
        """The channels must stay as they are, and nothing be extrapolated."""
        return _refuse(node, affine, constants)


def _refuse(node: ir.Node, affine: ChannelAffine, constants: ConstantEvaluator) -> Refusal | None:
    x, y = node.inputs[0], node.outputs[0]
    assert x is not None
    coordinates = node.attributes.get_string("coordinate_transformation_mode", "half_pixel")
    if coordinates == "tf_crop_and_resize":
        return Refusal(f"Resize {node.name!r} may extrapolate", node.name or "")
    if affine.axis is None:
        return None
    before, after = static_dim(x.shape, affine.axis), static_dim(y.shape, affine.axis)
    # A scale beside 1 may round to the same length, and still mixes the channels.
    by_sizes = len(node.inputs) > 3 and node.inputs[3] is not None
    scales = {} if by_sizes else resize_scales(node, constants)
    scale = None if scales is None else scales.get(affine.axis, 1.0)
    keeps_ratio = node.attributes.get_string("keep_aspect_ratio_policy", "stretch") != "stretch"
    if before is None or before != after or scale != 1.0 or keeps_ratio:
        return Refusal(
            f"{node.op_type} {node.name!r} may resize the axis that its constants run along",
            node.name or "",
        )
    return None
