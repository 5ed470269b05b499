"""Plain spellings for two detours of PyTorch's exporter that onnxsim leaves standing.

``CastLike(c, x)`` casts a constant to the type of a run-time value. The type is known when the
graph is written, so it is ``Cast``, and a constant stays one.

``SplitToSequence`` followed by ``SequenceAt`` with constant indices is ``torch.chunk``; ``Split``
computes the same tensors without a sequence.
"""

from __future__ import annotations

__all__ = ["canonicalize"]

import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

# From here on Split takes its lengths as an input.
_FIRST_OPSET_OF_SPLIT_INPUT = 13


def canonicalize(model: ir.Model) -> None:
    """Rewrite both detours in place, wherever they are exact."""
    casts = [node for node in model.graph.all_nodes() if node.op_type == "CastLike"]
    if any(node.inputs[1] is not None and node.inputs[1].dtype is None for node in casts):
        ShapeInferencePass()(model)
    for node in list(model.graph.all_nodes()):
        if node.domain != "":
            continue
        if node.op_type == "CastLike":
            _settle_cast(node)
        elif node.op_type == "SplitToSequence":
            _settle_split(node, model.opset_imports.get("", 0))


def _settle_cast(node: ir.Node) -> None:
    like = node.inputs[1]
    if like is None or like.dtype is None:
        return
    saturate = {"saturate": node.attributes["saturate"]} if "saturate" in node.attributes else {}
    _replace(node, ir.node("Cast", node.inputs[:1], {"to": int(like.dtype), **saturate}))


def _settle_split(node: ir.Node, opset: int) -> None:
    users = [user for user, _ in node.outputs[0].uses()]
    indices = [_index(user) for user in users]
    sizes = _sizes(node)
    axis, keepdims = node.attributes.get("axis"), node.attributes.get("keepdims")
    if (
        sizes is None
        or node.outputs[0].is_graph_output()
        or (keepdims is not None and keepdims.as_int() != 1)
        or opset < _FIRST_OPSET_OF_SPLIT_INPUT
        or any(index is None or not -len(sizes) <= index < len(sizes) for index in indices)
    ):
        return
    name = node.outputs[0].name
    lengths = ir.node("Constant", [], {"value_ints": sizes}, name=f"{name}_lengths")
    lengths.outputs[0].name = lengths.name
    split = ir.node(
        "Split",
        [node.inputs[0], lengths.outputs[0]],
        {"axis": 0 if axis is None else axis.as_int()},
        num_outputs=len(sizes),
        name=node.name,
    )
    for place, part in enumerate(split.outputs):
        part.name = f"{name}_{place}"
        part.type = node.inputs[0].type if node.inputs[0] is not None else None
    graph = node.graph
    assert graph is not None
    graph.insert_before(node, [lengths, split])
    split.metadata_props.update(node.metadata_props)
    for user, index in zip(users, indices, strict=True):
        _replace(user, ir.node("Identity", [split.outputs[index or 0]]))
    graph.remove(node, safe=True)


def _index(user: ir.Node) -> int | None:
    if user.op_type != "SequenceAt" or user.domain != "":
        return None
    tensor = ir.convenience.get_const_tensor(user.inputs[1]) if user.inputs[1] else None
    return None if tensor is None else int(tensor.numpy())


def _sizes(node: ir.Node) -> list[int] | None:
    """The lengths of the parts, where they and the length of the axis are known."""
    data, split = node.inputs[0], node.inputs[1] if len(node.inputs) > 1 else None
    tensor = ir.convenience.get_const_tensor(split) if split is not None else None
    if data is None or data.shape is None or tensor is None:
        return None
    values = tensor.numpy()
    if values.ndim == 1:
        return [int(size) for size in values]
    axis = node.attributes.get("axis")
    length = data.shape[0 if axis is None else axis.as_int()]
    step = int(values)
    if not isinstance(length, int) or length < 1 or step < 1:
        return None
    return [min(step, length - start) for start in range(0, length, step)]


def _replace(old: ir.Node, new: ir.Node) -> None:
    assert old.graph is not None
    new.name = old.name
    new.metadata_props.update(old.metadata_props)
    ir.convenience.replace_nodes_and_values(
        old.graph, old, [old], [new], old.outputs[:1], new.outputs
    )
