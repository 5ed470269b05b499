"""Small surgery on an onnx_ir graph: put one node in another's place, keeping value names."""

from __future__ import annotations

__all__ = ["bypass", "disconnect", "output_like", "rename_to", "substitute"]

import onnx_ir as ir

from bnfuse.graph.access import graph_of, input_of


def output_like(value: ir.Value) -> ir.Value:
    """A fresh value with the name, type, shape and metadata of ``value``."""
    return ir.Value(
        name=value.name,
        type=value.type,
        shape=value.shape,
        doc_string=value.doc_string,
        metadata_props=dict(value.metadata_props),
    )


def substitute(old: ir.Node, *new: ir.Node) -> ir.Node:
    """Put nodes in ``old``'s place; the last one's output stands for ``old``'s first."""
    graph = graph_of(old)
    graph.insert_before(old, new)
    old.outputs[0].replace_all_uses_with(new[-1].outputs[0], replace_graph_outputs=True)
    graph.remove(old, safe=True)
    return new[-1]


def disconnect(node: ir.Node) -> None:
    """Take a one-input node out: its consumers take its input, and its output's name is gone."""
    graph = graph_of(node)
    node.outputs[0].replace_all_uses_with(input_of(node))
    graph.remove(node, safe=True)


def bypass(node: ir.Node) -> None:
    """Take a one-input node out; its input takes over its output's name and its consumers.

    The input must be an inner value that nothing else needs under its old name.
    """
    _stand_in(input_of(node), node)


def rename_to(value: ir.Value, node: ir.Node) -> bool:
    """Take out a node that computes ``value`` again, and name ``value`` as its output.

    Returns:
        Whether that could be: not if ``value`` is an input, a constant or an output itself.
    """
    if value.producer() is None or value.is_graph_output() or value.graph is not node.graph:
        return False
    _stand_in(value, node)
    return True


def _stand_in(x: ir.Value, node: ir.Node) -> None:
    graph, y = graph_of(node), node.outputs[0]
    y.replace_all_uses_with(x, replace_graph_outputs=True)
    graph.remove(node, safe=True)
    x.name = y.name
    x.type = y.type or x.type
    x.shape = y.shape or x.shape
    x.doc_string = y.doc_string or x.doc_string
    x.metadata_props.update(y.metadata_props)
