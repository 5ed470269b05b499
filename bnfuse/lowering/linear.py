"""A linear map as the standard op it came from, with its constants as they now stand."""

from __future__ import annotations

__all__ = ["StoredConstants", "lower_linear"]

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from bnfuse.graph.rewire import output_like
from bnfuse.lowering.weight import FoldedWeight

if TYPE_CHECKING:
    from bnfuse.graph.initializers import Initializers
    from bnfuse.lifting.linear import LinearMap

_BIAS_IS_OPTIONAL = 11
"""From this opset on a Gemm may have no third input."""


@dataclass(frozen=True, eq=False)
class StoredConstants:
    """The new constants of a changed linear map; the weight is computed when it is read."""

    weight: ir.Value
    bias: ir.Value | None


def lower_linear(
    node: ir.Node, linear: LinearMap, initializers: Initializers
) -> tuple[list[ir.Node], StoredConstants | None]:
    """The nodes that compute ``linear``; with its new constants if it changed."""
    x, y = node.inputs[0], node.outputs[0]
    assert x is not None
    if not linear.is_changed:
        return _unchanged(linear, x, y, initializers), None
    dtype = linear.weight.constant.dtype
    if linear.weight_changed:
        weight = initializers.share(
            FoldedWeight.key(linear),
            partial(FoldedWeight, linear),
            after=linear.weight.constant.name,
        )
    else:
        weight = linear.weight.constant.value
    bias = None
    if linear.bias is not None or np.any(linear.offset != 0.0) or _needs_bias(node, linear):
        stem = _bias_stem(linear)
        bias = initializers.add(linear.stored_bias(linear.offset), dtype, after=stem)
    new = _nodes(linear, x, y, weight, bias, initializers)
    return new, StoredConstants(weight, bias)


def _needs_bias(node: ir.Node, linear: LinearMap) -> bool:
    opset = _BIAS_IS_OPTIONAL if node.graph is None else node.graph.opset_imports.get("", 0)
    return linear.op_type == "Gemm" and opset < _BIAS_IS_OPTIONAL


def _unchanged(
    linear: LinearMap, x: ir.Value, y: ir.Value, initializers: Initializers
) -> list[ir.Node]:
    position = 1 if linear.constant_on_left else 0
    inputs = list(linear.source.inputs)
    inputs[position] = x
    output = output_like(y)
    if linear.bias_source is None:
        return [linear.source.emit(inputs, output)]
    product = linear.source.emit(inputs, _product_value(linear, y, initializers))
    first = linear.bias_source.inputs[0]
    bias = linear.bias
    assert bias is not None
    operands = [bias.value, product.outputs[0]]
    if first is not bias.value:
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
    if _is_matrix(x) and len(linear.layout.shape) == 2 and not linear.constant_on_left:
        return [_gemm(linear, [*operands, bias], output)]
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


def _gemm(linear: LinearMap, inputs: list[ir.Value], output: ir.Value) -> ir.Node:
    """A product of matrices and its bias in one op."""
    return ir.Node(
        "",
        "Gemm",
        inputs,
        outputs=[output],
        name=linear.source.name,
        metadata_props=dict(linear.source.metadata),
    )


def _is_matrix(x: ir.Value) -> bool:
    return x.shape is not None and len(x.shape) == 2


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
