"""RNN, GRU and LSTM apply one linear map to their input: ``W · x + Wb``, for every gate at once.

A Linear node before the op stands for that map, so a norm before the op is a norm before a linear
map. What the op does with the product, and its recurrent weights, stay as they are. When the model
is lowered, the node's weight and bias go back to the op.
"""

from __future__ import annotations

__all__ = ["RECURRENT", "lift_recurrent"]

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from bnfuse.graph.access import given, graph_of, input_of, is_op
from bnfuse.graph.source import Source
from bnfuse.lifting.linear import LinearMap
from bnfuse.lifting.nodes import new_linear
from bnfuse.lifting.weight import Layout, StoredWeight

if TYPE_CHECKING:
    from bnfuse.graph.constants import ConstantEvaluator

RECURRENT = frozenset({"GRU", "LSTM", "RNN"})
_FEATURES = 2
"""The axis of the input's features, whether the sequence or the batch comes first."""
_BIAS = 3


def lift_recurrent(node: ir.Node, constants: ConstantEvaluator) -> None:
    """Put a Linear node before a recurrent op, in place, if its weight and bias are constants."""
    if not is_op(node, *RECURRENT):
        return
    x, stored = input_of(node), constants.constant(node.inputs[1])
    bias = constants.constant(given(node, _BIAS))
    if stored is None or constants.varies(given(node, _BIAS)):
        return
    # (directions, gates · hidden, features) as one matrix.
    weight = constants.flattened(stored, axis=_FEATURES)
    if weight is None or not all(weight.shape) or not weight.dtype.is_floating_point():
        return
    layout = Layout(weight.shape, out_axis=0, in_axis=1)
    offset, rest = np.zeros(layout.outputs), np.zeros((stored.shape[0], stored.shape[1]))
    if bias is not None:
        # The bias of the input's product, then that of the recurrent one.
        own, rest = np.split(bias.array(), 2, axis=1)
        offset = own.reshape(-1)
    axes = (_FEATURES, _FEATURES)
    linear = LinearMap.of(Source.of(node), StoredWeight(weight, layout), bias, offset, axes)
    product = ir.Value(type=x.type)
    product_node = new_linear(x, product, replace(linear, recurrent_bias=rest))
    graph_of(node).insert_before(node, product_node)
    node.replace_input_with(0, product)
