"""A linear map as the standard op it came from, with its constants as they now stand.

The map of a recurrent op is given back to the op.
"""

from __future__ import annotations

__all__ = ["lower_linear"]

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import onnx_ir as ir

from bnfuse.graph.access import input_of, opset_of
from bnfuse.graph.rewire import disconnect, output_like, substitute
from bnfuse.lowering.derive import Derivation, FoldedWeight

if TYPE_CHECKING:
    from bnfuse.graph.initializers import Initializers
    from bnfuse.lifting.linear import LinearMap

_BIAS_IS_OPTIONAL = 11
"""From this opset on a Gemm may have no third input."""
_WEIGHT, _BIAS = 1, 3
"""The places of a recurrent op's constants."""


def lower_linear(node: ir.Node, linear: LinearMap, initializers: Initializers) -> Derivation | None:
    """Put standard ops in the place of a Linear node; how its constants follow if it changed."""
    if linear.recurrent_bias is not None:
        return _lower_recurrent(node, linear, initializers)
    x, y = input_of(node), node.outputs[0]
    if not linear.is_changed:
        substitute(node, *_unchanged(linear, x, y, initializers))
        return None
    needs_bias = linear.op_type == "Gemm" and opset_of(node) < _BIAS_IS_OPTIONAL
    stored = _stored(linear, initializers, needs_bias=needs_bias)
    substitute(node, *_nodes(stored, x, y, initializers))
    return stored


def _lower_recurrent(
    node: ir.Node, linear: LinearMap, initializers: Initializers
) -> Derivation | None:
    """Take the node out, and give its map back to the op that reads it."""
    ((op, _),) = node.outputs[0].uses()
    disconnect(node)
    if not linear.is_changed:
        return None
    stored = _stored(linear, initializers)
    if linear.weight_changed:
        op.replace_input_with(_WEIGHT, stored.weight)
    if stored.bias is not None:
        op.resize_inputs(max(len(op.inputs), _BIAS + 1))
        op.replace_input_with(_BIAS, stored.bias)
    return stored


def _stored(
    linear: LinearMap, initializers: Initializers, *, needs_bias: bool = False
) -> Derivation:
    """Store the constants of a map that changed."""
    constant, weight, bias = linear.weight.constant, linear.weight.constant.value, None
    if linear.weight_changed:
        weight = initializers.share(
            linear.weight_key, partial(FoldedWeight, linear), after=constant.name
        )
    if linear.has_bias or needs_bias:
        stem = f"{constant.name.removesuffix('.weight')}.bias"
        name = stem if linear.bias is None else linear.bias.name
        array = linear.stored_bias(linear.offset)
        bias = initializers.add(array, constant.dtype, after=name)
    return Derivation(linear, weight, bias)


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
    stored: Derivation, x: ir.Value, y: ir.Value, initializers: Initializers
) -> list[ir.Node]:
    linear, bias, output = stored.linear, stored.bias, output_like(y)
    operands = [stored.weight, x] if linear.constant_on_left else [x, stored.weight]
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
