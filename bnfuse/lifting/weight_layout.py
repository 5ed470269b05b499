"""How a weight tensor holds its output and input channels, groups included.

Every linear op's weight is seen in one canonical form of shape (G, O/G, I/G, K): G groups, the
group's output channels, its input channels, and K kernel taps flattened. Output channel
``g · (O/G) + o`` and input channel ``g · (I/G) + i`` are the op's own numbering for Conv and
ConvTranspose alike (ONNX operator specifications, Conv-22 and ConvTranspose-22).
"""

from __future__ import annotations

__all__ = ["Layout"]

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
