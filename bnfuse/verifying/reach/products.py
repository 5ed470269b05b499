"""How many products a run of an ONNX model takes, found without running it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import onnx
from onnx.external_data_helper import uses_external_data

from bnfuse.verifying.truth.jitter import reach

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bnfuse.verifying.runtime.onnx_models import OnnxSource

__all__ = ["product_count"]

# Numbers of a constant up to which it may be a shape, or what shapes are computed from.
_SHAPE = 1 << 10


class _Shaped(NamedTuple):
    shape: tuple[int, ...]


def product_count(source: OnnxSource, shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Return how many products a run takes, as far as shapes are inferred.

    A number that is made of no products counts as one: to fill the memory is as dear.

    Args:
        source: The model.
        shapes: Those of its inputs, by name.
    """
    hollow = _hollow(source.graph)
    for value in hollow.graph.input:
        dims = value.type.tensor_type.shape.dim
        for dim, size in zip(dims, shapes.get(value.name, ()), strict=False):
            dim.dim_value = size
    try:
        inferred = onnx.shape_inference.infer_shapes(hollow, data_prop=True).graph
    except Exception:
        return 0
    known = {item.name: tuple(item.dims) for item in inferred.initializer}
    for value in (*inferred.input, *inferred.value_info, *inferred.output):
        kind = value.type.tensor_type
        if kind.HasField("shape") and all(dim.HasField("dim_value") for dim in kind.shape.dim):
            known[value.name] = tuple(dim.dim_value for dim in kind.shape.dim)
    total = 0
    for node in inferred.node:
        terms = 1
        if known.keys() >= {*node.input[:2]}:
            terms = reach(node.op_type, [_Shaped(known[name]) for name in node.input[:2]]) or 1
        total += terms * sum(math.prod(known[name]) for name in node.output if name in known)
    return total


def _hollow(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model without what is inferred of its shapes, and without its weights."""
    hollow = onnx.ModelProto(
        ir_version=model.ir_version,
        opset_import=model.opset_import,
        functions=model.functions,
        graph=onnx.GraphProto(name="hollow", node=model.graph.node, input=model.graph.input),
    )
    named = {value.name for value in hollow.graph.input}
    for item in model.graph.initializer:
        if math.prod(item.dims) <= _SHAPE and not uses_external_data(item):
            hollow.graph.initializer.append(item)
        elif item.name not in named:
            weight = onnx.helper.make_tensor_value_info(item.name, item.data_type, item.dims)
            hollow.graph.input.append(weight)
    for value in model.graph.output:
        output = hollow.graph.output.add()
        output.CopyFrom(value)
        output.type.tensor_type.ClearField("shape")
    return hollow
