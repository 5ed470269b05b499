"""The gates, sample by sample: one row's candidate against the original's runs and truth."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bnfuse.verdict import Verdict
from bnfuse.verifying.runtime.calibration import SINGLE
from bnfuse.verifying.runtime.floats import TF32_UNIT, classes, is_float, largest, unit_roundoff
from bnfuse.verifying.verdicts.judge import judge_floats, judge_row
from bnfuse.verifying.verdicts.metrics import OutputMeter
from bnfuse.verifying.verdicts.result import Flip, OutputParity, Parity

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from bnfuse.verifying.original.follow import Followed
    from bnfuse.verifying.runtime.row import Row
    from bnfuse.verifying.samples.drawing import Sample
    from bnfuse.verifying.verdicts.thresholds import Thresholds

__all__ = ["RowComparison"]

Array = np.ndarray[Any, Any]


@dataclass
class _Output:
    dtype: str = ""
    meter: OutputMeter | None = None
    failure: str = ""
    flips: Flip | None = None
    elements: int = 0
    unmeasured: str = ""


@dataclass
class RowComparison:
    """The state of one row over all samples; :meth:`result` judges it.

    Attributes:
        row: What it runs on.
        names: The candidate's outputs.
        judge_flip: Returns what is known of integers that differ, or None if they do not come
            from a float decision.
        units: Rounding units of outputs that are carried in a wider type than their own.
        scores: Names that are no outputs but scores behind decisions: what one model lays out
            otherwise is not compared.
    """

    row: Row
    names: Sequence[str]
    thresholds: Thresholds
    judge_flip: Callable[[str, Sample, Array, Array], Flip | None]
    units: Mapping[str, float] = field(default_factory=dict)
    scores: Collection[str] = ()
    failure: str = ""
    doubt: str = ""
    placement: str = ""
    _outputs: dict[str, _Output] = field(default_factory=dict)
    _again: bool = False

    def forget(self, regimes: Collection[str]) -> None:
        """Forget what was measured on some regimes' samples: they are about to come once more."""
        self._again = True
        for state in self._outputs.values():
            if state.meter is not None:
                state.meter.forget(regimes)

    def add(
        self,
        sample: Sample,
        candidate: Sequence[Any],
        originals: Sequence[Sequence[Any]],
        truth: Sequence[Array],
        simulated: Sequence[Sequence[Array]] = (),
        followed: Sequence[Followed | None] = (),
    ) -> None:
        """Pass one sample through the gates.

        Args:
            sample: The inputs.
            candidate: What the candidate returned.
            originals: Honest runs of the original; the first is of this very row.
            truth: In float64, in the same order.
            simulated: Runs with simulated rounding.
            followed: What the candidate and the originals are measured against in place of
                ``truth``, where they decided otherwise at a near tie.
        """
        counts = {len(candidate), len(originals[0])}
        if len(counts) > 1:
            self.failure = (
                f"the candidate returns {len(candidate)} outputs and the original "
                f"{len(originals[0])} on {sample.label}"
            )
            return
        for position, value in enumerate(candidate):
            name = self.names[position] if position < len(self.names) else str(position)
            if name in self.scores and value.shape != originals[0][position].shape:
                continue
            state = self._outputs.setdefault(name, _Output())
            if not state.failure:
                known = [n for n, run in enumerate(originals) if position < len(run)]
                runs = [originals[n][position] for n in known]
                drawn = [run[position] for run in simulated]
                paths = [followed[n] for n in (0, *(n + 1 for n in known))] if followed else []
                truths = [truth[position] if f is None else f.truth[position] for f in paths]
                truths = truths or [truth[position]] * (1 + len(runs))
                state.failure = self._gates(
                    name, state, sample, value, runs, truth[position], drawn, truths
                )
                flipped = followed[0] if followed and not self._again else None
                if flipped is not None and truths[0] is not truth[position]:
                    state.flips = _joined(state.flips, flipped.flips)

    def result(self, exact: bool) -> Parity:
        """Return the row, judged."""
        row = self.row
        parity = Parity(
            row.provider, row.optimization, Verdict.PASS, mode=row.mode, placement=self.placement
        )
        outputs = tuple(self._judge(name, state, exact) for name, state in self._outputs.items())
        parity = judge_row(replace(parity, outputs=outputs))
        if self.failure:
            return replace(parity, verdict=Verdict.FAIL, reason=self.failure)
        if self.doubt and parity.verdict is not Verdict.FAIL:
            return replace(parity, verdict=Verdict.INCONCLUSIVE, reason=self.doubt)
        if not outputs and parity.verdict is Verdict.PASS:
            return replace(parity, verdict=Verdict.INCONCLUSIVE, reason="nothing was compared")
        return parity

    def _gates(
        self,
        name: str,
        state: _Output,
        sample: Sample,
        value: Any,
        runs: Sequence[Any],
        truth: Array,
        simulated: Sequence[Array],
        truths: Sequence[Array],
    ) -> str:
        """Return what is wrong with one output of one sample, or the empty string.

        ``truths`` are those of the candidate and of each run: of the rows that they took.
        """
        first = runs[0]
        own = truths[0]
        if value.dtype != first.dtype and not (
            value.dtype.kind in "OUS" and first.dtype.kind in "OUS"
        ):
            return f"output {name!r} is {value.dtype} where the original's is {first.dtype}"
        if value.shape != first.shape and (own is truth or value.shape != own.shape):
            return (
                f"output {name!r} has shape {list(value.shape)} where the original's is "
                f"{list(first.shape)}, on {sample.label}"
            )
        state.dtype = value.dtype.name if value.dtype.kind not in "OUS" else "string"
        state.elements += value.size
        if not is_float(value.dtype):
            if own is not truth and np.array_equal(value, own):
                return ""
            return self._exact(name, state, sample, value, runs)
        if value.shape != first.shape:
            # Other rows in number: there is no rounding of the original's to compare with.
            return ""
        if own.shape != value.shape or truth.shape != value.shape:
            state.unmeasured = (
                f"output {name!r} has shape {list(value.shape)} and truth {list(truth.shape)}, on "
                f"{sample.label}"
            )
            return ""
        strange = _strange(value, first, own)
        if strange:
            return f"output {name!r}: {strange}, on {sample.label}"
        if state.meter is None:
            unit = max(unit_roundoff(value.dtype), self.units.get(name, 0.0))
            unit = unit if self.row.mode == "strict" else max(unit, TF32_UNIT)
            stored = unit > SINGLE and self.row.ort_name == "CPUExecutionProvider"
            state.meter = OutputMeter(unit, self.thresholds.factor, stored)
        wide = [
            _moved(run, taken, truth)
            for run, taken in zip((value, *runs), truths, strict=True)
            if run.shape == value.shape
        ]
        state.meter.update(sample.regime, sample.label, truth, wide[0], wide[1:], simulated)
        return ""

    def _exact(
        self, name: str, state: _Output, sample: Sample, value: Any, runs: Sequence[Any]
    ) -> str:
        if any(run.shape == value.shape and np.array_equal(run, value) for run in runs):
            return ""
        differ = value != runs[0]
        count = int(np.count_nonzero(differ))
        flip = self.judge_flip(name, sample, runs[0], value)
        few = max(1, int(self.thresholds.flips * value.size))
        if flip is not None and flip.margin <= flip.allowed and count <= few:
            state.flips = state.flips if self._again else _joined(state.flips, flip)
            return ""
        index = tuple(int(i) for i in np.argwhere(differ)[0])
        why = ""
        if flip is not None and flip.margin > flip.allowed:
            why = (
                f"; the scores behind them differ by {flip.margin:.3g}, and rounding explains "
                f"{flip.allowed:.3g}"
            )
        return (
            f"output {name!r}: {count} of {value.size} {state.dtype} values differ, the first "
            f"at {list(index)}: {value[index]!r} where the original has {runs[0][index]!r}{why}"
        )

    def _judge(self, name: str, state: _Output, exact: bool) -> OutputParity:
        if state.failure:
            worst = self._worst(state, "signed")
            return OutputParity(
                name,
                state.dtype,
                Verdict.FAIL,
                reason=state.failure,
                worst=worst,
                flips=state.flips,
            )
        if not state.elements:
            reason = f"output {name!r} is empty on all inputs; compare on real data with --inputs"
            return OutputParity(name, state.dtype, Verdict.INCONCLUSIVE, reason=reason)
        if state.meter is None:
            return OutputParity(
                name,
                state.dtype,
                Verdict.INCONCLUSIVE if state.unmeasured else Verdict.PASS,
                reason=state.unmeasured,
                flips=state.flips,
            )
        measures = tuple(state.meter.measures())
        parity = judge_floats(name, state.dtype, measures, self.thresholds, exact)
        worst = self._worst(state, parity.where.split(" ")[0])
        return replace(parity, worst=worst, flips=state.flips)

    def _worst(self, state: _Output, regime: str) -> Any:
        return state.meter.worst(regime) if state.meter is not None else None


