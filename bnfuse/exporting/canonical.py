"""Plain spellings for detours of PyTorch's exporter, which no tool takes back or one takes wrong.

``CastLike(c, x)`` casts a constant to the type of a run-time value. The type is known when the
graph is written, so it is ``Cast``, and a constant stays one.

``SplitToSequence`` followed by ``SequenceAt`` with constant indices is ``torch.chunk``: a ``Split``
where its lengths are known (:mod:`bnfuse.graph.sequences`) or as many as known, else a ``Slice``.

``Conv`` without a bias is given one of zeros, for volumes one of the shape [C, 2], which is none.

``ReduceMean`` is given its axes as a reshaped constant. Before it has folded that, onnxsim takes
the mean for one of all axes, and its ``Shape`` for ones.
"""

from __future__ import annotations

__all__ = ["canonicalize", "insert"]

from typing import TYPE_CHECKING

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from bnfuse.exporting.naming import unique_names
from bnfuse.exporting.skeleton import skeleton
from bnfuse.graph.constants import ConstantEvaluator
from bnfuse.graph.sequences import split_sequences

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# From here on Split takes its lengths as an input.
_FIRST_OPSET_OF_SPLIT_INPUT = 13

# Numbers in a constant that is read to see what it is.
_FEW = 64


def canonicalize(model: ir.Model) -> None:
    """Rewrite the detours in place, wherever that is exact."""
    nodes = [node for node in model.graph.all_nodes() if node.domain == ""]
    casts = [node for node in nodes if node.op_type == "CastLike"]
    splits = [node for node in nodes if node.op_type == "SplitToSequence"]
    if splits or any(node.inputs[1] is not None and node.inputs[1].dtype is None for node in casts):
        _infer_types(model)
    opset = model.opset_imports.get("", 0)
    if splits:
        split_sequences(model.graph, ConstantEvaluator(opset))
        nodes = [node for node in model.graph.all_nodes() if node.domain == ""]
    for node in nodes:
        if node.op_type == "CastLike":
            _settle_cast(node)
        elif node.op_type == "SplitToSequence":
            _settle_split(node, opset)
        elif node.op_type == "Reshape":
            _settle_constant(node)
        elif node.op_type == "Conv":
            _drop_zero_bias(node)
    RemoveUnusedNodesPass()(model)
    unique_names(model)


def _infer_types(model: ir.Model) -> None:
    """Give the values without a type or a shape those that ONNX infers.

    :class:`onnx_ir.passes.common.ShapeInferencePass` would take a sequence for a tensor.
    """
    proto = skeleton(model, keep_foldable=True).proto
    try:
        inferred = onnx.shape_inference.infer_shapes(proto, data_prop=True).graph
    except onnx.shape_inference.InferenceError:
        return
    known = {info.name: info for info in inferred.value_info}
    for node in model.graph.all_nodes():
        for value in node.outputs:
            if value.name in known and (value.type is None or value.shape is None):
                ir.serde.deserialize_value_info_proto(known[value.name], value)


def _settle_cast(node: ir.Node) -> None:
    like = node.inputs[1]
    if like is None or like.dtype is None:
        return
    saturate = {"saturate": node.attributes["saturate"]} if "saturate" in node.attributes else {}
    _replace(node, ir.node("Cast", node.inputs[:1], {"to": int(like.dtype), **saturate}))


