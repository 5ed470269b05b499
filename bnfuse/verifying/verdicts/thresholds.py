"""Gate 5: how far from float64 truth a candidate may lie, given how far the original lies.

``err(candidate) <= factor * noise + floor * u * size`` where ``noise`` is what the original's own
rounding amounts to in the same place. The original's error in one channel is itself a random
number: with few elements it can be small by luck, and a right candidate must not fail for that.
So the noise of a channel may be raised towards what is typical of its neighbours, but only as
far as luck explains (a chi-square bound on the channel's own measurement). The reasoning, the
constants and the measured rates are in ``docs/verification.md``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Allowance", "Measure", "Thresholds", "allowances", "luck", "scatter", "strain", "usage"]


# Of a standard deviation of n runs: of 170 simulated runs of ten nets none lay further above the
# mean of 8 others than 12 of their standard deviations, nor above that of 32 than 7.4.
_UNCERTAIN = 4

# One rounding to a dtype, in place of the several that the floors are for.
_STORED = 0.5


@dataclass(frozen=True)
class Thresholds:
    """What measurements are judged by; nothing here is measured.

    Attributes:
        factor: How many times the original's error the candidate's may be.
        floor_rms: Rounding units of the output's dtype, of its rms, that are always allowed.
        floor_max: The same for the largest error, of the largest magnitude.
        peak: How many times the rms noise the largest error may be before ``factor``.
        draws: Standard deviations above their mean that simulated runs reach by chance, if
            they are many; of 8, which tell the deviation itself badly, half as many again.
        strain: How many times the part of its allowance that a simulated run uses at most, the
            candidate may use.
        sigmas: How unlikely, in standard deviations, the luck has to be that is not believed.
        limit: Relative error of the original above which nothing can be judged.
        flips: The part of an integer output's elements that may differ at float ties.
        estimated: What ``floor_*`` is multiplied by where truth is only estimated.
    """

    factor: float = 2.0
    floor_rms: float = 2.0
    floor_max: float = 4.0
    peak: float = 5.0
    sigmas: float = 4.0
    draws: float = 6.7
    strain: float = 1.5
    limit: float = 0.1
    flips: float = 0.01
    estimated: float = 8.0


@dataclass(frozen=True)
class Measure:
    """The errors of one scope (a whole output or one channel) over the samples of one regime.

    Attributes:
        regime: Which inputs: ``given``, ``signed``, ``wide``, ``edge``, ``zero`` or ``found``.
        axis: The channel axis, or -1 for the whole output.
        index: The channel's position on that axis.
        count: Finite elements measured.
        candidate_rms: Of the candidate's distance from truth. Likewise the next five.
        typical: The rms error that neighbours of this size show (0.0: unknown).
        unit: Half the spacing of the output's dtype at 1.
        drawn_rms: Mean of the rms errors of runs with simulated rounding; 0.0 if there are none.
            Likewise the next three, its standard deviation and both of the largest error, and
            the last two, the most that either was.
        runs: Simulated runs.
        stored: Whether results are only stored in the dtype, which rounds them once.
        broken: The rms error of the original's own run on this row, where the runtime computes it
            wrongly there and rightly elsewhere; it is no noise. 0.0 where the runtime is sound.
    """

    regime: str
    axis: int
    index: int
    count: int
    candidate_rms: float
    candidate_max: float
    original_rms: float
    original_max: float
    truth_rms: float
    truth_max: float
    typical: float
    unit: float
    drawn_rms: float = 0.0
    drawn_rms_sd: float = 0.0
    drawn_max: float = 0.0
    drawn_max_sd: float = 0.0
    drawn_rms_most: float = 0.0
    drawn_max_most: float = 0.0
    broken: float = 0.0
    runs: int = 0
    stored: bool = False

    @property
    def scope(self) -> str:
        """The scope in words."""
        whole = "whole output" if self.axis < 0 else f"channel {self.index} of axis {self.axis}"
        return f"{self.regime} inputs, {whole}"


@cache
def luck(count: int, sigmas: float) -> float:
    """Return how many times an rms of ``count`` Gaussian draws may lie below its expectation.

    From a bound on the lower tail of chi-square, ``P(X < x) <= (x/2)^(k/2) / gamma(k/2 + 1)``,
    which is tight for few draws, or from the Wilson-Hilferty approximation for many.
    """
    half = max(count, 1) / 2.0
    chance = 0.5 * math.erfc(sigmas / math.sqrt(2.0))
    least = math.exp((math.log(chance) + math.lgamma(half + 1.0)) / half) / half
    spread = 1.0 / (9.0 * half)
    root = 1.0 - spread - sigmas * math.sqrt(spread)
    return float(min(least**-0.5, math.inf if root <= 0.0 else root**-1.5))


@cache
def scatter(count: int, sigmas: float) -> float:
    """Return how many times an rms of ``count`` Gaussian draws may lie above its expectation."""
    spread = 2.0 / (9.0 * max(count, 1))
    return float((1.0 - spread + sigmas * math.sqrt(spread)) ** 1.5)


def allowances(
    measure: Measure, thresholds: Thresholds, exact: bool = True
) -> tuple[Allowance, Allowance]:
    """Return what is allowed for the rms and for the largest error."""
    own = max(measure.original_rms, measure.drawn_rms + measure.drawn_rms_sd)
    own_peak = max(measure.original_max, measure.drawn_max + measure.drawn_max_sd)
    # Elements share causes (one weight's rounding moves a whole channel): count fewer than given.
    independent = max(1, measure.count // 2)
    if own == 0.0 and measure.truth_rms == 0.0:
        # A dead channel: what its neighbours' rounding would be is no wrong answer.
        noise = measure.typical
    else:
        believed = luck(independent, thresholds.sigmas)
        noise = max(own, min(measure.typical, believed * own if own else 0.0))
    unit = measure.unit * (1.0 if exact else thresholds.estimated)
    unit *= _STORED if measure.stored else 1.0
    # A factor of 2 covers the scatter of 16 draws and more; fewer scatter further.
    least = scatter(independent, thresholds.sigmas)
    # Where a few directions carry all error, honest runs scatter by more than a factor; the
    # scatter of the simulated ones says so, and is nothing where errors average out.
    sigmas = thresholds.draws * (1.0 + _UNCERTAIN / max(measure.runs, 2 * _UNCERTAIN))
    chance = measure.drawn_rms + sigmas * measure.drawn_rms_sd
    peak_chance = measure.drawn_max + sigmas * measure.drawn_max_sd
    peak = max(own_peak, min(thresholds.peak, math.sqrt(measure.count)) * noise)
    return (
        Allowance(noise, least, chance, thresholds.floor_rms * unit * measure.truth_rms),
        Allowance(peak, least, peak_chance, thresholds.floor_max * unit * measure.truth_max),
    )


def usage(measure: Measure, thresholds: Thresholds, exact: bool = True) -> tuple[float, float, str]:
    """Return how much of its allowance a measure uses, the factor that passes, and the norm."""
    rms, largest = allowances(measure, thresholds, exact)
    factor = thresholds.factor
    parts = [
        (_over(error, allowed.total(factor)), allowed.factor_for(error), norm)
        for error, allowed, norm in (
            (measure.candidate_rms, rms, "rms"),
            (measure.candidate_max, largest, "max"),
        )
    ]
    worst = max(parts)
    return worst[0], max(part[1] for part in parts), worst[2]


@dataclass(frozen=True)
class Allowance:
    """How far a candidate may lie from truth in one norm.

    Attributes:
        noise: The original's own rounding.
        least: The factor below which chance alone exceeds it.
        chance: What simulated runs reach.
        floor: What is always allowed.
    """

    noise: float
    least: float
    chance: float
    floor: float

    def total(self, factor: float) -> float:
        """Return the largest error that passes."""
        return max(max(factor, self.least) * self.noise, self.chance) + self.floor

    def factor_for(self, error: float) -> float:
        """Return the smallest factor with which ``error`` passes; 0.0 where any does."""
        if error <= self.total(0.0):
            return 0.0
        return _over(error - self.floor, self.noise)


def strain(measures: Iterable[Measure], thresholds: Thresholds) -> float:
    """Return what to multiply the allowances of one regime by; 1 unless simulated runs exceed it.

    Honest runs differ in more ways than one channel's statistics tell (a Relu deep in the net
    that flips). Each simulated run is judged as if it were the candidate: the candidate is no
    worse for using as much of its allowance, somewhere, as these do somewhere.
    """
    most = 0.0
    for item in measures:
        drawn = replace(item, candidate_rms=item.drawn_rms_most, candidate_max=item.drawn_max_most)
        most = max(most, usage(drawn, thresholds)[0])
    return max(1.0, thresholds.strain * most)


def _over(error: float, allowed: float) -> float:
    if error <= 0.0:
        return 0.0
    return error / allowed if allowed > 0.0 else math.inf
