"""Which stored tensors are read in two ways, as an embedding table that is an output layer too."""

from __future__ import annotations

__all__ = ["tied_tensors"]

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx_ir as ir

    from bnfuse.graph.constants import ConstantEvaluator

_LINEAR = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})


def tied_tensors(graph: ir.Graph, constants: ConstantEvaluator) -> frozenset[ir.Value]:
    """The stored tensors that linear ops and other ops both read, themselves or what they make.

    Uses of one kind often take the same change and then share one new tensor. A lookup and a
    product never do, so a change would store the table twice.
    """
    kinds: dict[ir.Value, set[bool]] = {}
    parts: dict[ir.Value, frozenset[ir.Value]] = {}
    for node in graph.all_nodes():
        if all(constants.is_constant(value) for value in node.outputs):
            continue
        for value in node.inputs:
            if value is None or not constants.is_constant(value):
                continue
            if value not in parts:
                parts[value] = constants.parts(value)
            for part in parts[value]:
                kinds.setdefault(part, set()).add(node.op_type in _LINEAR)
    return frozenset(part for part, found in kinds.items() if len(found) > 1)
