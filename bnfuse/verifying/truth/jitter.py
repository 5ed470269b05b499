"""Simulated rounding: a float64 run in which each op errs as a float32 implementation may.

Monte Carlo arithmetic (Parker, 1997). Where a deep net enlarges a few directions, the original's
own runs are few draws from a wide distribution and may all be lucky. Each simulated run is one
more honest draw, and knows the conditioning of the function itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from bnfuse.verifying.runtime.calibration import SINGLE, OpError, error_of
from bnfuse.verifying.truth.partial_sums import Walks

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "Jitter",
    "by_channel",
    "lane_norm",
    "lane_sum",
    "reach",
    "running_norm",
    "summed",
]

Array = np.ndarray[Any, Any]

# A scale is a quotient by a root of a sum, and a folded weight a product by it: in float32 that
# errs by 0.75 units in rms, as uniform errors up to this do.
_DERIVED = 1.31

# How far, in units, the nearest number lies from values of all sizes alike: they are half a
# spacing away at most, and the spacing jumps at each power of two.
_NEAREST = 0.74


@dataclass
class Jitter:
    """Draws rounding errors.

    Attributes:
        rng: Where they come from.
        unit: The rounding unit of what is computed.
        pooled: Whether a mean over all positions may be computed by a pool, which adds them up one
            by one.
        walks: How far the errors of dot products walk, of this run and of others on its inputs.
    """

    rng: np.random.Generator
    unit: float
    pooled: bool = True
    walks: Walks = field(default_factory=Walks)

    @property
    def inner(self) -> float:
        """The rounding unit of results: half precision is computed, and kept, in float32.

        The runtime's CPU kernels store no half between two ops that compute, and where another
        device's do, the original's own run there shows by how much that errs.
        """
        return min(self.unit, SINGLE)

    def weight(self, value: Array, unit: float) -> Array:
        """Return a constant as if it had been derived in float32 and stored.

        Args:
            value: What it is.
            unit: The rounding unit of the type that it is stored in.
        """
        size = _NEAREST * unit + (_DERIVED - _NEAREST) * min(unit, SINGLE)
        return value * (1.0 + size * self.rng.uniform(-1.0, 1.0, value.shape))

    def rounded(
        self, value: Array, op: str = "", argument: Array | None = None, beside: Array | None = None
    ) -> Array:
        """Return the result of an op: one that rounds once, or errs as its calibration says.

        What rounds once does not err where the exact result is a number of float32: sizes that a
        net computes in floats stay whole.

        Args:
            value: The exact result.
            op: The op in ONNX's or torch's name.
            argument: What it was computed of, in the result's shape.
            beside: What else it errs by, in rounding units of 1.
        """
        known = error_of(op)
        relative = known.relative if known.relative > 1.0 else _NEAREST
        size = relative * self.inner * np.abs(value)
        if known.argument and argument is not None and argument.shape == value.shape:
            size = size + known.argument * self.inner * np.abs(argument)
        if known.absolute:
            size = size + known.absolute * self.inner
        if beside is not None:
            size = size + beside * self.inner
        # In place: fresh memory for each step would take most of the time of large values.
        error = self._drawn(value) * 2.0**-31
        error -= 1.0
        error *= _finite(size)
        if known == OpError() and beside is None:
            with np.errstate(over="ignore"):
                error *= value != np.asarray(value, np.float32)
        error += value
        return np.asarray(error)

    def accumulated(self, value: Array, walk: Array, axis: int) -> Array:
        """Return the results of dot products.

        Args:
            value: What they are.
            walk: How far the errors of each walk, in rounding units; see :mod:`.partial_sums`.
            axis: Along which each result has weights of its own.
        """
        error = _normal()[self._drawn(value, axis) >> np.uint32(16)]
        error *= self.inner * _finite(walk)
        error += self.rounded(value)
        return np.asarray(error)

    def _drawn(self, value: Array, axis: int | None = None) -> Array:
        """Return a random 32-bit number for each of ``value``, the same for equal ones.

        Rounding is a function of the numbers: where an image is constant, or all rows are alike,
        all results err alike, and no mean over them averages that out.
        """
        rows = value.shape[axis] if axis is not None and value.ndim else 1
        salt = self.rng.integers(1 << 32, size=rows, dtype=np.uint32)
        if axis is not None and value.ndim:
            salt = salt.reshape([rows if n == axis % value.ndim else 1 for n in range(value.ndim)])
        with np.errstate(over="ignore"):
            bits = np.array(value, np.float32).view(np.uint32) ^ salt
        # The finaliser of MurmurHash3, of which every bit depends on all bits.
        moved = np.empty_like(bits)
        for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
            bits ^= np.right_shift(bits, np.uint32(shift), out=moved)
            bits *= np.uint32(factor)
        return np.asarray(bits)


def _finite(size: Array) -> Array:
    """Return how much something errs, nothing where that is no number."""
    finite = np.isfinite(size)
    return size if finite.all() else np.where(finite, size, 0.0)


@cache
def _normal() -> Array:
    return np.random.default_rng(0).standard_normal(1 << 16)


def summed(value: Array, axes: Sequence[int], keepdims: bool, lanes: int) -> Array:
    """Return the sum over ``axes`` in float32, as the runtime's reductions add up.

    Only what lies side by side in memory is added up in several lanes.
    """
    trailing = sorted(axes) == list(range(value.ndim - len(axes), value.ndim))
    return lane_sum(value, axes, keepdims, lanes if trailing else 1)


def lane_sum(value: Array, axes: Sequence[int], keepdims: bool, lanes: int) -> Array:
    """Return the sum over ``axes`` in float32, in ``lanes`` partial sums as a vector unit does.

    Equal numbers (a constant image, a zero one) do not err at random: the error grows in
    proportion to how many there are, and only a real summation shows it.
    """
    kept = [axis for axis in range(value.ndim) if axis not in axes]
    moved = value.transpose(*kept, *axes).reshape(*(value.shape[axis] for axis in kept), -1)
    length = moved.shape[-1]
    if length % lanes:
        moved = np.concatenate([moved, np.zeros((*moved.shape[:-1], -length % lanes))], axis=-1)
    parts = moved.reshape(*moved.shape[:-1], -1, lanes)
    with np.errstate(over="ignore", invalid="ignore"):
        each = np.cumsum(parts, axis=-2, dtype=np.float32)[..., -1, :]
        total = np.cumsum(each, axis=-1, dtype=np.float32)[..., -1].astype(np.float64)
    if keepdims:
        total = total.reshape([1 if i in axes else n for i, n in enumerate(value.shape)])
    return np.asarray(total)


def by_channel(value: Array, scale: Array | None, shift: Array | None) -> Array:
    """Return ``value`` (N, C, ...) scaled and shifted by numbers of its channels, or of groups."""
    shape = -1, *[1] * (value.ndim - 2)
    for part, apply in ((scale, np.multiply), (shift, np.add)):
        if part is not None:
            value = apply(value, np.repeat(part, value.shape[1] // part.size).reshape(shape))
    return value


def lane_norm(value: Array, groups: int, epsilon: float, lanes: int) -> Array:
    """Return ``value`` (N, C, ...) normalised in ``groups`` of channels, its sums in float32.

    The mean of a constant signal errs in proportion to its length, and what is left of such a
    signal without its mean is that error alone, divided by the root of ``epsilon``.
    """
    grouped = value.reshape(len(value), groups, -1)
    length = max(grouped.shape[2], 1)
    mean = grouped.mean(axis=2, keepdims=True)
    variance = np.square(grouped - mean).mean(axis=2, keepdims=True)
    # What differs by less than the last digit of the sum is the same number again and again.
    constant = np.sqrt(variance) <= length / lanes * SINGLE * np.abs(mean)
    level = mean.astype(np.float32)
    summed = np.where(constant, level, grouped)
    off = lane_sum(summed, [2], True, lanes) / length - np.where(constant, level, mean)
    centred = grouped - mean - off
    variance = lane_sum(np.square(centred), [2], True, lanes) / length
    return np.asarray((centred / np.sqrt(variance + epsilon)).reshape(value.shape))


def running_norm(value: Array, axis: int, affine: Sequence[Array | None], epsilon: float) -> Array:
    """Return a layer norm of ``value``, its statistics in float32 as a running mean gives them.

    The runtime makes one op of an addition and the layer norm behind it. That op takes one number
    after the other into its mean and variance (Welford, 1962), which errs in proportion to how many
    there are, where a layer norm alone adds them up in many lanes.

    Args:
        value: float64, of any rank.
        axis: The first axis that is normalised over.
        affine: The scale and the shift, as far as there are any.
        epsilon: What is added to the variance.
    """
    kept = value.shape[: axis % value.ndim]
    rows = value.reshape(*kept, -1)
    mean = squares = np.zeros(kept, np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for count, number in enumerate(np.moveaxis(rows.astype(np.float32), -1, 0), 1):
            before = number - mean
            mean = mean + before / np.float32(count)
            squares = squares + before * (number - mean)
    centred = rows - mean[..., None]
    variance = squares[..., None].astype(np.float64) / max(rows.shape[-1], 1)
    normed = (centred / np.sqrt(variance + epsilon)).reshape(value.shape)
    for part, apply in zip(affine, (np.multiply, np.add), strict=False):
        if part is not None:
            normed = apply(normed, part)
    return np.asarray(normed)


def reach(op: str, inputs: Sequence[Any]) -> int:
    """Return how many terms each dot product of a node adds; 0 if it has none."""
    if op in {"Conv", "ConvInteger"}:
        return int(np.prod(inputs[1].shape[1:]))
    if op == "ConvTranspose":
        return int(inputs[1].shape[0] * np.prod(inputs[1].shape[2:]))
    if op in {"MatMul", "Gemm"}:
        return int(inputs[0].shape[-1])
    return 0
