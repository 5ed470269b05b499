"""Names for values that mean something new: a name never denotes two values over a fold."""

from __future__ import annotations

__all__ = ["FreshNames"]


from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import onnx_ir as ir

_SUFFIX = "folded"


class FreshNames:
    """Hands out names that no value of a graph, its subgraphs included, has or had."""

    def __init__(self, graph: ir.Graph) -> None:
        graphs = (graph, *graph.subgraphs())
        self._taken = {v.name for g in graphs for v in (*g.inputs, *g.initializers.values())}
        self._taken.update(v.name for node in graph.all_nodes() for v in node.outputs)

    def after(self, name: str) -> str:
        """A new name that still shows where the value comes from."""
        candidate, count = f"{name}.{_SUFFIX}", 2
        while candidate in self._taken:
            candidate, count = f"{name}.{_SUFFIX}{count}", count + 1
        self._taken.add(candidate)
        return candidate

    def rename(self, values: Iterable[ir.Value]) -> None:
        """Give each of these values a new name."""
        for value in values:
            value.name = self.after(value.name or "value")
