"""Which numbers a dtype holds: a constant that overflows or vanishes is another constant."""

from __future__ import annotations

__all__ = ["Limits", "fits"]

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

if TYPE_CHECKING:
    import onnx_ir as ir
    from numpy.typing import NDArray

    from bnfuse.graph.affine import ChannelAffine


@dataclass(frozen=True)
class Limits:
    """The range of a float dtype.

    Attributes:
        largest: The largest finite number.
        smallest: The smallest one with full precision.
    """

    largest: float
    smallest: float

    @classmethod
    def of(cls, dtype: ir.DataType) -> Limits:
        """The range of ``dtype``."""
        info: Any = ml_dtypes.finfo(dtype.numpy())  # type: ignore[no-untyped-call]
        return cls(float(info.max), float(info.smallest_normal))

    def overflows(self, vector: NDArray[np.float64]) -> bool:
        """Whether any entry is beyond the largest number."""
        return bool(np.any(np.abs(vector) > self.largest))

    def vanishes(self, vector: NDArray[np.float64]) -> bool:
        """Whether any entry that is not 0 loses its digits near 0."""
        return bool(np.any(self.vanishing(vector)))

    def vanishing(self, vector: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which entries that are not 0 lose their digits near 0."""
        lost: NDArray[np.bool_] = (vector != 0.0) & (np.abs(vector) < self.smallest)
        return lost


def fits(affine: ChannelAffine, dtype: ir.DataType | None) -> bool:
    """Whether an op of this dtype can hold the affine's constants."""
    if dtype is None or not dtype.is_floating_point():
        return False
    limits = Limits.of(dtype)
    overflow = limits.overflows(affine.scale) or limits.overflows(affine.shift)
    return not overflow and not limits.vanishes(affine.scale)
