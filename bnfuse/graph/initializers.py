"""New constants of a graph: rounded once, named anew, stored once however often they are used.

A name never denotes two values over a fold, so what means something new gets a new one.
"""

from __future__ import annotations

__all__ = ["FreshNames", "Initializers"]

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    from numpy.typing import NDArray

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


class Initializers:
    """Adds constants to a graph.

    Attributes:
        names: Where new names come from.
    """

    def __init__(self, graph: ir.Graph, names: FreshNames) -> None:
        self._graph = graph
        self.names = names
        self._stored: dict[Hashable, ir.Value] = {}

    def add(self, array: NDArray[np.float64], dtype: ir.DataType, after: str) -> ir.Value:
        """Store ``array`` rounded to ``dtype``, under a name that shows it follows ``after``.

        The same numbers that follow the same tensor are stored once: two uses of one weight
        that take the same change still share it.
        """
        rounded = np.asarray(array.astype(dtype.numpy()), order="C")
        digest = hashlib.sha256(rounded.tobytes()).digest()
        return self.share(
            (dtype, rounded.shape, digest),
            lambda name: ir.Tensor(rounded, dtype=dtype, name=name),
            after,
        )

    def share(
        self, key: Hashable, make: Callable[[str], ir.TensorProtocol], after: str
    ) -> ir.Value:
        """Store what ``make`` gives for a name, unless ``key`` after ``after`` is stored already.

        Args:
            key: What tells the tensor apart from others that follow ``after``.
            make: Makes the tensor of that name; its elements may be computed later.
            after: The name of the tensor that it follows.
        """
        if (after, key) not in self._stored:
            name = self.names.after(after)
            tensor = make(name)
            value = ir.Value(
                name=name,
                type=ir.TensorType(tensor.dtype),
                shape=ir.Shape(tensor.shape.numpy()),
                const_value=tensor,
            )
            self._graph.register_initializer(value)
            self._stored[after, key] = value
        return self._stored[after, key]
