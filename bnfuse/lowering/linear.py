"""A linear map as the standard op it came from, with its constants as they now stand.

The map of a recurrent op is given back to the op.
"""

from __future__ import annotations

__all__ = ["lower_linear", "lower_recurrent"]

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import onnx_ir as ir

from bnfuse.graph.access import input_of, opset_of
from bnfuse.graph.rewire import disconnect, output_like
from bnfuse.lowering.derive import StoredConstants
from bnfuse.lowering.weight import FoldedWeight

if TYPE_CHECKING:
    from bnfuse.graph.initializers import Initializers
    from bnfuse.lifting.linear import LinearMap

_BIAS_IS_OPTIONAL = 11
"""From this opset on a Gemm may have no third input."""
_WEIGHT, _BIAS = 1, 3
"""The places of a recurrent op's constants."""


def lower_linear(
    node: ir.Node, linear: LinearMap, initializers: Initializers
) -> tuple[list[ir.Node], StoredConstants | None]:
    """The nodes that compute ``linear``; with its new constants if it changed."""
    x, y = input_of(node), node.outputs[0]
    if not linear.is_changed:
        return _unchanged(linear, x, y, initializers), None
    if linear.weight_changed:
        weight = initializers.share(
            FoldedWeight.key(linear),
            partial(FoldedWeight, linear),
            after=linear.weight.constant.name,
        )
    else:
        weight = linear.weight.constant.value
    bias = None
    if linear.has_bias or _needs_bias(node, linear):
        bias = _stored_bias(linear, initializers, _bias_stem(linear))
    new = _nodes(linear, x, y, weight, bias, initializers)
    return new, StoredConstants(weight, bias)


def _needs_bias(node: ir.Node, linear: LinearMap) -> bool:
    return linear.op_type == "Gemm" and opset_of(node) < _BIAS_IS_OPTIONAL


def _unchanged(
    linear: LinearMap, x: ir.Value, y: ir.Value, initializers: Initializers
) -> list[ir.Node]:
    inputs = list(linear.source.inputs)
    inputs[int(linear.constant_on_left)] = x
    output = output_like(y)
    if linear.bias_source is None or linear.bias is None:
        return [linear.source.emit(inputs, output)]
    product = linear.source.emit(inputs, _product_value(linear, y, initializers))
    operands = [linear.bias.value, product.outputs[0]]
    if linear.bias_source.inputs[0] is not linear.bias.value:
        operands.reverse()
    return [product, linear.bias_source.emit(operands, output)]


def _nodes(
    linear: LinearMap,
    x: ir.Value,
    y: ir.Value,
    weight: ir.Value,
    bias: ir.Value | None,
    initializers: Initializers,
) -> list[ir.Node]:
    operands = [weight, x] if linear.constant_on_left else [x, weight]
    output = output_like(y)
    attributes = [
        attribute
        for name, attribute in linear.source.frame.attributes.items()
        if not (linear.op_type == "Gemm" and name in ("alpha", "beta"))
    ]
    if linear.op_type != "MatMul":
        inputs = operands if bias is None else [*operands, bias]
        return [linear.source.emit(inputs, output, attributes)]
    if bias is None:
        return [linear.source.emit(operands, output)]
    is_matrix = x.shape is not None and len(x.shape) == 2
    if is_matrix and len(linear.layout.shape) == 2 and not linear.constant_on_left:
        gemm = replace(linear.source, op_type="Gemm", domain="", doc_string=None)
        return [gemm.emit([*operands, bias], output, [])]
    product = linear.source.emit(operands, _product_value(linear, y, initializers))
    source = linear.bias_source
    add = ir.Node(
        "",
        "Add",
        [product.outputs[0], bias],
        outputs=[output],
        name=f"{linear.name}.bias" if source is None else source.name,
        metadata_props=dict(linear.source.metadata if source is None else source.metadata),
    )
    return [product, add]


def _product_value(linear: LinearMap, y: ir.Value, initializers: Initializers) -> ir.Value:
    """The product before its bias: under its old name only if it is still the same product."""
    name = linear.product
    if linear.is_changed or not name:
        name = initializers.names.after(name or f"{y.name}.product")
    return ir.Value(name=name, type=y.type, shape=y.shape)


def _bias_stem(linear: LinearMap) -> str:
    if linear.bias is not None:
        return linear.bias.name
    return f"{linear.weight.constant.name.removesuffix('.weight')}.bias"


def _stored_bias(linear: LinearMap, initializers: Initializers, stem: str) -> ir.Value:
    array = linear.stored_bias(linear.offset)
    return initializers.add(array, linear.weight.constant.dtype, after=stem)


def lower_recurrent(
    node: ir.Node, linear: LinearMap, initializers: Initializers
) -> StoredConstants | None:
    """Take a Linear node out of the graph; its op's new constants if it changed."""
    ((op, _),) = node.outputs[0].uses()
    disconnect(node)
    if not linear.is_changed:
        return None
    weight, bias = input_of(op, _WEIGHT), None
    if linear.weight_changed and linear.recurrent_bias is not None:
        shape = (*linear.recurrent_bias.shape, linear.layout.inputs)
        weight = initializers.share(
            (FoldedWeight.key(linear), shape),
            partial(FoldedWeight, linear, stored_shape=shape),
            after=linear.weight.constant.name,
        )
        op.replace_input_with(_WEIGHT, weight)
    if linear.has_bias:
        stem = f"{linear.weight.constant.name}.bias" if linear.bias is None else linear.bias.name
        bias = _stored_bias(linear, initializers, stem)
        op.resize_inputs(max(len(op.inputs), _BIAS + 1))
        op.replace_input_with(_BIAS, bias)
    return StoredConstants(weight, bias)
