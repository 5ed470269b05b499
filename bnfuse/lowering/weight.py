"""A folded weight, computed when it is asked for: the last moment is when it is written.

A model's folded weights are never in memory together. Each is read, multiplied in float64, rounded
once and held to its independent derivation, one after the other.
"""

from __future__ import annotations

__all__ = ["FoldedWeight"]

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

if TYPE_CHECKING:
    from collections.abc import Hashable

    from bnfuse.lifting.linear import LinearMap
    from bnfuse.lowering.derive import Derivation


class FoldedWeight(ir.LazyTensor):
    """The weight of a changed linear map.

    Attributes:
        derivations: What it is held to whenever it is computed.
    """

    __slots__ = ("_linear", "derivations")

    def __init__(
        self, linear: LinearMap, name: str, stored_shape: tuple[int, ...] | None = None
    ) -> None:
        shape = ir.Shape(stored_shape or linear.layout.shape)
        super().__init__(self._fold, linear.weight.constant.dtype, shape, name=name)
        self._linear = linear
        self.derivations: list[Derivation] = []

    def __repr__(self) -> str:
        # The base class shows the function, which shows this again.
        return f"FoldedWeight<{self.dtype},{self.shape}>(name={self.name!r})"

    @staticmethod
    def key(linear: LinearMap) -> Hashable:
        """What the numbers follow from: a stored tensor and O(channels) scales.

        A merged weight is stored nowhere yet: there it is the numbers themselves.
        """
        stored: Hashable = linear.weight.constant.root
        if linear.is_merged:
            stored = hashlib.sha256(linear.weight.constant.array().tobytes()).digest()
        pending = (linear.rows.tobytes(), linear.columns.tobytes())
        return (stored, linear.weight.gain, linear.layout, *pending)

    def _fold(self) -> ir.TensorProtocol:
        """Compute it.

        Raises:
            FoldError: It differs from a derivation.
        """
        exact = self._linear.layout.stored(self._linear.exact_weight())
        rounded = np.ascontiguousarray(exact.astype(self.dtype.numpy()))
        for derivation in self.derivations:
            derivation.check(rounded)
        shaped = rounded.reshape(self.shape.numpy())
        return ir.Tensor(shaped, dtype=self.dtype, name=self.name)
