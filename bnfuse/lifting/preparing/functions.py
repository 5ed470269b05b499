"""Local functions, inlined where their operators mean the same in the model's operator sets."""

from __future__ import annotations

__all__ = ["inline_functions"]

from typing import TYPE_CHECKING

import onnx
import onnx_ir.passes.common as common

from bnfuse.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx_ir as ir


def inline_functions(model: ir.Model) -> list[str]:
    """Inline what can be, in place; what a person should know of it, a sentence each.

    Raises:
        ExportError: The functions call each other in a circle, or are called in a way that onnx_ir
            does not inline.
    """
    if not model.functions:
        return []
    for function in model.functions.values():
        _adopt_opsets(function, model.opset_imports)
    count = len(model.functions)

    def is_compatible(function: ir.Function) -> bool:
        imports = model.opset_imports
        return all(imports.get(d, v) == v for d, v in function.opset_imports.items())

    try:
        common.InlinePass(is_compatible)(model)
    except Exception as error:
        raise ExportError(
            f"its local functions cannot be inlined: {error.__cause__ or error}.",
            "Inline them with onnx.inliner first.",
        ) from error
    called = {node.op_identifier() for graph in _graphs(model) for node in graph.all_nodes()}
    for name in [name for name in model.functions if name not in called]:
        del model.functions[name]
    if any(function.domain == "" for function in model.functions.values()):
        raise ExportError(
            "a local function has the name of a standard operator and cannot be inlined.",
            "Inline it with onnx.inliner first.",
        )
    notes = ["its local functions were inlined"] if len(model.functions) < count else []
    if model.functions:
        notes.append(
            f"{len(model.functions)} local functions are of another operator set than the model "
            "and stay: norms in them are not looked for"
        )
    return notes


def _graphs(model: ir.Model) -> list[ir.Graph]:
    return [model.graph, *(function.graph for function in model.functions.values())]


def _adopt_opsets(function: ir.Function, imports: Mapping[str, int]) -> None:
    """Import the model's operator sets in a function all of whose operators are the same there."""
    for domain, own in function.opset_imports.items():
        opset = imports.get(domain, own)
        nodes = [node for node in function.graph.all_nodes() if node.domain == domain]
        if opset != own and all(_is_same(node.op_type, domain, own, opset) for node in nodes):
            function.opset_imports[domain] = opset


def _is_same(op_type: str, domain: str, one: int, other: int) -> bool:
    try:
        versions = {onnx.defs.get_schema(op_type, v, domain).since_version for v in (one, other)}
    except onnx.defs.SchemaError:
        return False
    return len(versions) == 1
