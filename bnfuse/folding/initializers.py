"""New constants of a graph: rounded once, named anew, stored once however often they are used."""

from __future__ import annotations

__all__ = ["Initializers"]

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bnfuse.folding.names import FreshNames


class Initializers:
    """Adds constants to a graph.

    Attributes:
        names: Where new names come from.
    """

    def __init__(self, graph: ir.Graph, names: FreshNames) -> None:
        self._graph = graph
        self.names = names
        self._stored: dict[tuple[str, ir.DataType, tuple[int, ...], bytes], ir.Value] = {}

    def add(self, array: NDArray[np.float64], dtype: ir.DataType, after: str) -> ir.Value:
        """Store ``array`` rounded to ``dtype``, under a name that shows it follows ``after``.

        The same numbers that follow the same tensor are stored once: two uses of one weight
        that take the same change still share it.
        """
        rounded = np.ascontiguousarray(array.astype(dtype.numpy()))
        digest = hashlib.sha256(rounded.tobytes()).digest()
        key = (after, dtype, rounded.shape, digest)
        if key not in self._stored:
            name = self.names.after(after)
            value = ir.Value(
                name=name,
                type=ir.TensorType(dtype),
                shape=ir.Shape(rounded.shape),
                const_value=ir.Tensor(rounded, dtype=dtype, name=name),
            )
            self._graph.register_initializer(value)
            self._stored[key] = value
        return self._stored[key]
