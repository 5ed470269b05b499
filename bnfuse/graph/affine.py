"""The algebra of ``y = scale · x + shift`` with one constant of each per channel.

An inference-mode batch norm, however it is spelt, is such a map. Everything that bnfuse does to
a norm is composing, splitting and re-indexing these, in float64.
"""

from __future__ import annotations

__all__ = ["ChannelAffine"]

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

_ROUNDING = 1e-13


@dataclass(frozen=True, eq=False)
class ChannelAffine:
    """``y = scale · x + shift`` along one tracked axis of ``x``.

    Args:
        axis: The axis of ``x`` that the constants run along, counted from the front, or ``None``
            for a uniform map: the same scalar scale and shift for every element.
        scale: float64 of shape (C,); shape () when uniform.
        shift: float64 of the same shape.
        magnitude: float64 of the same shape, the sum of the absolute values of the terms that
            the shift was summed from. A folded bias cancels (``beta - mean · scale``), so its
            rounding is judged against this and not against the shift itself. Defaults to
            ``|shift|``.
    """

    axis: int | None
    scale: Vector
    shift: Vector
    magnitude: Vector

    @classmethod
    def of(
        cls,
        axis: int | None,
        scale: Vector | float = 1.0,
        shift: Vector | float = 0.0,
        magnitude: Vector | float | None = None,
    ) -> ChannelAffine:
        """Build one from whatever of the three is known, broadcasting them against each other.

        Constants of a single channel are uniform: no axis tells them apart.

        Raises:
            ValueError: A vector was given for a uniform map.
        """
        magnitude = np.abs(shift) if magnitude is None else magnitude
        parts = np.broadcast_arrays(
            *(np.asarray(part, dtype=np.float64) for part in (scale, shift, magnitude))
        )
        if (axis is None) != (parts[0].ndim == 0):
            raise ValueError("a uniform map has scalars, a map along an axis has vectors")
        if parts[0].size == 1:
            return cls(None, *(part.reshape(()) for part in parts))
        return cls(axis, *parts)

    @property
    def channels(self) -> int | None:
        """C, or ``None`` when uniform."""
        return None if self.axis is None else int(self.scale.shape[0])

    @property
    def is_identity(self) -> bool:
        """Whether ``y`` is ``x``, exactly."""
        return not self.has_scale and not self.has_shift

    @property
    def has_scale(self) -> bool:
        """Whether any scale differs from 1."""
        return bool(np.any(self.scale != 1.0))

    @property
    def has_shift(self) -> bool:
        """Whether any shift differs from 0."""
        return bool(np.any(self.shift != 0.0))

    @property
    def is_finite(self) -> bool:
        """Whether every constant is a finite number."""
        return bool(np.isfinite(self.scale).all() and np.isfinite(self.shift).all())

    def composes_with(self, after: ChannelAffine) -> bool:
        """Whether ``after(self(x))`` is again such a map: one axis, or one of them uniform."""
        return self.axis is None or after.axis is None or self.axis == after.axis

    def agrees(self, other: ChannelAffine) -> bool:
        """Whether it is the same map but for the rounding of a few operations."""
        return (
            self.axis == other.axis
            and self.channels == other.channels
            and np.allclose(self.scale, other.scale, rtol=_ROUNDING, atol=0.0)
            and np.allclose(self.shift, other.shift, rtol=_ROUNDING, atol=0.0)
        )

    def then(self, after: ChannelAffine) -> ChannelAffine:
        """``after(self(x))``: scales multiply, and the first shift is scaled by the second.

        Raises:
            ValueError: The two run along different axes.
        """
        if not self.composes_with(after):
            raise ValueError(f"constants along axis {self.axis} and axis {after.axis}")
        return ChannelAffine.of(
            self.axis if after.axis is None else after.axis,
            after.scale * self.scale,
            after.scale * self.shift + after.shift,
            np.abs(after.scale) * self.magnitude + after.magnitude,
        )

    def only_scale(self) -> ChannelAffine:
        """``y = scale · x``."""
        return ChannelAffine.of(self.axis, self.scale, np.zeros_like(self.shift))

    def only_shift(self) -> ChannelAffine:
        """``y = x + shift``."""
        return ChannelAffine.of(self.axis, np.ones_like(self.scale), self.shift, self.magnitude)

    def parted(self) -> tuple[ChannelAffine, ChannelAffine]:
        """``y = x + shift / scale``, and what makes the whole map of that: the scale.

        Where the scale is 0 no shift can come before it, and the second map has it.
        """
        zero = self.scale == 0.0
        divisor = np.where(zero, 1.0, self.scale)
        before = ChannelAffine.of(
            self.axis,
            np.ones_like(self.scale),
            np.where(zero, 0.0, self.shift / divisor),
            np.where(zero, 0.0, self.magnitude / np.abs(divisor)),
        )
        after = ChannelAffine.of(
            self.axis,
            self.scale,
            np.where(zero, self.shift, 0.0),
            np.where(zero, self.magnitude, 0.0),
        )
        return before, after

    def shift_times(self, factor: float) -> ChannelAffine:
        """The same scale, and ``factor`` times the shift."""
        magnitude = self.magnitude * abs(factor)
        return ChannelAffine.of(self.axis, self.scale, self.shift * factor, magnitude)

    def signs(self) -> ChannelAffine:
        """``y = -x`` in the channels whose scale is negative; its own inverse."""
        return ChannelAffine.of(self.axis, np.where(self.scale < 0.0, -1.0, 1.0))

    def inverse(self) -> ChannelAffine:
        """``x = (y - shift) / scale``.

        Raises:
            ZeroDivisionError: A scale is 0.
        """
        if np.any(self.scale == 0.0):
            raise ZeroDivisionError("a channel's scale is 0")
        return ChannelAffine.of(
            self.axis,
            1.0 / self.scale,
            -self.shift / self.scale,
            self.magnitude / np.abs(self.scale),
        )

    def along(self, axis: int | None) -> ChannelAffine:
        """The same constants along another axis, after an op that moved the channels there."""
        return self if self.axis is None else replace(self, axis=axis)

    def take(self, index: NDArray[np.intp] | slice) -> ChannelAffine:
        """The constants of the channels at ``index``, in that order."""
        if self.axis is None:
            return self
        parts = self.scale[index], self.shift[index], self.magnitude[index]
        return ChannelAffine.of(self.axis, *parts)

    def expanded(self, channels: int) -> tuple[Vector, Vector, Vector]:
        """Scale, shift and magnitude as vectors of shape (channels,), a uniform map repeated."""
        return (
            np.broadcast_to(self.scale, (channels,)),
            np.broadcast_to(self.shift, (channels,)),
            np.broadcast_to(self.magnitude, (channels,)),
        )

    def shaped(self, vector: Vector, rank: int) -> Vector:
        """One of the vectors reshaped to broadcast against an ``x`` of that rank."""
        if self.axis is None:
            return vector.reshape(())
        return vector.reshape((-1,) + (1,) * (rank - 1 - self.axis))

    def __call__(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Evaluate on an array whose axis ``axis`` has C entries."""
        scaled: NDArray[np.float64] = self.shaped(self.scale, x.ndim) * x
        return scaled + self.shaped(self.shift, x.ndim)
