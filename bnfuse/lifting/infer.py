"""ONNX's own shape inference on a graph in memory, at a cost linear in its nodes.

The inference runs on a serialised model. Here that model holds no large constant, and what it
finds is written back by name; ``onnx_ir``'s pass looks each initialiser up in the list of inputs,
which is quadratic in their number.
"""

from __future__ import annotations

__all__ = ["infer_shapes"]

import onnx
import onnx_ir as ir

from bnfuse.loading.headers import headers_only

_LARGE = 1 << 10
"""Bytes of a constant that is no shape, axis or size: only its own shape is needed."""


def infer_shapes(model: ir.Model) -> None:
    """Fill in, in place, the types and shapes of the main graph's values as far as ONNX knows."""
    with headers_only(model.graph, lambda tensor: tensor.nbytes > _LARGE):
        proto = ir.serde.serialize_model(model)
    try:
        # Not strict: one operator that onnx does not know must not hide the shapes of all others.
        inferred = onnx.shape_inference.infer_shapes(
            proto, check_type=False, strict_mode=False, data_prop=True
        )
    except Exception:
        # Without shapes some norms stay where they are; that is no reason to give up.
        return
    found = {info.name: info.type for info in (*inferred.graph.value_info, *inferred.graph.output)}
    for node in model.graph:
        for value in node.outputs:
            if value.name in found:
                _complete(value, found[value.name])


def _complete(value: ir.Value, found: onnx.TypeProto) -> None:
    declared = ir.serde.deserialize_type_proto_for_type(found)
    if declared is not None and value.dtype != declared.dtype:
        value.type = declared
    shape = ir.serde.deserialize_type_proto_for_shape(found)
    if shape is not None and value.shape != shape:
        value.shape = shape
