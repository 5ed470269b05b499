"""What is worth a comparison: sources of linear forms, shapes and grids that may be the same."""

from __future__ import annotations

__all__ = ["are_compared", "may_be", "on_one_grid", "sources_of"]

from typing import TYPE_CHECKING

from bnfuse.checker.forms import Form
from bnfuse.checker.linear import LINEAR, Expanded
from bnfuse.checker.nodes import NotProved, need

if TYPE_CHECKING:
    from collections.abc import Collection

    from bnfuse.checker.graph import Graph
    from bnfuse.checker.sizes import Shape

_DENSE = 1 << 22
"""Coefficients up to which a scale is compared with a matrix."""


def sources_of(graph: Graph, value: str, stops: Collection[str]) -> list[str]:
    """The values of ``stops`` that linear ops make a value of."""
    form = Expanded(graph, value, stops)
    found, seen, stack = [], {value}, [value]
    while stack:
        name = stack.pop()
        if name in stops:
            found.append(name)
            continue
        node, _ = graph.made(name)
        need(node.op in LINEAR, f"{node.op} is not linear")
        for source in reversed(form.sources(node)):
            if source not in seen:
                seen.add(source)
                stack.append(source)
    return found


def on_one_grid(a: Form, b: Form) -> bool:
    """Whether the forms are compared without another grid of taps for either."""
    pairs = [
        (m.c.shape[2:], b.maps[name].c.shape[2:]) for name, m in a.maps.items() if name in b.maps
    ]
    return all(x == y for x, y in pairs)


def are_compared(a: Form, b: Form) -> bool:
    """Whether no scale is written as a large matrix to be compared with one."""
    pairs = [(m, b.maps[name]) for name, m in a.maps.items() if name in b.maps]
    return all(
        x.c.shape[:2] == y.c.shape[:2] or max(x.c.size, y.c.size) <= _DENSE for x, y in pairs
    )


def may_be(graph: Graph, a: str, shape: Shape, turned: bool = False) -> bool:
    """Whether a value may have a shape, or where it may be turned, its sizes."""
    try:
        mine = graph.shape(a)
    except NotProved:
        return False
    if turned:
        return len(mine) == len(shape)
    return len(mine) == len(shape) and all(
        not (isinstance(p, int) and isinstance(q, int)) or p == q
        for p, q in zip(mine, shape, strict=True)
    )
