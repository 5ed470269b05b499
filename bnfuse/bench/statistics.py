"""Medians, their spread, and ratios of paired samples with an exact confidence interval."""

from __future__ import annotations

__all__ = ["CONFIDENCE", "LEAST_ROUNDS", "Quantiles", "Ratio", "paired_ratio", "spread"]

from dataclasses import dataclass
from math import comb
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

CONFIDENCE = 0.95
"""Of every interval that is reported."""

LEAST_ROUNDS = 6
"""Fewer samples have no interval of 95 % at all: 1 - 2 · 2⁻⁶ is 0.969, 1 - 2 · 2⁻⁵ only 0.938."""


@dataclass(frozen=True)
class Quantiles:
    """Where samples lie: the median, the quartiles and the least, in the samples' unit."""

    median: float
    lower_quartile: float
    upper_quartile: float
    least: float


@dataclass(frozen=True)
class Ratio:
    """A ratio of times, with the interval that holds the true one in 95 of 100 experiments."""

    value: float
    low: float
    high: float

    @property
    def is_one(self) -> bool:
        """Whether the interval allows that there is no difference."""
        return self.low <= 1.0 <= self.high


def spread(samples: NDArray[np.float64]) -> Quantiles:
    """The median and the spread of ``samples``, shape ``(n,)``."""
    lower, median, upper = np.quantile(samples, (0.25, 0.5, 0.75))
    return Quantiles(float(median), float(lower), float(upper), float(samples.min()))


def paired_ratio(samples: NDArray[np.float64], reference: NDArray[np.float64]) -> Ratio:
    """The median of ``samples / reference``, round by round, with its confidence interval.

    What slows a whole round cancels in its ratio. The interval's ends are order statistics of the
    ratios: the median lies below the k-th smallest of n independent samples with the probability
    that a fair coin falls heads fewer than k times in n throws, whatever their distribution.

    Args:
        samples: Seconds, shape ``(rounds,)``.
        reference: Seconds of the same rounds.

    Raises:
        ValueError: There are fewer than :data:`LEAST_ROUNDS` rounds, or not the same rounds.
    """
    if samples.shape != reference.shape or samples.ndim != 1:
        raise ValueError(f"samples of shapes {samples.shape} and {reference.shape} are no pairs")
    if len(samples) < LEAST_ROUNDS:
        raise ValueError(f"{len(samples)} rounds have no interval; take {LEAST_ROUNDS} or more")
    ratios = np.sort(samples / reference)
    cut = _cut(len(ratios))
    return Ratio(float(np.median(ratios)), float(ratios[cut]), float(ratios[-1 - cut]))


def _cut(count: int) -> int:
    """How many samples to leave out at each end so that the interval keeps its confidence."""
    outside, cut = 0.0, 0
    while True:
        outside += comb(count, cut) / 2**count
        if 2 * outside > 1 - CONFIDENCE:
            return cut - 1
        cut += 1
