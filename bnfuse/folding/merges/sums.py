"""A sum of several values, however its Adds are nested, and what it is after a merge."""

from __future__ import annotations

__all__ = ["Sum", "Together", "rewrite_sum", "sum_at"]

from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx_ir as ir

from bnfuse.graph.access import graph_of, is_op
from bnfuse.graph.rewire import output_like, substitute
from bnfuse.lifting.nodes import new_linear

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bnfuse.graph.initializers import FreshNames
    from bnfuse.lifting.linear import LinearMap


@dataclass(frozen=True, eq=False)
class Sum:
    """What a tree of Adds adds.

    Attributes:
        adds: The Adds, the root first.
        leaves: What they add; a value may occur more than once.
    """

    adds: tuple[ir.Node, ...]
    leaves: tuple[ir.Value, ...]

    @property
    def root(self) -> ir.Node:
        """The Add that gives the sum."""
        return self.adds[0]


def sum_at(root: ir.Node) -> Sum | None:
    """The sum that a node is the root of, if it is one."""
    if not _is_add(root) or _is_inner(root):
        return None
    adds: list[ir.Node] = []
    leaves: list[ir.Value] = []
    pending = [root]
    while pending:
        node = pending.pop()
        adds.append(node)
        for value in filter(None, node.inputs):
            producer = value.producer()
            if producer is not None and _is_add(producer) and _is_inner(producer):
                pending.append(producer)
            else:
                leaves.append(value)
    return Sum(tuple(adds), tuple(leaves))


@dataclass(frozen=True, eq=False)
class Together:
    """Terms of a sum that are one linear map.

    Attributes:
        x: Its input.
        linear: The map.
        shape: The shape of each of the terms.
        nodes: The nodes that disappear, none before those that read it.
    """

    x: ir.Value
    linear: LinearMap
    shape: ir.Shape | None
    nodes: tuple[ir.Node, ...]


def rewrite_sum(
    whole: Sum, together: Sequence[Together], rest: Sequence[ir.Value], names: FreshNames
) -> None:
    """Put the maps that terms become, and Adds of the other terms, in the place of the old ones."""
    graph, y = graph_of(whole.root), whole.root.outputs[0]
    nodes: list[ir.Node] = []
    for item in together:
        output = output_like(y)
        if len(together) + len(rest) > 1:
            output.name, output.shape = names.after(y.name or "sum"), item.shape
        nodes.append(new_linear(item.x, output, item.linear))
    value, *others = (*(node.outputs[0] for node in nodes), *rest)
    for position, other in enumerate(others, 1):
        output = output_like(y)
        if position < len(others):
            # Terms that are left may broadcast the sum, which is smaller until then.
            output.name = names.after(y.name or "sum")
            output.shape = _broadcast(value.shape, other.shape, output.name)
        name = f"{whole.root.name}.rest{position}"
        nodes.append(ir.Node("", "Add", [value, other], outputs=[output], name=name))
        value = output
    substitute(whole.root, *nodes)
    gone = dict.fromkeys(node for item in together for node in item.nodes)
    for node in (*whole.adds[1:], *gone):
        graph.remove(node, safe=True)


def _broadcast(one: ir.Shape | None, other: ir.Shape | None, name: str) -> ir.Shape | None:
    """The shape of a sum; a dimension that is not known is called after the sum."""
    if one is None or other is None:
        return None
    rank = max(len(one), len(other))
    padded = ((*[1] * (rank - len(shape)), *shape) for shape in (one, other))
    dims = [_dim(*pair) for pair in zip(*padded, strict=True)]
    return ir.Shape([f"{name}.{i}" if dim is None else dim for i, dim in enumerate(dims)])


def _dim(one: int | ir.SymbolicDim, other: int | ir.SymbolicDim) -> int | ir.SymbolicDim | None:
    for dim, against in ((one, other), (other, one)):
        # Whatever broadcasts against a number other than 1 is that number or 1.
        if against == 1 or (isinstance(dim, int) and dim != 1):
            return dim
    is_known = isinstance(one, ir.SymbolicDim) and one.value is not None
    return one if is_known and one == other else None


def _is_add(node: ir.Node) -> bool:
    return is_op(node, "Add", "Sum") and len(node.inputs) > 1 and None not in node.inputs


def _is_inner(node: ir.Node) -> bool:
    """Whether the node only feeds another Add of the same sum."""
    value = node.outputs[0]
    uses = tuple(value.uses())
    if len(uses) != 1 or value.is_graph_output() or uses[0].node.graph is not node.graph:
        return False
    return _is_add(uses[0].node)
