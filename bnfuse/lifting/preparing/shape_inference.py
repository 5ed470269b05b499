"""ONNX's own shape inference on a graph in memory, at a cost linear in its nodes.

The inference runs on a serialised model. Here that model holds no large constant, and what it
finds is written back by name; ``onnx_ir``'s pass looks each initialiser up in the list of inputs,
which is quadratic in their number.
"""

from __future__ import annotations

__all__ = ["infer_shapes"]

import onnx
import onnx_ir as ir

from bnfuse.graph.constants import ConstantEvaluator
from bnfuse.graph.doubtful_sizes import doubtful_axes
from bnfuse.lifting.nodes import DOMAIN
from bnfuse.onnxfiles.headers import headers_only

_LARGE = 1 << 10
"""Bytes of a constant that is no shape, axis or size: only its own shape is needed."""


def infer_shapes(model: ir.Model) -> None:
    """Fill in, in place, the types and shapes of the main graph's values as far as ONNX knows.

    A length that a runtime may compute otherwise stays unknown, and what follows from it.
    """
    constants = ConstantEvaluator(model.opset_imports.get("", 1))
    doubted: set[str] = set()
    while _infer(model, doubted):
        before = len(doubted)
        for node in model.graph:
            y = node.outputs[0] if node.outputs else None
            if y is None or y.name is None or y.name in doubted or y.shape is None:
                continue
            axes = doubtful_axes(node, constants)
            if axes:
                doubted.add(y.name)
                dims = [None if axis in axes else dim for axis, dim in enumerate(y.shape)]
                _forget(node)
                y.shape = ir.Shape(dims)
        if len(doubted) == before:
            return


def _forget(node: ir.Node) -> None:
    """Forget the shape of what a node computes, and every shape that may follow from that."""
    seen, pending = {node}, [node]
    while pending:
        for value in pending.pop().outputs:
            value.shape = None
            following = {use.node for use in value.uses()} - seen
            seen |= following
            pending.extend(following)


def _infer(model: ir.Model, doubted: set[str]) -> bool:
    """Let ONNX infer, except through the nodes that compute these values; whether it did."""
    with headers_only(model.graph, lambda tensor: tensor.nbytes > _LARGE):
        proto = ir.serde.serialize_model(model)
    if doubted:
        proto.opset_import.add(domain=DOMAIN, version=1)
        for node in proto.graph.node:
            if not doubted.isdisjoint(node.output):
                node.domain = DOMAIN
    try:
        # Not strict: one operator that onnx does not know must not hide the shapes of all others.
        inferred = onnx.shape_inference.infer_shapes(
            proto, check_type=False, strict_mode=False, data_prop=True
        )
    except Exception:
        # Without shapes some norms stay where they are; that is no reason to give up.
        return False
    found = {info.name: info.type for info in (*inferred.graph.value_info, *inferred.graph.output)}
    for node in model.graph:
        for value in node.outputs:
            if value.name in found:
                _complete(value, found[value.name])
    return True


def _complete(value: ir.Value, found: onnx.TypeProto) -> None:
    declared = ir.serde.deserialize_type_proto_for_type(found)
    if declared is not None and value.dtype != declared.dtype:
        value.type = declared
    shape = ir.serde.deserialize_type_proto_for_shape(found)
    if shape is not None and value.shape != shape:
        value.shape = shape
