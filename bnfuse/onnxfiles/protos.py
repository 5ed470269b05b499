"""A ModelProto as a graph in memory, with what onnx_ir has no place for.

Sparse constants become dense, ``ai.onnx`` is spelt as the empty string, and a model of an operator
set before 7, in which broadcasting is an attribute of each node, is converted to that.
"""

from __future__ import annotations

__all__ = ["TRAINING_INFO", "OldOpsetError", "model_of", "modernized"]

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx import numpy_helper

from bnfuse.errors import LoadError

if TYPE_CHECKING:
    from collections.abc import Iterator

TRAINING_INFO = "bnfuse.training_info"
"""The key in a model's ``meta`` of its ``training_info``, one serialised message each."""

_OLDEST = 7
_TRAINED = frozenset({"BatchNormalization", "Dropout"})
"""They train before opset 7 unless told not to; the converter does not ask."""

_MOST_BYTES = 1 << 31
"""What a sparse tensor may come to when it is dense."""


class OldOpsetError(LoadError):
    """The model's operator set is too old, and onnx cannot convert it."""


def model_of(proto: onnx.ModelProto) -> ir.Model:
    """The model that a message holds; the message is left as it is.

    Raises:
        LoadError: A sparse tensor is none, or is too large to be made dense.
        Exception: Whatever onnx_ir raises for a message that is no model.
    """
    if _is_sparse_anywhere(proto):
        copy = onnx.ModelProto()
        copy.CopyFrom(proto)
        proto = copy
        for graph in _graphs(proto):
            _make_dense(graph)
    model = ir.serde.deserialize_model(proto)
    if proto.training_info:
        model.meta[TRAINING_INFO] = tuple(info.SerializeToString() for info in proto.training_info)
    return model


def modernized(model: ir.Model) -> tuple[ir.Model, tuple[str, ...]]:
    """The model in an operator set from 7 on, and what a person should know of it.

    Raises:
        OldOpsetError: It cannot be converted.
    """
    for imports in (model.opset_imports, *(f.opset_imports for f in model.functions.values())):
        if "ai.onnx" in imports:
            imports.setdefault("", imports.pop("ai.onnx"))
    opset = model.opset_imports.get("", _OLDEST)
    if opset >= _OLDEST:
        return model, ()
    remedy = f"Save it again with opset {_OLDEST} or more."
    for node in model.graph.all_nodes():
        if node.op_type in _TRAINED and not node.attributes.get_int("is_test", 0):
            raise OldOpsetError(
                f"the model is of opset {opset}, and its {node.op_type} without is_test is in "
                "training mode.",
                remedy,
            )
    try:
        converted = onnx.version_converter.convert_version(ir.serde.serialize_model(model), _OLDEST)
        onnx.checker.check_model(converted)
    except Exception as error:
        raise OldOpsetError(
            f"the model is of opset {opset}, which onnx.version_converter does not convert to "
            f"{_OLDEST}.",
            remedy,
        ) from error
    note = f"opset {opset} was converted to {_OLDEST} by onnx.version_converter"
    return model_of(converted), (note,)


def _graphs(proto: onnx.ModelProto) -> Iterator[Any]:
    """Everything that has nodes: the graph, the functions, and the graphs inside their nodes."""
    pending: list[Any] = [proto.graph, *proto.functions]
    while pending:
        graph = pending.pop()
        yield graph
        for node in graph.node:
            for attribute in node.attribute:
                pending.extend(attribute.graphs)
                if attribute.type == onnx.AttributeProto.GRAPH:
                    pending.append(attribute.g)


def _is_sparse_anywhere(proto: onnx.ModelProto) -> bool:
    return any(
        getattr(graph, "sparse_initializer", ()) or any(map(_sparse_value, graph.node))
        for graph in _graphs(proto)
    )


def _sparse_value(node: onnx.NodeProto) -> onnx.AttributeProto | None:
    if node.op_type != "Constant":
        return None
    return next((a for a in node.attribute if a.name == "sparse_value"), None)


def _make_dense(graph: Any) -> None:
    if isinstance(graph, onnx.GraphProto):
        graph.initializer.extend(_dense(sparse) for sparse in graph.sparse_initializer)
        del graph.sparse_initializer[:]
    for node in graph.node:
        attribute = _sparse_value(node)
        if attribute is not None:
            value = onnx.helper.make_attribute("value", _dense(attribute.sparse_tensor))
            attribute.CopyFrom(value)


def _dense(sparse: onnx.SparseTensorProto) -> onnx.TensorProto:
    name, dims = sparse.values.name, tuple(sparse.dims)
    if onnx.TensorProto.EXTERNAL in (sparse.values.data_location, sparse.indices.data_location):
        raise LoadError(
            f"the sparse tensor {name!r} has its numbers in another file.",
            "Save the model in one file.",
        )
    values, indices = numpy_helper.to_array(sparse.values), numpy_helper.to_array(sparse.indices)
    size = math.prod(dims)
    if min(dims, default=1) < 0 or size * max(values.itemsize, 1) > _MOST_BYTES:
        raise LoadError(
            f"the sparse tensor {name!r} of shape {dims} is too large to be made dense.",
            "Save the model without sparse tensors.",
        )
    try:
        flat = np.ravel_multi_index(tuple(indices.T), dims) if indices.ndim == 2 else indices
        if np.any(flat < 0):
            raise IndexError("negative")
        dense = np.zeros(size, values.dtype)
        dense[flat] = values
    except (IndexError, ValueError, TypeError) as error:
        raise LoadError(
            f"the sparse tensor {name!r} of shape {dims} has numbers outside of it.",
            "Save the model again: it is damaged.",
        ) from error
    return numpy_helper.from_array(dense.reshape(dims), name)
