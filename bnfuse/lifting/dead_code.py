"""Take out what nothing needs any more, while nodes that left the graph still lend their inputs.

A lifted node no longer stands in the graph, and what it read, such as a constant expanded to a
run-time shape, would count as unused; but as long as the node may be put back as it was, it is
needed. So what the detached nodes read counts as used.
"""

from __future__ import annotations

__all__ = ["drop_dead"]

from typing import TYPE_CHECKING

from bnfuse.lifting.nodes import affine_of, linear_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx_ir as ir

    from bnfuse.graph.source import Source


def drop_dead(graph: ir.Graph) -> None:
    """Remove the nodes of a lifted graph that no output and no detached node depends on."""
    lent: set[ir.Value] = set()
    for node in reversed(tuple(graph)):
        if any(v.uses() or v.is_graph_output() or v in lent for v in node.outputs):
            lent.update(_lent(node))
        else:
            graph.remove(node, safe=True)


def _lent(node: ir.Node) -> Iterator[ir.Value]:
    linear, lifted = linear_of(node), affine_of(node)
    if linear is not None:
        yield from _others(linear.source, 1 if linear.constant_on_left else 0)
        if linear.bias is not None:
            yield linear.bias.value
    if lifted is not None:
        for origin in lifted.origins:
            yield from _others(origin.source, origin.position)


def _others(source: Source, run_time: int) -> Iterator[ir.Value]:
    """What a detached node reads beside the value that flows through it."""
    for position, value in enumerate(source.inputs):
        if value is not None and position != run_time:
            yield value
