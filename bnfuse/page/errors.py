"""How far each output lies from float64 truth, and how far it may: rows of a plot."""

from __future__ import annotations

__all__ = ["ErrorRow", "error_rows"]

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bnfuse.verifying.result import OutputParity
    from bnfuse.verifying.thresholds import Thresholds


@dataclass(frozen=True)
class ErrorRow:
    """One output on one provider at one optimisation level.

    Attributes:
        output: Its name.
        where: The provider, the level and the mode.
        verdict: ``PASS``, ``FAIL`` or ``INCONCLUSIVE``.
        original: The original's rms distance from truth over truth's rms.
        candidate: The candidate's.
        bound: The largest that passes; 0 where nothing was measured.
        usage: The largest part of an allowance that was used, over channels and norms.
        decided: The measurement that this is of.
        reason: Why it failed or could not be judged, or the empty string.
    """

    output: str
    where: str
    verdict: str
    original: float
    candidate: float
    bound: float
    usage: float
    decided: str
    reason: str


def error_rows(document: dict[str, Any]) -> tuple[ErrorRow, ...]:
    """The rows of a JSON report, judged as :mod:`bnfuse.verifying.judge` does."""
    if not document.get("parity"):
        return ()
    from bnfuse.verifying.saved import from_json

    found = from_json(document)
    return tuple(
        ErrorRow(
            output.name,
            f"{row.provider} · optimisation {row.optimization}"
            + ("" if row.decides else f" · {row.mode}"),
            output.verdict.value,
            output.error_original,
            output.error_candidate,
            _bound(output, found.thresholds, found.truth.exact),
            output.usage,
            output.where,
            output.reason,
        )
        for row in found.rows
        for output in row.outputs
    )


def _bound(output: OutputParity, thresholds: Thresholds, exact: bool) -> float:
    """What the whole output's rms error may be in the regime that decided, over truth's rms."""
    from bnfuse.verifying.thresholds import allowances, strain

    regime = output.where.partition(" inputs")[0]
    measures = [item for item in output.measures if item.regime == regime]
    whole = next((item for item in measures if item.axis < 0), None)
    if whole is None or not whole.truth_rms:
        return 0.0
    allowed, _ = allowances(whole, thresholds, exact)
    return allowed.total(thresholds.factor) * strain(measures, thresholds) / whole.truth_rms
