"""A row that nothing saves does not keep the others from being settled."""

from __future__ import annotations

from dataclasses import replace

from bnfuse.verifying import OutputParity, Parity, Thresholds, Verdict
from bnfuse.verifying.comparing.doubt import settled
from bnfuse.verifying.verdicts.judge import judge_floats
from bnfuse.verifying.verdicts.thresholds import Measure

UNIT = 2.0**-24
LIMITS = Thresholds()


def measure(error: float, drawn: float = 0.0) -> Measure:
    """A whole output of size 1 whose original errs by 1e-7, and runs that err by ``drawn``."""
    plain = Measure("signed", -1, 0, 1000, error, 3 * error, 1e-7, 3e-7, 1.0, 3.0, 1e-7, UNIT)
    if not drawn:
        return plain
    return replace(
        plain,
        drawn_rms=drawn,
        drawn_max=3 * drawn,
        drawn_rms_most=drawn,
        drawn_max_most=3 * drawn,
        runs=2,
    )


def row(level: str, found: Measure) -> Parity:
    output: OutputParity = judge_floats("y", "float32", (found,), LIMITS)
    return Parity("cpu", level, output.verdict, outputs=(output,))


def test_the_row_without_optimisation_is_settled_though_the_other_fails() -> None:
    asked: list[tuple[str, int]] = []

    def again(regime: str, draws: int) -> list[Parity]:
        asked.append((regime, draws))
        return [row("disabled", measure(1e-6, 1e-6)), row("all", measure(1.0, 1e-6))]

    before = (row("disabled", measure(1e-6)), row("all", measure(1.0)))
    assert [item.verdict for item in before] == [Verdict.FAIL, Verdict.FAIL]
    rows, most = settled(before, again, LIMITS, approximates=False)
    assert [item.verdict for item in rows] == [Verdict.PASS, Verdict.FAIL]
    assert most == asked[-1][1]


def test_where_both_are_far_beyond_nothing_is_simulated() -> None:
    def again(regime: str, draws: int) -> list[Parity]:
        raise AssertionError(f"{draws} runs on {regime} inputs")

    both = (row("disabled", measure(0.5)), row("all", measure(0.5)))
    assert settled(both, again, LIMITS, approximates=False) == (both, 0)
