"""A convolution as a set of taps: one matrix for each offset into the input.

``y[p] = b + Σ_q M_q · x[s · p + q]`` over offsets q, where tap j of a kernel with dilation d and
leading padding a lies at ``q = j · d - a`` and x is zero outside. In this form convolutions of one
input add up offset by offset, whatever their kernels' sizes.
"""

from __future__ import annotations

__all__ = ["Geometry", "Taps", "convolve", "identity_taps", "kernel_of", "taps_of"]

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bnfuse.lifting.linear import LinearMap

Array = NDArray[np.float64]
Offset = tuple[int, ...]


@dataclass(frozen=True)
class Geometry:
    """How a kernel slides over its input; each tuple has one entry a spatial axis.

    Attributes:
        kernel: Kernel sizes.
        strides: Strides.
        dilations: Dilations.
        begins: Zeros before the input.
        ends: Zeros after it.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begins: tuple[int, ...]
    ends: tuple[int, ...]

    @classmethod
    def of(cls, linear: LinearMap) -> Geometry | None:
        """A Conv's geometry; ``None`` where its padding depends on the input's size."""
        attributes = linear.source.frame.attributes
        kernel = tuple(linear.layout.shape[2:])
        ones = [1] * len(kernel)
        pads = list(attributes.get_ints("pads", [0] * (2 * len(kernel))))
        automatic = attributes.get_string("auto_pad", "NOTSET")
        if automatic == "VALID":
            pads = [0] * (2 * len(kernel))
        elif automatic != "NOTSET":
            return None
        return cls(
            kernel,
            tuple(attributes.get_ints("strides", ones)),
            tuple(attributes.get_ints("dilations", ones)),
            tuple(pads[: len(kernel)]),
            tuple(pads[len(kernel) :]),
        )

    @property
    def margins(self) -> tuple[int, ...]:
        """Padding less what the kernel takes: equal margins and strides give equal sizes."""
        spans = zip(self.begins, self.ends, self.dilations, self.kernel, strict=True)
        return tuple(begin + end - d * (k - 1) for begin, end, d, k in spans)

    def attributes(self, group: int) -> list[ir.Attr]:
        """A Conv's attributes."""
        return [
            ir.AttrInt64s("kernel_shape", self.kernel),
            ir.AttrInt64s("strides", self.strides),
            ir.AttrInt64s("dilations", self.dilations),
            ir.AttrInt64s("pads", (*self.begins, *self.ends)),
            ir.AttrInt64("group", group),
        ]


@dataclass(frozen=True, eq=False)
class Taps:
    """A convolution by its taps.

    Attributes:
        matrices: For each offset a float64 matrix (G, O/G, I/G).
        strides: Strides.
        margins: See :attr:`Geometry.margins`.
        dilations: For each axis the dilation, or 0 where a single tap has none.
    """

    matrices: Mapping[Offset, Array]
    strides: tuple[int, ...]
    margins: tuple[int, ...]
    dilations: tuple[int, ...]

    @property
    def group(self) -> int:
        """Number of groups."""
        return int(next(iter(self.matrices.values())).shape[0])

    @property
    def channels(self) -> tuple[int, int]:
        """Output and input channels."""
        group, out, inner = next(iter(self.matrices.values())).shape
        return group * out, group * inner

    def regrouped(self, group: int) -> Taps:
        """The same map in fewer, larger groups: blocks on the diagonal, zeros beside them."""
        if group == self.group:
            return self
        wide = {offset: _block_diagonal(matrix, group) for offset, matrix in self.matrices.items()}
        return Taps(wide, self.strides, self.margins, self.dilations)


def taps_of(linear: LinearMap) -> Taps | None:
    """A Conv as taps, everything pending applied."""
    geometry = Geometry.of(linear)
    if geometry is None:
        return None
    weight = linear.exact_weight()
    axes = zip(geometry.kernel, geometry.dilations, geometry.begins, strict=True)
    offsets = itertools.product(*([j * d - a for j in range(k)] for k, d, a in axes))
    return Taps(
        {offset: weight[..., tap] for tap, offset in enumerate(offsets)},
        geometry.strides,
        geometry.margins,
        tuple(d if k > 1 else 0 for k, d in zip(geometry.kernel, geometry.dilations, strict=True)),
    )


