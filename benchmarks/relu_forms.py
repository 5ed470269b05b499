"""In which form is a scale and a shift next to a Relu fastest in ONNX Runtime?

The forms of one family compute the same function (checked here, in float32) with the same
convolutions; they differ in what stands beside the Relu. What bnfuse emits for an affine that no
weight can take is decided by this table.

    python -m benchmarks.relu_forms [--rounds N] [--quick]
"""

from __future__ import annotations

__all__ = ["main"]

import argparse
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.environment import save
from benchmarks.relu_nets import FAMILIES, Case, build
from bnfuse.bench.sessions import open_runner
from bnfuse.bench.statistics import Ratio, paired_ratio
from bnfuse.bench.timing import Schedule, interleave

if TYPE_CHECKING:
    from collections.abc import Callable

_TOLERANCE = 2e-5
_WIDTH = 130

_CASES = tuple(
    Case(channels, size, kernel)
    for kernel in (1, 3)
    for channels, size in ((16, 56), (20, 56), (64, 28), (64, 56), (128, 14), (256, 7))
)
_QUICK = (Case(16, 56, 1), Case(64, 28, 3), Case(20, 28, 3))


def main() -> None:
    """Measure all families, print a table each, save the numbers."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.relu_forms", description=__doc__)
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--quick", action="store_true", help="three cases, not saved")
    arguments = parser.parse_args()
    console = Console(width=_WIDTH)
    schedule = Schedule(rounds=arguments.rounds)
    found = []
    for family in FAMILIES:
        cases = _QUICK if arguments.quick else _CASES
        rows = [_measure(family, case, schedule) for case in cases]
        _print(console, family, rows)
        found.extend(rows)
    if not arguments.quick:
        console.print(f"saved to {save('relu_forms', {'rounds': schedule.rounds, 'rows': found})}")


def _measure(family: str, case: Case, schedule: Schedule) -> dict[str, Any]:
    """Times of all forms of one family, relative to the first, which has no affine at all."""
    models = build(family, case)
    x = np.random.default_rng(0).standard_normal(case.shape(family)).astype(np.float32)
    runners = {name: open_runner(model, "cpu", 1, name) for name, model in models.items()}
    _check({name: runner.run({"x": x})[0] for name, runner in runners.items()}, family, case)
    calls: list[Callable[[], object]] = [
        partial(runner.session.run, None, {"x": x}) for runner in runners.values()
    ]
    # The process's own time: with one thread it is the wall's, less what other programs took.
    seconds = interleave(calls, schedule, clock=time.process_time)
    ratios = [paired_ratio(samples, seconds[0]) for samples in seconds]
    return {
        "family": family,
        **case.to_json(),
        "forms": {
            name: {
                "median_s": float(np.median(samples)),
                "ratio": ratio.value,
                "low": ratio.low,
                "high": ratio.high,
            }
            for name, samples, ratio in zip(models, seconds, ratios, strict=True)
        },
    }


def _check(outputs: dict[str, np.ndarray[Any, Any]], family: str, case: Case) -> None:
    """The forms are the same function; only the first, without the affine, is another."""
    forms = list(outputs)[1:]
    reference = outputs[forms[0]]
    for form in forms[1:]:
        error = np.abs(outputs[form] - reference).max() / np.abs(reference).max()
        if not error < _TOLERANCE:
            raise AssertionError(f"{family}, {case}: {form} is off by {error:.1e}")


def _print(console: Console, family: str, rows: list[dict[str, Any]]) -> None:
    table = Table(
        title=f"{family}: time over the same net without the affine", title_justify="left"
    )
    table.add_column("net")
    for form in rows[0]["forms"]:
        table.add_column(form, justify="right")
    for row in rows:
        title = f"{row['channels']} × {row['size']}², {row['kernel']}×{row['kernel']}"
        table.add_row(title, *_cells(row["forms"]))
    console.print(table)


def _cells(forms: dict[str, dict[str, float]]) -> list[str]:
    first, *others = forms.values()
    cells = [f"{first['median_s'] * 1e3:.3f} ms"]
    for form in others:
        ratio = Ratio(form["ratio"], form["low"], form["high"])
        cells.append(f"{ratio.value:.2f} ±{(ratio.high - ratio.low) / 2:.2f}")
    return cells


if __name__ == "__main__":
    main()
