"""How large what a norm reads is: its running statistics are a mean and a deviation per channel.

A value is rounded relative to its size. One with mean ``m`` and deviation ``d`` is of size
``sqrt(1 + (m / d)²)`` in deviations, so a fold that moves it away from 0 makes each of its rounding
errors that many times larger, for all that read it.
"""

from __future__ import annotations

__all__ = ["Moments"]

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bnfuse.graph.affine import ChannelAffine


@dataclass(frozen=True, eq=False)
class Moments:
    """The mean and deviation of what a norm reads, per channel.

    Attributes:
        stored: What makes mean 0 and deviation 1 of the norm's input in the model.
        now: The same for its input as it is now.
    """

    stored: ChannelAffine
    now: ChannelAffine

    def after(self, before: ChannelAffine) -> Moments:
        """The moments of an input that ``before`` makes today's of."""
        return replace(self, now=before.then(self.now))

    def growth(self) -> NDArray[np.float64]:
        """How many times larger than in the model a rounding error is, shape (C,) or ()."""
        growth: NDArray[np.float64] = np.hypot(1.0, self.now.shift) / np.hypot(
            1.0, self.stored.shift
        )
        return growth

    def largest(self) -> float:
        """The largest number that the input must be able to hold: 16 deviations off its mean."""
        size, scale = np.abs(self.now.shift) + 16.0, np.abs(self.now.scale)
        return float(np.max(size / np.where(scale == 0.0, np.inf, scale)))
