"""ONNX's own shape inference on a graph in memory, and shapes that are computed at run time.

The inference runs on a serialised model. Here that model holds no large constant, and what it
finds is written back by name; ``onnx_ir``'s pass looks each initialiser up in the list of inputs,
which is quadratic in their number.

Where ONNX gives up, shapes are followed symbolically: ``x.view(n, -1)``, ``expand_as`` and
``repeat`` become Reshape, Expand and Tile by a tensor that is cut out of ``Shape(x)``. Its entries
are dimensions by name, and with them the result's shape.
"""

from __future__ import annotations

__all__ = ["infer_numbered_shapes", "infer_run_time_shapes", "infer_shapes"]

from collections.abc import Sequence

import numpy as np
import onnx
import onnx_ir as ir

from bnfuse.graph.access import input_of, is_op
from bnfuse.graph.constants import ConstantEvaluator
from bnfuse.graph.sizes import Dim, dims_of, doubtful_axes, entries_of
from bnfuse.lifting.nodes import DOMAIN
from bnfuse.onnxfiles.message import headers_only

_ELEMENTWISE = frozenset({"Add", "Sub", "Mul", "Div"})
_FOLLOWED = _ELEMENTWISE | {"Reshape", "Expand", "Tile"}
_NUMBERED = "unk__"
"""What ONNX's inference calls a length that it knows nothing of."""
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


def infer_numbered_shapes(model: ir.Model) -> None:
    """Infer anew, in place, the shapes with lengths that inference could only number.

    A graph that was simplified may tell them.
    """
    numbered = {
        value: value.shape
        for node in model.graph
        for value in node.outputs
        if value.shape is not None and any(_is_numbered(dim) for dim in value.shape)
    }
    for value in numbered:
        value.shape = None
    infer_shapes(model)
    for value, shape in numbered.items():
        if value.shape is None:
            value.shape = shape


def _is_numbered(dim: int | ir.SymbolicDim) -> bool:
    return isinstance(dim, ir.SymbolicDim) and (dim.value or "").startswith(_NUMBERED)


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


def infer_run_time_shapes(graph: ir.Graph, constants: ConstantEvaluator) -> bool:
    """Fill in the shapes of Reshape, Expand, Tile and arithmetic; whether any became known."""
    changed = False
    for node in graph:
        changed = _is_like_its_input(node) or changed
        if not is_op(node, *_FOLLOWED) or len(node.inputs) != 2:
            continue
        x, y = input_of(node), node.outputs[0]
        shape = None if _is_known(y.shape) else _result(node, constants)
        if shape is not None:
            y.shape, y.type = ir.Shape(shape), y.type or x.type
            changed = True
    return changed


def _is_like_its_input(node: ir.Node) -> bool:
    """Fill in what inference says nothing of; whether it became known."""
    if not is_op(node, "GroupNormalization"):
        return False
    x, y = input_of(node), node.outputs[0]
    if x.shape is None or y.shape is not None:
        return False
    y.shape, y.type = x.shape, y.type or x.type
    return True


def _result(node: ir.Node, constants: ConstantEvaluator) -> list[Dim] | None:
    steering, before = input_of(node, 1), dims_of(input_of(node).shape)
    if node.op_type in _ELEMENTWISE:
        other = dims_of(steering.shape)
        return None if before is None or other is None else _broadcast(before, other)
    asked = entries_of(steering, constants)
    if before is None or asked is None:
        return None
    if node.op_type == "Reshape":
        return _reshaped(before, asked, node.attributes.get_int("allowzero", 0) == 1)
    if node.op_type == "Expand":
        return _broadcast(before, asked)
    tiled = [_times(length, count) for length, count in zip(before, asked, strict=False)]
    known = [dim for dim in tiled if dim is not None]
    return known if len(known) == len(before) == len(asked) else None


def _reshaped(before: Sequence[Dim], asked: Sequence[Dim], allow_zero: bool) -> list[Dim] | None:
    copied = [
        before[i] if d == 0 and not allow_zero and i < len(before) else d
        for i, d in enumerate(asked)
    ]
    if copied.count(-1) != 1:
        return list(copied) if -1 not in copied else None
    left, right = list(before), [d for d in copied if d != -1]
    for dim in [d for d in right if isinstance(d, str)]:
        if dim not in left:
            return None
        left.remove(dim)
        right.remove(dim)
    symbols = [dim for dim in left if isinstance(dim, str)]
    total, rest = (int(np.prod([d for d in part if isinstance(d, int)])) for part in (left, right))
    if symbols:
        missing: Dim | None = symbols[0] if len(symbols) == 1 and total == rest else None
    else:
        missing = None if rest == 0 or total % rest else total // rest
    return None if missing is None else [missing if d == -1 else d for d in copied]


def _broadcast(before: Sequence[Dim], asked: Sequence[Dim]) -> list[Dim] | None:
    rank = max(len(before), len(asked))
    left = [1] * (rank - len(before)) + list(before)
    right = [1] * (rank - len(asked)) + list(asked)
    result: list[Dim] = []
    for one, two in zip(left, right, strict=True):
        if two == 1 or one == two:
            result.append(one)
        elif one == 1:
            result.append(two)
        else:
            return None
    return result


def _times(length: Dim, count: Dim) -> Dim | None:
    if length == 1:
        return count
    if count == 1:
        return length
    return length * count if isinstance(length, int) and isinstance(count, int) else None


def _is_known(shape: ir.Shape | None) -> bool:
    # A name that inference made up stands for a dimension that nothing else can be compared to.
    return shape is not None and all(
        isinstance(dim, int) or (dim.value is not None and not dim.value.startswith("unk__"))
        for dim in shape
    )
