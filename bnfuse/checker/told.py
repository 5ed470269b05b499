"""Sizes that shape inference leaves open, and that follow from the sizes of what a node reads."""

from __future__ import annotations

__all__ = ["follow", "stretches", "uncut"]

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference

from bnfuse.checker.nodes import PARAMETERS, Node, NotProved, words
from bnfuse.checker.sizes import OPEN, Shape, Size, product, quotient
from bnfuse.checker.values import Values

_BROADCAST = words("Add And Div Equal Greater Less Max Min Mul Or PRelu Pow Sub Sum Where")

_SIZES = {"Expand": 1, "Reshape": 1, "Resize": 3, "Tile": 1}
"""The place of the input that tells the sizes of the result, or how often it is repeated."""


def follow(values: Values, node: Node) -> None:
    """Tell the sizes of a node's results that were open and are not."""
    names = [name for name in node.inputs if name]
    open_ = [o for o in node.outputs if any(map(_is_open, values.types.get(o, (0, None))[1] or ()))]
    if not open_ or any(values.types.get(name, (0, None))[1] is None for name in names):
        return
    target = _target(values, node, [values.shape(name) for name in names])
    targets = _inferred(values, node) if target is None else {node.outputs[0]: target}
    for result in open_:
        kind, after = values.types[result]
        if after is None or len(targets.get(result, ())) != len(after):
            continue
        for size, told in zip(after, targets[result], strict=True):
            if isinstance(size, str) and told is not None and size not in str(told):
                values.told.setdefault(size, told)
        pairs = zip(after, targets[result], strict=True)
        values.types[result] = kind, tuple(new if old is None else old for old, new in pairs)


def _is_open(size: Size) -> bool:
    return size is None or (isinstance(size, str) and OPEN in size)


def _inferred(values: Values, node: Node) -> dict[str, Sequence[Size]]:
    """What onnx infers when it is told the sizes of what the node reads."""
    types, data = {}, {}
    for name, own in zip(node.proto.input, node.inputs, strict=False):
        if name and values.types[own][0]:
            types[name] = helper.make_tensor_type_proto(values.dtype(own), values.shape(own))
            numbers = values.constant(own) if values.dtype(own) == TensorProto.INT64 else None
            if numbers is not None:
                data[name] = numpy_helper.from_array(numbers)
    try:
        schema = onnx.defs.get_schema(node.op, node.opset)
        found = shape_inference.infer_node_outputs(schema, node.proto, types, data)
    except Exception:
        return {}
    # A name that it makes up means nothing.
    known = {size for name in node.inputs if name for size in values.shape(name)}
    return {
        name: [
            d.dim_value or (d.dim_param if d.dim_param in known else None)
            for d in info.tensor_type.shape.dim
        ]
        for name, info in found.items()
    }


def _target(values: Values, node: Node, shapes: Sequence[Shape]) -> Sequence[Size] | None:
    """What onnx does not infer of sizes that have names."""
    if node.op in _BROADCAST:
        return _broadcast(shapes)
    if node.op == "MatMul" and min(map(len, shapes)) >= 2:
        rows, columns = shapes[0][-2], shapes[1][-1]
        return *_broadcast([shape[:-2] for shape in shapes]), rows, columns
    if node.op == "Flatten":
        axis = node.attributes["axis"]
        return product(shapes[0][:axis]), product(shapes[0][axis:])
    if node.op == "Col2Im" and isinstance(rank := shapes[1][0], int):
        return shapes[0][0], *[None] * (1 + rank)
    place = _SIZES.get(node.op, len(node.inputs))
    name = node.inputs[place] if place < len(node.inputs) else ""
    given = values.sizes(name) if name else None
    if node.op == "Resize" and name:
        return list(given) if given is not None and stretches(node.attributes) else None
    if node.op in ("Resize", "Slice"):
        kept = uncut(values, node)
        return [size if axis in kept else None for axis, size in enumerate(shapes[0])]
    if given is None:
        return None
    if node.op == "Expand":
        return _broadcast([shapes[0], tuple(given)])
    if node.op == "Tile":
        return list(map(product, zip(shapes[0], given, strict=True)))
    copied = not node.attributes.get("allowzero")
    target = [shapes[0][i] if copied and n == 0 else n for i, n in enumerate(given)]
    if -1 in target:
        place = target.index(-1)
        target[place] = quotient(shapes[0], target[:place] + target[place + 1 :])
    return target


def stretches(attributes: dict[str, Any]) -> bool:
    """Whether the scales and sizes of a Resize are those of all axes, in order."""
    policy = attributes.get("keep_aspect_ratio_policy")
    return not attributes.get("axes") and policy in (None, "stretch")


def uncut(values: Values, node: Node) -> set[int]:
    """The axes that a Slice or a Resize leaves whole."""
    rank = len(values.shape(node.inputs[0]))
    if node.op == "Resize":
        crops = node.attributes.get("coordinate_transformation_mode") == "tf_crop_and_resize"
        if crops or not stretches(node.attributes):
            return set()
        place = 2 if node.opset >= 11 else 1
        name = node.inputs[place] if place < len(node.inputs) else ""
        scales = values.constant(name) if name else None
        return set() if scales is None else set(np.flatnonzero(scales == 1.0).tolist())
    try:
        given = [values.parameter(node, name) for name in PARAMETERS["Slice"]]
    except NotProved:
        return set()
    starts, ends, axes, steps = given
    cut = [axis % rank for axis in axes or range(len(starts))]
    bounds = zip(cut, starts, ends, steps or [1] * len(cut), strict=True)
    parts = {axis for axis, *rest in bounds if rest[0] or rest[1] < 2**31 - 1 or rest[2] != 1}
    return {*range(rank)} - parts


def _broadcast(shapes: Sequence[Shape]) -> Sequence[Size]:
    """Of each axis the one size that is not 1; ``None`` where there are several."""
    rank = max(map(len, shapes))
    aligned = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    sizes = ({size for size in axis if size != 1} or {1} for axis in zip(*aligned, strict=True))
    return [each.pop() if len(each) == 1 else None for each in sizes]