def _joined(known: Flip | None, flip: Flip) -> Flip:
    if known is None:
        return flip
    return Flip(
        known.count + flip.count,
        known.total + flip.total,
        max(known.margin, flip.margin),
        max(known.allowed, flip.allowed),
    )


def _moved(run: Array, own: Array, truth: Array) -> Array:
    """Return a run with its errors from its own rows' truth, around ``truth``."""
    wide = np.asarray(run, np.float64)
    if own is truth or own.shape != truth.shape:
        return wide
    with np.errstate(invalid="ignore"):
        return np.where(own == truth, wide, wide - (own - truth))


def _strange(value: Array, original: Array, truth: Array) -> str:
    """Return what is wrong with the positions of NaN and infinities, or the empty string."""
    found = classes(value)
    own = classes(original)
    limit = largest(value.dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        right = classes(truth.astype(value.dtype))
        # Whether a value this close to the end of the range rounds over it is chance.
        brink = np.isfinite(truth) & (np.abs(truth) > 0.99 * limit)
    wrong = (found != own) & (found != right) & ~brink
    if not wrong.any():
        return ""
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    return (
        f"{value[index]} at {list(index)} where the original has {original[index]} "
        f"and truth is {truth[index]:.6g} ({int(wrong.sum())} such)"
    )
