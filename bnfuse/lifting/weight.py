"""A linear op's weight as it is stored, read when asked and never kept."""

from __future__ import annotations

__all__ = ["StoredWeight"]

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from bnfuse.lifting.constants import Constant
    from bnfuse.lifting.layout import Layout

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
        """The weight with its gain, float64 of shape (G, O/G, I/G, K)."""
        array: NDArray[np.float64] = self.layout.canonical(self.constant.array())
        return array if self.gain == 1.0 else array * self.gain

    @cached_property
    def peaks(self) -> tuple[Vector, Vector]:
        """The largest absolute weight per output channel (O,) and per input channel (I,)."""
        group, out, inner, taps = self.canonical().shape
        if 0 in (out, inner, taps):
            return np.zeros(group * out), np.zeros(group * inner)
        magnitude = np.abs(self.canonical())
        return magnitude.max(axis=(2, 3)).ravel(), magnitude.max(axis=(1, 3)).ravel()
