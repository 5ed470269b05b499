"""Names in the exported graph: the interface's as asked, the others unique, no source paths."""

from __future__ import annotations

__all__ = [
    "clean_metadata",
    "name_interface",
    "order_weights",
    "own_weights",
    "restore_metadata",
    "unique_names",
]

from typing import TYPE_CHECKING

import onnx_ir as ir

from bnfuse.exporting.scopes import SCOPES, TYPES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_KEPT = frozenset({SCOPES, TYPES})


def name_interface(model: ir.Model, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Give the inputs and outputs their names; whatever held one of them gets another.

    An output that is an input, an initialiser or another output as well gets an Identity of its
    own, because a value has one name.
    """
    graph = model.graph
    for place, value in enumerate(graph.outputs):
        if value.producer() is None or value in graph.outputs[:place]:
            copy = ir.node("Identity", [value])
            copy.outputs[0].type, copy.outputs[0].shape = value.type, value.shape
            graph.append(copy)
            graph.outputs[place] = copy.outputs[0]
    taken = set(inputs)
    wanted = dict(zip(graph.inputs, inputs, strict=True))
    for value, name in zip(graph.outputs, outputs, strict=True):
        wanted[value] = _free(name, taken)
        taken.add(wanted[value])
    for value in list(graph.initializers.values()):
        if value.name in taken:
            _rename_initializer(graph, value, _free(value.name or "weight", taken | _names(graph)))
    reserved = taken | set(graph.initializers)
    for value in _inner_values(graph):
        if value not in wanted and value.name in reserved:
            value.name = _free(value.name or "value", reserved | _names(graph))
    # Two steps, because one value may hold the name that another is to get.
    for place, value in enumerate(wanted):
        value.name = f"\0{place}"
    for value, name in wanted.items():
        value.name = name


def _rename_initializer(graph: ir.Graph, value: ir.Value, name: str) -> None:
    graph.initializers.pop(value.name or "")
    value.name = name
    graph.register_initializer(value)


def _free(name: str, taken: set[str]) -> str:
    candidate, count = name, 0
    while candidate in taken:
        count += 1
        candidate = f"{name}_{count}"
    return candidate


def _names(graph: ir.Graph) -> set[str]:
    inner = {value.name for value in _inner_values(graph) if value.name}
    return inner | set(graph.initializers) | {value.name or "" for value in graph.inputs}


def _inner_values(graph: ir.Graph) -> Iterator[ir.Value]:
    for node in graph.all_nodes():
        yield from node.outputs


def unique_names(model: ir.Model) -> None:
    """Give every node and every inner value a name that no other has."""
    graph = model.graph
    nodes: set[str] = set()
    fixed = {*graph.inputs, *graph.outputs}
    values = set(graph.initializers) | {value.name or "" for value in fixed}
    for node in graph.all_nodes():
        node.name = _free(node.name or f"node_{node.op_type}", nodes)
        nodes.add(node.name)
        for value in node.outputs:
            # An optional output that is not there has the empty name.
            if value not in fixed and value.name != "":
                value.name = _free(value.name or f"{node.name}_output", values)
                values.add(value.name)


def clean_metadata(model: ir.Model) -> None:
    """Keep each node's module path and types; drop source text, file paths and the rest."""
    graph = model.graph
    model.metadata_props.clear()
    graph.metadata_props.clear()
    model.doc_string = graph.doc_string = None
    for value in (*graph.inputs, *graph.initializers.values()):
        value.metadata_props.clear()
        value.doc_string = None
    for node in graph.all_nodes():
        node.doc_string = None
        for key in set(node.metadata_props) - _KEPT:
            del node.metadata_props[key]
        for value in node.outputs:
            value.metadata_props.clear()
            value.doc_string = None


def restore_metadata(before: ir.Model, after: ir.Model) -> None:
    """Give the nodes that a tool left their metadata back: those of one name, or of one output."""
    nodes = list(before.graph.all_nodes())
    by_name = {node.name: node for node in nodes}
    by_output = {value.name: node for node in nodes for value in node.outputs}
    for node in after.graph.all_nodes():
        source = by_name.get(node.name)
        if source is None or source.op_type != node.op_type:
            source = by_output.get(node.outputs[0].name) if node.outputs else None
        if source is not None:
            node.metadata_props.update(source.metadata_props)


def own_weights(model: ir.Model) -> None:
    """Copy the weights out of the module's storage, so that later training cannot change them."""
    for value in model.graph.initializers.values():
        tensor = value.const_value
        if tensor is not None and tensor.dtype != ir.DataType.STRING:
            value.const_value = ir.Tensor(
                tensor.numpy().copy(), dtype=tensor.dtype, shape=value.shape, name=value.name
            )


def order_weights(model: ir.Model) -> None:
    """List the initialisers in the order of their first use, whatever order a tool left."""
    graph = model.graph
    used = [value for node in graph.all_nodes() for value in node.inputs if value is not None]
    used = [value for value in (*used, *graph.outputs) if value.is_initializer()]
    by_use = {value.name or "": value for value in used if value.graph is graph}
    rest = sorted(set(graph.initializers) - set(by_use))
    ordered = [*by_use.values(), *(graph.initializers[name] for name in rest)]
    graph.initializers.clear()
    for value in ordered:
        graph.register_initializer(value)