def identity_taps(scale: Array, rank: int) -> Taps:
    """``y = scale · x`` per channel, as a depthwise kernel of one tap."""
    zeros = (0,) * rank
    return Taps({zeros: scale.reshape(-1, 1, 1)}, (1,) * rank, zeros, zeros)


def kernel_of(parts: Sequence[Taps]) -> tuple[Geometry, Array] | str:
    """The one kernel that is the sum of several; or why there is none.

    Returns:
        Its geometry, and its weight, float64 of shape (G, O/G, I/G, K).
    """
    first = parts[0]
    if any(p.strides != first.strides or p.margins != first.margins for p in parts):
        return "their strides or paddings differ"
    if any(p.channels != first.channels for p in parts):
        return "their channels differ"
    group = min(p.group for p in parts)
    if any(p.group % group for p in parts):
        return "their groups do not nest"
    rank = len(first.strides)
    offsets = sorted({offset for p in parts for offset in p.matrices})
    steps: list[int] = []
    for axis in range(rank):
        dilations = {p.dilations[axis] for p in parts} - {0}
        if len(dilations) > 1:
            return "their dilations differ"
        steps.append(dilations.pop() if dilations else 1)
    lows = [min(o[axis] for o in offsets) for axis in range(rank)]
    highs = [max(o[axis] for o in offsets) for axis in range(rank)]
    if any((o[i] - lows[i]) % steps[i] for o in offsets for i in range(rank)):
        return "their taps do not lie on one grid"
    kernel = [(high - low) // d + 1 for low, high, d in zip(lows, highs, steps, strict=True)]
    begins = [-low for low in lows]
    ends = [
        m + d * (k - 1) - a for m, d, k, a in zip(first.margins, steps, kernel, begins, strict=True)
    ]
    if min(*begins, *ends, 0) < 0:
        return "they would need a negative padding"
    outputs, inputs = first.channels
    weight = np.zeros((group, outputs // group, inputs // group, *kernel))
    for part in (p.regrouped(group) for p in parts):
        for offset, matrix in part.matrices.items():
            tap = tuple((offset[i] - lows[i]) // steps[i] for i in range(rank))
            place: Any = (..., *tap)
            weight[place] += matrix
    geometry = Geometry(tuple(kernel), first.strides, tuple(steps), tuple(begins), tuple(ends))
    return geometry, weight.reshape(*weight.shape[:3], -1)


def convolve(x: Array, weight: Array, geometry: Geometry) -> Array:
    """A plain convolution, to hold a merged kernel to: (I, …) by (G, O/G, I/G, K) to (O, …)."""
    group, out, inner, _ = weight.shape
    kernel = weight.reshape(group, out, inner, *geometry.kernel)
    pads = [(0, 0), *zip(geometry.begins, geometry.ends, strict=True)]
    padded = np.pad(x, pads)
    spans = [d * (k - 1) + 1 for d, k in zip(geometry.dilations, geometry.kernel, strict=True)]
    windows = np.lib.stride_tricks.sliding_window_view(padded, spans, axis=tuple(range(1, x.ndim)))
    rank = len(geometry.kernel)
    steps = tuple(slice(None, None, s) for s in geometry.strides)
    taps = tuple(slice(None, None, d) for d in geometry.dilations)
    seen = windows[(slice(None), *steps, *taps)]
    grouped = seen.reshape(group, inner, *seen.shape[1:])
    axes = list(range(2 + rank, 2 + 2 * rank))
    parts = [
        np.tensordot(
            kernel[g], grouped[g], axes=([1, *range(2, 2 + rank)], [0, *(a - 1 for a in axes)])
        )
        for g in range(group)
    ]
    return np.concatenate(parts)


def _block_diagonal(matrix: Array, group: int) -> Array:
    """(G, O/G, I/G) as (group, O/group, I/group) with zeros off the blocks."""
    small, out, inner = matrix.shape
    ratio = small // group
    wide = np.zeros((group, ratio, out, ratio, inner))
    for position in range(ratio):
        wide[:, position, :, position, :] = matrix.reshape(group, ratio, out, inner)[:, position]
    return wide.reshape(group, ratio * out, ratio * inner)