def _settle_split(node: ir.Node, opset: int) -> None:
    """Take apart, without a sequence, what is split by lengths that the graph computes."""
    users = [user for user, _ in node.outputs[0].uses()]
    indices = [_index(user) for user in users]
    data, lengths = (*node.inputs, None)[:2]
    if (
        data is None
        or lengths is None
        or lengths.shape is None
        or node.outputs[0].is_graph_output()
        or not node.attributes.get_int("keepdims", 1)
        or opset < _FIRST_OPSET_OF_SPLIT_INPUT
        or any(index is None for index in indices)
    ):
        return
    places = [index or 0 for index in indices]
    count = lengths.shape[0] if len(lengths.shape) else None
    parts: Mapping[int, ir.Value]
    if isinstance(count, int) and all(-count <= place < count for place in places):
        outputs = _split(node, data, lengths, count)
        parts = {place: outputs[place] for place in places}
    elif not len(lengths.shape) and min(places, default=0) >= 0:
        parts = {place: _slice(node, data, place) for place in dict.fromkeys(places)}
    else:
        return
    for user, place in zip(users, places, strict=True):
        _replace(user, ir.node("Identity", [parts[place]]))
    assert node.graph is not None
    node.graph.remove(node, safe=True)


def _split(node: ir.Node, data: ir.Value, lengths: ir.Value, count: int) -> Sequence[ir.Value]:
    axis = {"axis": _axis(node)}
    split = ir.node("Split", [data, lengths], axis, num_outputs=count, name=node.name)
    for part in split.outputs:
        part.name, part.type = node.outputs[0].name, data.type
    insert(node, split)
    return split.outputs


def _slice(node: ir.Node, data: ir.Value, place: int) -> ir.Value:
    """The part at ``place`` of those as long as a number that the graph computes, the last less."""
    ends = []
    for times in (place, place + 1):
        product = ir.node("Mul", [node.inputs[1], _constant(node, times)])
        row = ir.node("Reshape", [product.outputs[0], _constant(node, [1])])
        insert(node, product, row)
        ends.append(row.outputs[0])
    part = ir.node("Slice", [data, *ends, _constant(node, [_axis(node)])])
    part.outputs[0].type = data.type
    insert(node, part)
    return part.outputs[0]


def _constant(node: ir.Node, value: int | list[int]) -> ir.Value:
    attribute = {"value_int": value} if isinstance(value, int) else {"value_ints": value}
    constant = ir.node("Constant", [], attribute)
    insert(node, constant)
    return constant.outputs[0]


def insert(place: ir.Node, *nodes: ir.Node) -> None:
    """Put nodes before another, of whose module they are."""
    assert place.graph is not None
    place.graph.insert_before(place, nodes)
    for node in nodes:
        node.metadata_props.update(place.metadata_props)


def _axis(node: ir.Node) -> int:
    return node.attributes.get_int("axis", 0)


def _settle_constant(node: ir.Node) -> None:
    tensors = [None if x is None else ir.convenience.get_const_tensor(x) for x in node.inputs]
    if len(tensors) != 2 or (data := tensors[0]) is None or (shape := tensors[1]) is None:
        return
    if data.size > _FEW or 0 in shape.numpy():
        return
    value = ir.tensor(data.numpy().reshape(shape.numpy()))
    _replace(node, ir.node("Constant", [], {"value": value}))


def _drop_zero_bias(node: ir.Node) -> None:
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if bias is not None and bias.producer() is not None and _is_zero(bias):
        node.resize_inputs(2)


def _is_zero(value: ir.Value | None) -> bool:
    if value is None:
        return False
    tensor = ir.convenience.get_const_tensor(value)
    if tensor is not None:
        return tensor.size <= _FEW and not tensor.numpy().any()
    maker = value.producer()
    spreads = maker is not None and maker.op_type in ("Expand", "Cast", "CastLike", "Identity")
    return spreads and maker is not None and maker.domain == "" and _is_zero(maker.inputs[0])


def _index(user: ir.Node) -> int | None:
    if user.op_type != "SequenceAt" or user.domain != "":
        return None
    tensor = ir.convenience.get_const_tensor(user.inputs[1]) if user.inputs[1] else None
    return None if tensor is None else int(tensor.numpy())


def _replace(old: ir.Node, new: ir.Node) -> None:
    assert old.graph is not None
    new.name = old.name
    new.metadata_props.update(old.metadata_props)
    ir.convenience.replace_nodes_and_values(
        old.graph, old, [old], [new], old.outputs[:1], new.outputs
    )
