"""How far each output lies from float64 truth, and how far it may: rows of a plot."""

from __future__ import annotations

__all__ = ["ErrorRow", "error_rows"]

from dataclasses import dataclass
from typing import Any


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
        reason: Why it failed or could not be judged, or the empty string.
    """

    output: str
    where: str
    verdict: str
    original: float
    candidate: float
    bound: float
    usage: float
    reason: str


def error_rows(document: dict[str, Any]) -> tuple[ErrorRow, ...]:
    """The rows of a JSON report."""
    return tuple(
        ErrorRow(
            output["name"],
            f"{row['provider']} · optimisation {row['optimization']}"
            + ("" if row["mode"] == "strict" else f" · {row['mode']}"),
            output["verdict"],
            float(output["error_original"]),
            float(output["error_candidate"]),
            float(output.get("bound", 0.0)),
            float(output["usage"]),
            output["reason"],
        )
        for row in document.get("parity", ())
        for output in row["outputs"]
    )
