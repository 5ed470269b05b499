"""What the constants of linear maps weigh, and which of them disappear with the maps."""

from __future__ import annotations

__all__ = ["Storage", "bytes_of"]

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from bnfuse.lifting.nodes import linear_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    import onnx_ir as ir

    from bnfuse.lifting.linear import LinearMap


class Storage:
    """How many linear maps of a graph use each weight that is to be stored."""

    def __init__(self, graph: ir.Graph) -> None:
        maps = (linear for node in graph if (linear := linear_of(node)) is not None)
        self._users = Counter(map(_stored_as, maps))

    def freed(self, linears: Sequence[LinearMap]) -> int:
        """The bytes that are no longer stored once these maps are gone.

        A weight that another map still uses stays.
        """
        users = Counter(map(_stored_as, linears))
        last = {
            key: linear
            for linear in linears
            if users[key := _stored_as(linear)] >= self._users[key]
        }
        weights = sum(map(_freed, last.values()))
        biases = sum(bytes_of(m.layout.outputs, m) for m in linears if _has_bias(m))
        return weights + biases


def _stored_as(linear: LinearMap) -> Hashable:
    """What tells the weight that is to be stored apart: uses that change apart no longer share."""
    root = linear.weight.constant.root
    if not linear.weight_changed:
        return root
    pending = (linear.rows.tobytes(), linear.columns.tobytes())
    return (root, linear.weight.gain, linear.layout, *pending)


def _freed(linear: LinearMap) -> int:
    constant = linear.weight.constant
    if linear.weight_changed:
        return constant.nbytes
    return 0 if constant.is_tied else min(constant.nbytes, constant.stored_bytes)


def bytes_of(numbers: int, like: LinearMap) -> int:
    """The size of so many numbers of the map's type."""
    return round(numbers * like.weight.constant.dtype.itemsize)


def _has_bias(linear: LinearMap) -> bool:
    return linear.bias is not None or bool(np.any(linear.offset != 0.0))
