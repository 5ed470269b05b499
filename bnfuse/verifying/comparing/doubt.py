"""How far each regime's inputs are from their bounds, and when simulated rounding can decide."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from bnfuse.verdict import Verdict
from bnfuse.verifying.verdicts.judge import judge_row, unjudgeable
from bnfuse.verifying.verdicts.thresholds import strain, usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bnfuse.verifying.verdicts.result import Parity
    from bnfuse.verifying.verdicts.thresholds import Measure, Thresholds

__all__ = ["NEARLY", "ROUNDS", "Again", "Doubt", "doubts", "settled", "undecided"]

# Up to so far beyond its bound a candidate may lie because the original was lucky.
_LUCK = 1e3
ROUNDS: tuple[tuple[int, float], ...] = ((2, _LUCK), (8, 30.0), (16, 4.0), (32, 2.0))
"""Simulated runs in all, and how far beyond its bound a candidate is that they may save: at first
by any luck that is conceivable, then by what so few runs may have missed."""
# An op that errs by an amount, and not by a part of its result, explains any distance.
_AMOUNTS = (2, math.inf)
NEARLY = 0.7
"""From this part of its bound on, what few simulated runs excuse has to pass with more."""

Again: TypeAlias = "Callable[[str, int], Sequence[Parity] | None]"


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
        return (NEARLY if self.drawn else 1.0) < self.used < near


def settled(
    rows: tuple[Parity, ...], again: Again, thresholds: Thresholds, approximates: bool
) -> tuple[tuple[Parity, ...], int]:
    """Return rows after simulating the rounding of those that would fail by little.

    The regime that fails by most comes first: on a row where no rounding explains it, the others
    do not matter. Another row may be right, where the runtime's optimiser is at fault.

    Args:
        rows: As they were judged without simulated rounding.
        again: Compares on the inputs of one regime once more, with some simulated runs of each,
            and returns the rows; None where that cannot be had.
        thresholds: What they are judged by.
        approximates: Whether the original has an op that errs by an amount.

    Returns:
        The rows, and how many simulated runs of a sample they took.
    """
    worst = next(iter(doubts(rows, thresholds).values()), Doubt(0.0, False))
    rounds = (_AMOUNTS, *ROUNDS) if approximates and worst.used > _LUCK else ROUNDS
    done: set[str] = set()
    most = 0
    open_rows = set(range(len(rows)))
    while True:
        open_rows = {n for n in open_rows if not _is_beyond_saving(rows[n])}
        found = doubts((rows[n] for n in open_rows), thresholds)
        regime = next((n for n, doubt in found.items() if n not in done and doubt.used > 1), "")
        if not regime:
            return rows, most
        done.add(regime)
        for draws, near in rounds:
            by_row = _by_row(rows, regime, thresholds)
            if not any(by_row[n].is_open(near) for n in open_rows):
                break
            drawn = again(regime, draws)
            if drawn is None:
                return rows, 0
            rows, most = tuple(drawn), max(most, draws)
        by_row = _by_row(rows, regime, thresholds)
        open_rows = {n for n in open_rows if by_row[n].used <= 1}


def undecided(row: Parity, why: str) -> Parity:
    """Return a row without a failure that simulated runs might have excused, had there been more.

    Args:
        row: As it was judged.
        why: What kept them from being made.
    """
    if row.reason not in [output.reason for output in row.outputs]:
        return row
    outputs = tuple(
        replace(
            output,
            verdict=Verdict.INCONCLUSIVE,
            reason=f"{output.reason}, but not all rounding that may excuse it was simulated: {why}",
        )
        if output.verdict is Verdict.FAIL and 1.0 < output.usage < _LUCK
        else output
        for output in row.outputs
    )
    return judge_row(replace(row, outputs=outputs))


def _by_row(rows: Iterable[Parity], regime: str, thresholds: Thresholds) -> list[Doubt]:
    return [doubts([row], thresholds).get(regime, Doubt(0.0, False)) for row in rows]


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


def _is_beyond_saving(row: Parity) -> bool:
    """Return whether something fails that no simulated rounding can save, as of another gate."""
    return row.decides and any(
        output.verdict is Verdict.FAIL and output.usage <= 1.0 for output in row.outputs
    )
