"""How far each regime's inputs are from their bounds, and when simulated rounding can decide."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bnfuse.verdict import Verdict
from bnfuse.verifying.verdicts.judge import unjudgeable
from bnfuse.verifying.verdicts.thresholds import strain, usage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bnfuse.verifying.verdicts.result import Parity
    from bnfuse.verifying.verdicts.thresholds import Measure, Thresholds

__all__ = ["AMOUNTS", "LUCK", "ROUNDS", "Doubt", "doubts", "is_beyond_saving"]

LUCK = 1e3
"""Up to so far beyond its bound a candidate may lie because the original was lucky."""
# Simulated runs in all, and up to how far beyond its bound a candidate may be saved by them: at
# first by any luck that is conceivable, then by what so few runs may have missed.
ROUNDS: tuple[tuple[int, float], ...] = ((2, LUCK), (8, 30.0), (16, 4.0), (32, 2.0))
"""Simulated runs in all, and how far beyond its bound a candidate is that they may save."""
AMOUNTS = (2, math.inf)
"""An op that errs by an amount, and not by a part of its result, explains any distance."""
# From this part of its bound on, what few simulated runs excuse has to pass with more.
_NEARLY = 0.7


@dataclass(frozen=True)
class Doubt:
    """One regime.

    Attributes:
        used: The largest part of an allowance that is used on its inputs.
        drawn: Whether rounding was simulated on them.
    """

    used: float
    drawn: bool

    def is_open(self, near: float) -> bool:
        """Return whether simulated runs that save up to ``near`` may change what is found."""
        return (_NEARLY if self.drawn else 1.0) < self.used < near


def doubts(rows: Iterable[Parity], thresholds: Thresholds) -> dict[str, Doubt]:
    """Return every regime that is judged, the one furthest beyond its bounds first."""
    found: dict[str, Doubt] = {}
    for row in rows:
        for output in row.outputs if row.decides else ():
            lost = unjudgeable(output.measures, thresholds)
            regimes: dict[str, list[Measure]] = {}
            for item in output.measures:
                if item.regime not in lost:
                    regimes.setdefault(item.regime, []).append(item)
            for regime, measures in regimes.items():
                used = max(usage(item, thresholds)[0] for item in measures)
                used /= strain(measures, thresholds)
                known = found.get(regime, Doubt(0.0, False))
                drawn = known.drawn or any(item.runs for item in measures)
                found[regime] = Doubt(max(used, known.used), drawn)
    return dict(sorted(found.items(), key=lambda entry: -entry[1].used))


def is_beyond_saving(rows: Iterable[Parity]) -> bool:
    """Return whether something fails that no simulated rounding can save, as of another gate."""
    return any(
        output.verdict is Verdict.FAIL and output.usage <= 1.0
        for row in rows
        if row.decides
        for output in row.outputs
    )
