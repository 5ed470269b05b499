"""The linear map of a recurrent op, given back to the op."""

from __future__ import annotations

__all__ = ["lower_recurrent"]

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from bnfuse.lowering.linear import StoredConstants
from bnfuse.lowering.weight import FoldedWeight

if TYPE_CHECKING:
    import onnx_ir as ir

    from bnfuse.graph.initializers import Initializers
    from bnfuse.lifting.linear import LinearMap

_WEIGHT, _BIAS = 1, 3


def lower_recurrent(
    node: ir.Node, linear: LinearMap, initializers: Initializers
) -> StoredConstants | None:
    """Take a Linear node out of the graph; its op's new constants if it changed."""
    x, product = node.inputs[0], node.outputs[0]
    ((op, position),) = product.uses()
    op.replace_input_with(position, x)
    assert node.graph is not None
    node.graph.remove(node, safe=True)
    if not linear.is_changed:
        return None
    weight, bias = op.inputs[_WEIGHT], None
    assert weight is not None
    assert linear.recurrent_bias is not None
    if linear.weight_changed:
        shape = (*linear.recurrent_bias.shape, linear.layout.inputs)
        weight = initializers.share(
            (FoldedWeight.key(linear), shape),
            partial(FoldedWeight, linear, stored_shape=shape),
            after=linear.weight.constant.name,
        )
        op.replace_input_with(_WEIGHT, weight)
    if linear.bias is not None or np.any(linear.offset != 0.0):
        stem = f"{linear.weight.constant.name}.bias" if linear.bias is None else linear.bias.name
        array = linear.stored_bias(linear.offset)
        bias = initializers.add(array, linear.weight.constant.dtype, after=stem)
        op.resize_inputs(max(len(op.inputs), _BIAS + 1))
        op.replace_input_with(_BIAS, bias)
    return StoredConstants(weight, bias)
