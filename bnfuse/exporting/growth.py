"""Constants that folding wrote out larger than what they are made from are computed again.

An embedding table that is an output layer too is there once more as its transpose, and a row that
is spread over a batch of rows as all of them. A runtime computes such a constant when it loads.
"""

from __future__ import annotations

__all__ = ["undo_growth"]

from typing import TYPE_CHECKING

import onnx_ir as ir

if TYPE_CHECKING:
    from collections.abc import Mapping

_SMALL_BYTES = 1 << 16


def undo_growth(before: ir.Model, after: ir.Model) -> None:
    """Put the nodes back that made a large constant of ``after``, where they take fewer bytes.

    Args:
        before: The model before constants were folded.
        after: The same function with some folded, under the names that they had; changed in place.
    """
    made = {value.name: value for node in before.graph for value in node.outputs}
    for name, value in tuple(after.graph.initializers.items()):
        source, tensor = made.get(name), value.const_value
        if source is None or tensor is None or value.is_graph_output():
            continue
        if tensor.nbytes <= _SMALL_BYTES:
            continue
        chain = _made_by(source)
        stored = after.graph.initializers
        parts = {x for node in chain for x in node.inputs if x is not None and _is_stored(x)}
        freed = sum(_bytes(part) for part in parts if part.name not in stored)
        if chain and tensor.nbytes > freed + _SMALL_BYTES:
            _put_back(after.graph, value, chain)


def _made_by(value: ir.Value) -> list[ir.Node]:
    """The nodes that make a constant, in order; none if it is not made by plain nodes alone."""
    chain: dict[ir.Node, None] = {}
    pending = [value]
    while pending:
        top = pending[-1]
        node = top.producer()
        if node is None or node in chain:
            pending.pop()
            if node is None and not _is_stored(top):
                return []
            continue
        if any(_is_graph(attribute) for attribute in node.attributes.values()):
            return []
        open_ = [x for x in node.inputs if x is not None and x.producer() not in (None, *chain)]
        stored = [x for x in node.inputs if x is not None and x.producer() is None]
        if not all(map(_is_stored, stored)):
            return []
        pending.extend(open_)
        if not open_:
            chain[node] = None
    return list(chain)


def _is_stored(value: ir.Value) -> bool:
    return value.const_value is not None and value.producer() is None


def _bytes(value: ir.Value) -> int:
    return 0 if value.const_value is None else value.const_value.nbytes


def _is_graph(attribute: ir.Attr) -> bool:
    return attribute.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)


def _put_back(graph: ir.Graph, value: ir.Value, chain: list[ir.Node]) -> None:
    name = value.name
    assert name is not None
    del graph.initializers[name]
    found: dict[ir.Value, ir.Value] = {}
    for part in (x for node in chain for x in node.inputs if x is not None and _is_stored(x)):
        found[part] = _stored(graph, part)
    nodes = [_copy(node, found, graph.initializers) for node in chain]
    graph.insert_before(graph[0], nodes)
    value.replace_all_uses_with(found[chain[-1].outputs[0]])


def _stored(graph: ir.Graph, part: ir.Value) -> ir.Value:
    assert part.name is not None
    if part.name not in graph.initializers:
        own = ir.Value(
            name=part.name, type=part.type, shape=part.shape, const_value=part.const_value
        )
        graph.register_initializer(own)
    return graph.initializers[part.name]


def _copy(
    node: ir.Node, found: dict[ir.Value, ir.Value], stored: Mapping[str, ir.Value]
) -> ir.Node:
    copy = ir.Node(
        node.domain,
        node.op_type,
        [None if x is None else found[x] for x in node.inputs],
        attributes=list(node.attributes.values()),
        outputs=[ir.Value(name=y.name, type=y.type, shape=y.shape) for y in node.outputs],
        name=node.name,
        metadata_props=dict(node.metadata_props),
    )
    for old, new in zip(node.outputs, copy.outputs, strict=True):
        # What was folded as well, for the sake of others, is there already.
        found[old] = stored.get(old.name or "", new)
    return copy
