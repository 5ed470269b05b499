"""From measurements to verdicts: nothing is measured here, so a saved result is judged alike."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from bnfuse.verdict import Verdict
from bnfuse.verifying.verdicts.result import OutputParity, Parity
from bnfuse.verifying.verdicts.thresholds import Measure, Thresholds, allowances, strain, usage

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["PRINCIPAL", "broken_runtime", "judge_floats", "judge_row", "unjudgeable"]

# Without these nothing is proven; constants and zeros alone would prove too little.
PRINCIPAL = frozenset({"given", "signed"})
"""The regimes of which one has to be judged."""

# An estimate of truth errs by as much as the original: so far beyond the bound it still fails.
_SURELY = 16.0

# Two models that the runtime breaks in the same way are off by about as much.
_SAME = 2.0


def unjudgeable(measures: Iterable[Measure], thresholds: Thresholds) -> frozenset[str]:
    """Return the regimes in which the original itself is too far from truth to judge by.

    Numbers whose squares overflow float64 count as such.
    """
    return frozenset(
        item.regime
        for item in measures
        if not math.isfinite(item.truth_rms)
        or (item.axis < 0 and item.original_rms > thresholds.limit * item.truth_rms)
    )


def judge_floats(
    name: str,
    dtype: str,
    measures: tuple[Measure, ...],
    thresholds: Thresholds,
    exact: bool = True,
) -> OutputParity:
    """Return gate 5's judgement of one float output.

    A failure is told of a regime whose rounding was simulated, if one of these fails.
    """
    lost = unjudgeable(measures, thresholds)
    usable = [item for item in measures if item.regime not in lost]
    if not PRINCIPAL & {item.regime for item in usable}:
        reason = f"output {name!r}: {_why_lost(measures, lost, thresholds)}"
        return OutputParity(name, dtype, Verdict.INCONCLUSIVE, reason=reason, measures=measures)
    regimes = {item.regime for item in usable}
    slack = {
        regime: strain((item for item in usable if item.regime == regime), thresholds)
        for regime in regimes
    }
    ranked = [(_eased(usage(i, thresholds, exact), slack[i.regime]), i) for i in usable]
    sure = [entry for entry in ranked if entry[0][0] > 1.0 and entry[1].runs]
    (used, _, norm), decisive = max(sure or ranked, key=lambda entry: entry[0][0])
    tolerance = max(found[1] for found, _ in ranked)
    whole = next((m for m in usable if m.axis < 0 and m.regime == decisive.regime), decisive)
    size = whole.truth_rms
    errors = [
        error / size if size else error for error in (whole.original_rms, whole.candidate_rms)
    ]
    bound = 0.0
    if size and whole.axis < 0:
        allowed, _ = allowances(whole, thresholds, exact)
        bound = allowed.total(thresholds.factor) * slack[whole.regime] / size
    verdict, reason = Verdict.PASS, ""
    if used > 1.0:
        certain = exact or used > _SURELY
        verdict = Verdict.FAIL if certain else Verdict.INCONCLUSIVE
        candidate, own = (
            (decisive.candidate_rms, decisive.original_rms)
            if norm == "rms"
            else (decisive.candidate_max, decisive.original_max)
        )
        reason = (
            f"output {name!r}: {norm} error {candidate:.3g} from truth where the original's is "
            f"{own:.3g} ({decisive.scope}): {used:.3g} times what is allowed"
        )
        if not certain:
            reason += ", but truth is only an estimate"
        if whole.broken and whole.broken / _SAME < whole.candidate_rms < whole.broken * _SAME:
            # The original is off by as much there: whose fault it is, the other rows say.
            verdict = Verdict.INCONCLUSIVE
            reason = (
                f"output {name!r}: {broken_runtime(whole)}, and the candidate too, by "
                f"{whole.candidate_rms:.3g}"
            )
    return OutputParity(
        name,
        dtype,
        verdict,
        errors[0],
        errors[1],
        _ratio(errors[1], errors[0]),
        used,
        tolerance,
        f"{decisive.scope}, {norm}",
        reason,
        measures=measures,
        bound=bound,
    )


def broken_runtime(whole: Measure) -> str:
    """Return what the runtime does to the original, in words."""
    return (
        "ONNX Runtime computes the original itself wrongly at this optimisation level, by "
        f"{whole.broken:.3g} on {whole.regime} inputs where rounding is {whole.original_rms:.3g}"
    )


def _why_lost(measures: Iterable[Measure], lost: frozenset[str], thresholds: Thresholds) -> str:
    if not lost:
        return (
            "no finite value was compared: all are NaN or infinite; if an input is a mask or has "
            "bounds, say so with --range NAME=0,1"
        )
    if all(math.isfinite(item.truth_rms) for item in measures):
        return f"the original itself is more than {thresholds.limit:.0%} from truth"
    return "its values are too large for their squares to be summed in float64"


def judge_row(row: Parity) -> Parity:
    """Return ``row`` with the verdict that its outputs give."""
    for verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE):
        for output in row.outputs:
            if output.verdict is verdict:
                return replace(row, verdict=verdict, reason=output.reason)
    return replace(row, verdict=Verdict.PASS, reason="")


def _eased(found: tuple[float, float, str], slack: float) -> tuple[float, float, str]:
    return found[0] / slack, found[1], found[2]


def _ratio(candidate: float, original: float) -> float:
    if candidate == 0.0:
        return 0.0
    return candidate / original if original else math.inf
