"""Who needs a value: its shape and type are no numbers, so who reads only those is no consumer."""

from __future__ import annotations

__all__ = ["Use", "readers"]

from typing import NamedTuple

import onnx_ir as ir


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
    if node.domain not in ("", "ai.onnx"):
        return False
    return node.op_type in ("Shape", "Size") or (node.op_type == "CastLike" and position == 1)
