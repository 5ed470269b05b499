"""A convolution with its numbers, and the two ways that convolutions become one.

Parallel: ``Σₖ (Wₖ * x + bₖ) = (Σₖ Wₖ) * x + Σₖ bₖ`` on a grid that holds all taps. In sequence:
``M₂ · (M₁ · x[…] + b₁) + b₂``, so a tap of the one and a tap of the other make the tap ``M₂ · M₁``
at ``s₁ · q₂ + q₁``, and the bias is ``Σ M₂ · b₁ + b₂``. Groups multiply block by block.
"""

from __future__ import annotations

__all__ = ["Kernel", "windows"]

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bnfuse.folding.merges.geometry import Footprint

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Kernel:
    """``y = W * x + b``.

    Attributes:
        footprint: Where its taps lie.
        weight: float64 of shape (G, O/G, I/G, *kernel).
        offset: float64 (O,), the bias.
        magnitude: float64 (O,), the sum of the absolute terms of ``offset``.
    """

    footprint: Footprint
    weight: Array
    offset: Array
    magnitude: Array

    @classmethod
    def of(
        cls,
        footprint: Footprint,
        weight: Array | float,
        offset: Array | float = 0.0,
        magnitude: Array | float = 0.0,
    ) -> Kernel:
        """Numbers in the order of the axes above, or one number for all."""
        shape, outputs = footprint.shape, (footprint.outputs,)
        filled = np.reshape(weight, shape) if np.ndim(weight) else np.full(shape, weight)
        vectors = (np.broadcast_to(vector, outputs) for vector in (offset, magnitude))
        return cls(footprint, filled, *vectors)

    def __call__(self, x: Array) -> Array:
        """Applied to one image (I, …)."""
        offset = self.offset.reshape(-1, *(1,) * (x.ndim - 1))
        return convolve(x, self.weight, self.footprint) + offset

    def sizes(self, x: Array) -> Array:
        """The sum of the absolute terms of each number of the result."""
        offset = np.abs(self.offset).reshape(-1, *(1,) * (x.ndim - 1))
        return convolve(np.abs(x), np.abs(self.weight), self.footprint) + offset

    def after(self, first: Kernel) -> Kernel:
        """This one applied to what ``first`` gives."""
        joined = self.footprint.after(first.footprint)
        weight = np.zeros(joined.shape)
        for tap in np.ndindex(self.footprint.kernel):
            for before in np.ndindex(first.footprint.kernel):
                place = tuple(
                    (a.stride * b.dilation * j + a.dilation * i) // c.dilation
                    for a, b, c, i, j in zip(
                        first.footprint.axes,
                        self.footprint.axes,
                        joined.axes,
                        before,
                        tap,
                        strict=True,
                    )
                )
                product = _product(self.weight[(..., *tap)], first.weight[(..., *before)])
                weight[(..., *place)] += product
        return Kernel(joined, weight, *self._of_offset(first))

    def added(self, others: Sequence[Kernel], footprint: Footprint) -> Kernel:
        """The sum of this one and others, on a grid that holds them all."""
        weight = np.zeros(footprint.shape)
        offset, magnitude = np.zeros_like(self.offset), np.zeros_like(self.magnitude)
        for part in (self, *others):
            weight[_places(part.footprint, footprint)] += _regrouped(part.weight, footprint.group)
            offset, magnitude = offset + part.offset, magnitude + part.magnitude
        return Kernel(footprint, weight, offset, magnitude)

    def _of_offset(self, first: Kernel) -> tuple[Array, Array]:
        taps = tuple(range(3, self.weight.ndim))
        groups = (self.footprint.group, -1, 1)
        passed = self.weight.sum(axis=taps) @ first.offset.reshape(groups)
        sizes = np.abs(self.weight).sum(axis=taps) @ first.magnitude.reshape(groups)
        return passed.ravel() + self.offset, sizes.ravel() + self.magnitude


def convolve(x: Array, weight: Array, footprint: Footprint) -> Array:
    """A plain convolution, to hold a merged kernel to: (I, …) by (G, O/G, I/G, *kernel)."""
    group, inner, rank = weight.shape[0], weight.shape[2], x.ndim - 1
    seen = windows(x, footprint)
    grouped = seen.reshape(group, inner, *seen.shape[1:])
    of_window, of_kernel = [0, *range(1 + rank, 1 + 2 * rank)], [1, *range(2, 2 + rank)]
    parts = [np.tensordot(weight[g], grouped[g], axes=(of_kernel, of_window)) for g in range(group)]
    return np.concatenate(parts)


def windows(x: Array, footprint: Footprint) -> Array:
    """What each position of the output sees: (I, *positions, *kernel) of an image (I, …)."""
    axes = footprint.axes
    padded = np.pad(x, [(0, 0), *((axis.begin, axis.end) for axis in axes)])
    spans = [axis.span + 1 for axis in axes]
    every = np.lib.stride_tricks.sliding_window_view(padded, spans, axis=tuple(range(1, x.ndim)))
    steps = tuple(slice(None, None, axis.stride) for axis in axes)
    taps = tuple(slice(None, None, axis.dilation) for axis in axes)
    seen: Array = every[(slice(None), *steps, *taps)]
    return seen


def _places(part: Footprint, whole: Footprint) -> Any:
    """Where the taps of a part lie in the whole."""
    axes = zip(part.axes, whole.axes, strict=True)
    starts = [((all_.begin - own.begin) // all_.dilation, own, all_) for own, all_ in axes]
    return (
        ...,
        *(
            slice(start, start + own.span // all_.dilation + 1, own.dilation // all_.dilation or 1)
            if own.taps > 1
            else slice(start, start + 1)
            for start, own, all_ in starts
        ),
    )


def _product(second: Array, first: Array) -> Array:
    """(G₂, O/G₂, M/G₂) by (G₁, M/G₁, I/G₁), in as many groups as divide both."""
    group = int(np.gcd(len(second), len(first)))
    if len(second) > group and len(first) > group:
        second = _regrouped(second, group)
    ratio = max(len(second), len(first)) // group
    if len(second) == group:
        # The first is as fine or finer: each of its blocks meets its own columns.
        out, inner = second.shape[1], first.shape[2]
        columns = second.reshape(group, out, ratio, -1).swapaxes(1, 2)
        blocks = columns @ first.reshape(group, ratio, -1, inner)
        return blocks.swapaxes(1, 2).reshape(group, out, ratio * inner)
    rows = first.reshape(group, ratio, -1, first.shape[2])
    product: Array = second.reshape(group, ratio, *second.shape[1:]) @ rows
    return product.reshape(group, -1, first.shape[2])


def _regrouped(weight: Array, group: int) -> Array:
    """(G, O/G, I/G, …) in fewer, larger groups: blocks on the diagonal, zeros beside them."""
    if len(weight) == group:
        return weight
    _, out, inner, *kernel = weight.shape
    ratio = len(weight) // group
    blocks = weight.reshape(group, ratio, out, inner, *kernel)
    wide = np.zeros((group, ratio, out, ratio, inner, *kernel))
    for position in range(ratio):
        wide[:, position, :, position] = blocks[:, position]
    return wide.reshape(group, ratio * out, ratio * inner, *kernel)
