"""Errors summed up sample by sample, so that memory does not grow with their number."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bnfuse.verifying.verdicts.result import Worst
from bnfuse.verifying.verdicts.thresholds import Measure

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

__all__ = ["OutputMeter"]

Array = np.ndarray[Any, Any]

_MOST_CHANNELS = 1 << 17
_KEPT_CHANNELS = 4

# A run is broken that is off by such a part of the output, and by so many times another's error.
_BROKEN = 1e-3
_APART = 1e3


@dataclass(frozen=True)
class _Errors:
    """Of some runs (first axis), per channel: summed squares and the largest."""

    squares: Array
    peak: Array

    def plus(self, other: _Errors) -> _Errors:
        """Return both together; a run may be missing, and those of one position belong together."""
        runs = min(len(self.squares), len(other.squares))
        return _Errors(
            self.squares[:runs] + other.squares[:runs],
            np.maximum(self.peak[:runs], other.peak[:runs]),
        )

    def of(self, runs: Array) -> _Errors:
        """Return those of some of the runs."""
        return _Errors(self.squares[runs], self.peak[runs])


@dataclass(frozen=True)
class _Sums:
    """Per channel of one axis (or one entry for the whole output).

    Attributes:
        count: Finite elements.
        truth: The sizes of truth.
        candidate: The candidate's errors.
        original: Those of honest runs.
        drawn: Those of runs with simulated rounding.
    """

    count: Array
    truth: _Errors
    candidate: _Errors
    original: _Errors
    drawn: _Errors

    def plus(self, other: _Sums) -> _Sums:
        """Return both together."""
        return _Sums(
            self.count + other.count,
            self.truth.plus(other.truth),
            self.candidate.plus(other.candidate),
            self.original.plus(other.original),
            self.drawn.plus(other.drawn),
        )

    def rms(self, errors: _Errors) -> Array:
        """Return the rms of each run and channel; 0 where nothing was finite."""
        return np.asarray(np.sqrt(errors.squares / np.maximum(self.count, 1)))


@dataclass
class OutputMeter:
    """The running measurements of one float output on one row.

    Attributes:
        unit: Half the spacing of the output's dtype at 1.
        factor: How many times the original's error the candidate's may be: channels that lie
            beyond are all kept.
        stored: Whether the dtype is one that results are only stored in.
        compared: Finite elements seen.
    """

    unit: float
    factor: float = 2.0
    stored: bool = False
    compared: int = 0
    _sums: dict[str, dict[int, _Sums | None]] = field(default_factory=dict)
    _worst: dict[str, tuple[float, Worst]] = field(default_factory=dict)

    def update(
        self,
        regime: str,
        label: str,
        truth: Array,
        candidate: Array,
        originals: Sequence[Array],
        simulated: Sequence[Array] = (),
    ) -> None:
        """Add one sample: float64 arrays of one shape.

        ``originals`` are honest runs, ``simulated`` ones with simulated rounding.
        """
        finite = np.isfinite(truth) & np.isfinite(candidate)
        for run in (*originals, *simulated):
            finite &= np.isfinite(run)
        self.compared += int(finite.sum())
        with np.errstate(all="ignore"):
            size = np.where(finite, np.abs(truth), 0.0)
            wrong = np.where(finite, np.abs(candidate - truth), 0.0)
            honest = [np.where(finite, np.abs(run - truth), 0.0) for run in originals]
            drawn = [np.where(finite, np.abs(run - truth), 0.0) for run in simulated]
        regimes = self._sums.setdefault(regime, {})
        for axis in _axes(truth):
            with np.errstate(over="ignore"):
                sums = _sum(axis, finite, size, wrong, honest, drawn)
            known = regimes.setdefault(axis, sums)
            if known is sums:
                continue
            # An axis whose length changes from sample to sample holds no channels.
            same = known is not None and known.count.shape == sums.count.shape
            regimes[axis] = known.plus(sums) if known is not None and same else None
        with np.errstate(over="ignore"):
            self._note_worst(regime, label, truth, candidate, originals[0], size, wrong, honest[0])

    def forget(self, regimes: Collection[str]) -> None:
        """Forget some regimes."""
        for regime in regimes:
            self._sums.pop(regime, None)
            self._worst.pop(regime, None)

    def measures(self) -> list[Measure]:
        """Return every whole output, and the channels that come closest to a bound."""
        sound = {
            regime: _sound(whole)
            for regime, axes in self._sums.items()
            if (whole := axes.get(-1)) is not None
        }
        typical = [
            sums.rms(sums.original.of(sound[regime])).max(axis=0)[0] / size[0]
            for regime, axes in self._sums.items()
            if (sums := axes.get(-1)) is not None and (size := sums.rms(sums.truth)[0])[0] > 0
        ]
        usual = float(np.median(typical)) if typical else 0.0
        found: list[Measure] = []
        with np.errstate(all="ignore"):
            for regime, axes in self._sums.items():
                for axis, sums in axes.items():
                    if sums is None:
                        continue
                    kept = sound.get(regime, np.ones(len(sums.original.squares), bool))
                    honest = replace(sums, original=sums.original.of(kept))
                    measures = _measures(regime, axis, honest, self.unit, usual, self.factor)
                    measures = [replace(item, stored=self.stored) for item in measures]
                    if axis < 0 and not kept[0]:
                        own = float(sums.rms(sums.original)[0, 0])
                        measures = [replace(item, broken=own) for item in measures]
                    found.extend(measures)
        return found

    def worst(self, regime: str) -> Worst | None:
        """Return the worst element of a regime."""
        entry = self._worst.get(regime)
        return entry[1] if entry else None

    def _note_worst(
        self,
        regime: str,
        label: str,
        truth: Array,
        candidate: Array,
        original: Array,
        size: Array,
        wrong: Array,
        honest: Array,
    ) -> None:
        if not wrong.size:
            return
        axes = tuple(axis for axis in range(truth.ndim) if axis != 1) if truth.ndim > 1 else None
        usual = np.sqrt(np.mean(honest**2, axis=axes, keepdims=True))
        least = self.unit * np.sqrt(np.mean(size**2, axis=axes, keepdims=True))
        score = wrong / np.maximum(usual + least, np.finfo(np.float64).tiny)
        index = np.unravel_index(int(np.argmax(score)), score.shape)
        if score[index] > self._worst.get(regime, (-1.0, None))[0]:
            far, near = float(wrong[index]), float(honest[index])
            self._worst[regime] = (
                float(score[index]),
                Worst(
                    label,
                    tuple(int(i) for i in index),
                    float(truth[index]),
                    float(original[index]),
                    float(candidate[index]),
                    far / near if near else (float("inf") if far else 0.0),
                ),
            )


def _axes(truth: Array) -> list[int]:
    if truth.ndim < 2:
        return [-1, 0][: truth.ndim + 1]
    return [-1, *sorted({1, truth.ndim - 1})]


def _sum(
    axis: int,
    finite: Array,
    size: Array,
    wrong: Array,
    honest: Sequence[Array],
    drawn: Sequence[Array],
) -> _Sums:
    over = None if axis < 0 else tuple(i for i in range(finite.ndim) if i != axis)

    def total(values: Array) -> Array:
        return np.atleast_1d(values.sum(axis=over))

    def peak(values: Array) -> Array:
        return np.atleast_1d(values.max(axis=over, initial=0.0))

    def errors(runs: Sequence[Array]) -> _Errors:
        if not runs:
            none = np.zeros((0, *total(finite).shape))
            return _Errors(none, none)
        squares = np.stack([total(run**2) for run in runs])
        return _Errors(squares, np.stack([peak(run) for run in runs]))

    return _Sums(
        total(finite).astype(np.int64),
        *(errors(runs) for runs in ([size], [wrong], honest, drawn)),
    )


def _sound(whole: _Sums) -> Array:
    """Return which of the original's runs are no mistakes of the runtime.

    Rounding differs between two kernels by a few times; an optimisation that computes something
    else is off by a part of the output itself.
    """
    errors = whole.rms(whole.original)[:, 0]
    size = whole.rms(whole.truth)[0, 0]
    broken = (errors > _BROKEN * size) & (errors > _APART * errors.min(initial=np.inf))
    return np.asarray(~broken)


def _moments(draws: Array) -> tuple[Array, Array]:
    mean, spread = draws.mean(axis=0), draws.std(axis=0, ddof=1)
    # So few draws underestimate the spread of some channel among many: none scatters less, in
    # proportion, than channels usually do.
    sized = mean > 0
    usual = float(np.median(spread[sized] / mean[sized])) if sized.any() else 0.0
    return mean, np.maximum(spread, usual * mean)


def _measures(
    regime: str, axis: int, sums: _Sums, unit: float, usual: float, factor: float
) -> list[Measure]:
    if axis >= 0 and not 1 < sums.count.size <= _MOST_CHANNELS:
        return []
    truth, truth_peak = sums.rms(sums.truth)[0], sums.truth.peak[0]
    candidate, candidate_peak = sums.rms(sums.candidate)[0], sums.candidate.peak[0]
    original, original_peak = sums.rms(sums.original).max(axis=0), sums.original.peak.max(axis=0)
    drawn = sums.rms(sums.drawn)
    many = len(drawn) > 1
    drawn_most = drawn.max(axis=0) if many else 0 * truth
    peak_most = sums.drawn.peak.max(axis=0) if many else 0 * truth
    drawn_mean, drawn_sd = _moments(drawn) if many else (0 * truth, 0 * truth)
    peak_mean, peak_sd = _moments(sums.drawn.peak) if many else (0 * truth, 0 * truth)
    if axis < 0:
        typical = usual * truth
        picked = np.arange(1)
    else:
        # Behind a Relu many channels are zero on all inputs: they tell nothing of rounding.
        alive = truth > 0
        relative = float(np.median(original[alive] / truth[alive])) if alive.any() else 0.0
        usually = float(np.median(original[alive])) if alive.any() else 0.0
        # A dead channel's own size is nothing; what it hangs on has its neighbours' size.
        least = unit * float(np.median(truth[alive])) if alive.any() else 0.0
        typical = np.maximum(np.where(alive, usually, max(usually, least)), relative * truth)
        tiny = np.finfo(np.float64).tiny
        bounds = (
            np.maximum(factor * original + unit * truth, tiny),
            np.maximum(factor * original_peak + unit * truth_peak, tiny),
        )
        score = np.maximum(candidate / bounds[0], candidate_peak / bounds[1])
        chance = np.maximum(drawn_most / bounds[0], peak_most / bounds[1])
        # Raising the noise can only lower a channel's score: below 1 there is nothing to judge.
        closest = [np.argsort(values)[-_KEPT_CHANNELS:] for values in (score, chance)]
        picked = np.unique(np.concatenate([np.flatnonzero(score > 1.0), *closest]))
    return [
        Measure(
            regime=regime,
            axis=axis,
            index=int(i),
            count=int(sums.count[i]),
            candidate_rms=float(candidate[i]),
            candidate_max=float(candidate_peak[i]),
            original_rms=float(original[i]),
            original_max=float(original_peak[i]),
            truth_rms=float(truth[i]),
            truth_max=float(truth_peak[i]),
            typical=float(typical[i]),
            unit=unit,
            drawn_rms=float(drawn_mean[i]),
            drawn_rms_sd=float(drawn_sd[i]),
            drawn_max=float(peak_mean[i]),
            drawn_max_sd=float(peak_sd[i]),
            drawn_rms_most=float(drawn_most[i]),
            drawn_max_most=float(peak_most[i]),
            runs=len(drawn),
        )
        for i in picked
        if sums.count[i] > 0
    ]
