"""A linear op's weight as it is stored, and where it holds its channels, groups included.

Every weight is seen in one canonical form of shape (G, O/G, I/G, K): G groups, the group's output
channels, its input channels, and K kernel taps flattened. Output channel ``g · (O/G) + o`` and
input channel ``g · (I/G) + i`` are the op's own numbering for Conv and ConvTranspose alike (ONNX
operator specifications, Conv-22 and ConvTranspose-22).
"""

from __future__ import annotations

__all__ = ["Layout", "StoredWeight"]

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from bnfuse.graph.constants import Constant

Vector = NDArray[np.float64]
Array = NDArray[Any]


@dataclass(frozen=True)
class Layout:
    """The axes of a stored weight.

    Attributes:
        shape: The stored shape.
        out_axis: The axis of the output channels (of one group's, when ``transposed``).
        in_axis: The axis of the input channels (of one group's, unless ``transposed``).
        group: Number of groups, 1 for matrices.
        transposed: Whether the groups divide the input axis (ConvTranspose).
    """

    shape: tuple[int, ...]
    out_axis: int
    in_axis: int
    group: int = 1
    transposed: bool = False

    @property
    def outputs(self) -> int:
        """O, over all groups."""
        return self.shape[self.out_axis] * (self.group if self.transposed else 1)

    @property
    def inputs(self) -> int:
        """I, over all groups."""
        return self.shape[self.in_axis] * (1 if self.transposed else self.group)

    @property
    def taps(self) -> int:
        """K, the number of kernel positions."""
        return int(np.prod(self.shape)) // (self.shape[self.out_axis] * self.shape[self.in_axis])

    def canonical(self, weight: Array) -> Array:
        """(G, O/G, I/G, K) from the stored shape."""
        moved = np.moveaxis(weight, (self.out_axis, self.in_axis), (0, 1))
        out, inner = moved.shape[:2]
        flat = moved.reshape(out, inner, -1)
        if self.transposed:
            split = flat.reshape(out, self.group, inner // self.group, -1)
            return split.transpose(1, 0, 2, 3)
        return flat.reshape(self.group, out // self.group, inner, -1)

    def stored(self, canonical: Array) -> Array:
        """The inverse of :meth:`canonical`."""
        group, out, inner, taps = canonical.shape
        if self.transposed:
            flat = canonical.transpose(1, 0, 2, 3).reshape(out, group * inner, taps)
        else:
            flat = canonical.reshape(group * out, inner, taps)
        kernel = tuple(
            n for axis, n in enumerate(self.shape) if axis not in (self.out_axis, self.in_axis)
        )
        moved = flat.reshape(flat.shape[:2] + kernel)
        return np.moveaxis(moved, (0, 1), (self.out_axis, self.in_axis))


@dataclass(frozen=True, eq=False)
class StoredWeight:
    """A tensor, read when asked and never kept, its layout, and the op's own factor.

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
