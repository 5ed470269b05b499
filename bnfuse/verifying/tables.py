"""The valid range of integer inputs, read from the tables that they index."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

__all__ = ["index_limits"]

_SAME_VALUES = frozenset(
    {"Cast", "Expand", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
)


def index_limits(proto: onnx.ModelProto) -> dict[str, int]:
    """Return, for each graph input that indexes constant tables, the rows of the smallest.

    Follows the input through ops that keep its values to ``Gather``, and to ``GatherND`` along
    its first axis.
    """
    sizes = {item.name: tuple(item.dims) for item in proto.graph.initializer}
    for node in proto.graph.node:
        if node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    sizes[node.output[0]] = tuple(attribute.t.dims)
    source = {item.name: item.name for item in proto.graph.input if item.name not in sizes}
    limits: dict[str, int] = {}
    for node in proto.graph.node:
        if node.op_type in _SAME_VALUES and node.input and node.input[0] in source:
            source[node.output[0]] = source[node.input[0]]
        if node.op_type not in {"Gather", "GatherND"} or len(node.input) < 2:
            continue
        name, shape = source.get(node.input[1]), sizes.get(node.input[0])
        if name is None or not shape:
            continue
        axis = next((item.i for item in node.attribute if item.name == "axis"), 0)
        limits[name] = min(limits.get(name, shape[axis]), shape[axis])
    return limits
