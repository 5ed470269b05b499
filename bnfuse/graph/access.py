"""What a node reads and stands in, where a valid model cannot be without it, and who reads a value.

The shape and type of a value are no numbers, so who reads only those is no consumer of it.
"""

from __future__ import annotations

__all__ = [
    "Use",
    "given",
    "graph_of",
    "input_of",
    "is_op",
    "made_by",
    "name_of",
    "opset_of",
    "readers",
]

from typing import NamedTuple, TypeGuard

import onnx_ir as ir


def input_of(node: ir.Node, place: int = 0) -> ir.Value:
    """The input at a place at which the operator must have one.

    Raises:
        ValueError: It has none.
    """
    x = node.inputs[place]
    if x is None:
        raise ValueError(f"{node.op_type} {name_of(node)!r} has no input {place}")
    return x


def given(node: ir.Node, place: int) -> ir.Value | None:
    """The input at a place at which the operator may have one."""
    return node.inputs[place] if place < len(node.inputs) else None


def graph_of(node: ir.Node) -> ir.Graph:
    """The graph that a node stands in.

    Raises:
        ValueError: It was taken out, or stands in a function.
    """
    if not isinstance(node.graph, ir.Graph):
        raise ValueError(f"{node.op_type} {name_of(node)!r} stands in no graph")
    return node.graph


def is_op(node: ir.Node | None, *op_types: str) -> TypeGuard[ir.Node]:
    """Whether it is one of these operators of the standard; any of them if none is named."""
    # onnx_ir spells the domain ``ai.onnx`` as the empty string.
    return node is not None and not node.domain and (not op_types or node.op_type in op_types)


def made_by(value: ir.Value | None, op_type: str) -> ir.Node | None:
    """The node that computes a value, if it is this operator of the standard."""
    node = None if value is None else value.producer()
    return node if is_op(node, op_type) else None


def name_of(node: ir.Node) -> str:
    """The node's name, or that of the value that it computes."""
    return node.name or (node.outputs[0].name if node.outputs else None) or ""


def opset_of(node: ir.Node) -> int:
    """The operator set of the standard that a node is of; 0 where that is not known."""
    return 0 if node.graph is None else node.graph.opset_imports.get("", 0)


class Use(NamedTuple):
    """One input of one node."""

    node: ir.Node
    idx: int


def readers(value: ir.Value) -> list[Use]:
    """The uses of a value that depend on its numbers: not Shape, Size and a CastLike's target."""
    return [
        Use(use.node, use.idx) for use in value.uses() if not _reads_no_number(use.node, use.idx)
    ]


def _reads_no_number(node: ir.Node, position: int) -> bool:
    return is_op(node, "Shape", "Size") or (is_op(node, "CastLike") and position == 1)
