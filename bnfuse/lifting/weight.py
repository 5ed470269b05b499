"""A linear op's weight as it is stored, read when asked and never kept."""

from __future__ import annotations

__all__ = ["StoredWeight"]

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from bnfuse.graph.constants import Constant
    from bnfuse.lifting.weight_layout import Layout

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class StoredWeight:
    """The tensor, its layout, and the factor that the op applies to it.

    Attributes:
        constant: The stored tensor.
        layout: Where its channels lie.
        gain: What multiplies it in the op (Gemm's alpha).
    """

    constant: Constant
    layout: Layout
    gain: float = 1.0

    def canonical(self) -> NDArray[np.float64]:
        """The weight with its gain, float64 of shape (G, O/G, I/G, K), the caller's own."""
        weight: NDArray[np.float64] = self._view().astype(np.float64)
        if self.gain != 1.0:
            weight *= self.gain
        return weight

    @cached_property
    def peaks(self) -> tuple[Vector, Vector]:
        """The largest absolute weight per output channel (O,) and per input channel (I,).

        Found in the stored dtype, in which a largest and a smallest number are exact.
        """
        weight = self._view()
        group, out, inner, taps = weight.shape
        if 0 in (out, inner, taps):
            return np.zeros(group * out), np.zeros(group * inner)
        # Whole rows at a time: over a kernel's few taps numpy would start anew for each.
        flat = weight.reshape(group, out, inner * taps)
        columns = _magnitude(flat, axis=1).reshape(group * inner, taps)
        gain = abs(self.gain)
        return _magnitude(flat, axis=2).ravel() * gain, columns.max(axis=1) * gain

    def _view(self) -> NDArray[Any]:
        return self.layout.canonical(self.constant.stored())


def _magnitude(array: NDArray[Any], axis: int) -> NDArray[np.float64]:
    largest, smallest = array.max(axis=axis), array.min(axis=axis)
    magnitude: NDArray[np.float64] = np.maximum(
        largest.astype(np.float64), -smallest.astype(np.float64)
    )
    return magnitude
