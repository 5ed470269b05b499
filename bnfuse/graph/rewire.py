"""Small surgery on an onnx_ir graph: put one node in another's place, keeping value names."""

from __future__ import annotations

__all__ = ["bypass", "output_like", "rename_to", "substitute", "substitute_sequence"]


from typing import TYPE_CHECKING

import onnx_ir as ir

if TYPE_CHECKING:
    from collections.abc import Sequence


def output_like(value: ir.Value) -> ir.Value:
    """A fresh value with the name, type, shape and metadata of ``value``."""
    return ir.Value(
        name=value.name,
        type=value.type,
        shape=value.shape,
        doc_string=value.doc_string,
        metadata_props=dict(value.metadata_props),
    )


def substitute(old: ir.Node, new: ir.Node) -> ir.Node:
    """Put ``new``, whose one output stands for ``old``'s first, in ``old``'s place."""
    return substitute_sequence(old, [new])


def substitute_sequence(old: ir.Node, new: Sequence[ir.Node]) -> ir.Node:
    """Put several nodes in ``old``'s place; the last one's output stands for ``old``'s first."""
    graph = old.graph
    assert graph is not None
    graph.insert_before(old, new)
    old.outputs[0].replace_all_uses_with(new[-1].outputs[0], replace_graph_outputs=True)
    graph.remove(old, safe=True)
    return new[-1]


def bypass(node: ir.Node) -> None:
    """Take a one-input node out; its input takes over its output's name and its consumers.

    The input must be an inner value that nothing else needs under its old name.
    """
    x = node.inputs[0]
    assert x is not None
    _stand_in(x, node)


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
    graph, y = node.graph, node.outputs[0]
    assert graph is not None
    y.replace_all_uses_with(x, replace_graph_outputs=True)
    graph.remove(node, safe=True)
    x.name = y.name
    x.type = y.type or x.type
    x.shape = y.shape or x.shape
    x.doc_string = y.doc_string or x.doc_string
    x.metadata_props.update(y.metadata_props)
