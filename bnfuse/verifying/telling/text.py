"""A verification for a person: what was compared, where, and what decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bnfuse.columns import Column, print_table
from bnfuse.verdict import Verdict
from bnfuse.wording import printable

if TYPE_CHECKING:
    from rich.console import Console

    from bnfuse.verifying.verdicts.result import OutputParity, Parity, Verification

__all__ = ["render"]

_STYLES = {Verdict.PASS: "green", Verdict.FAIL: "bold red", Verdict.INCONCLUSIVE: "yellow"}
_PLACES = 8


def render(result: Verification, console: Console, verbosity: int = 0) -> None:
    """Print ``result``; with ``verbosity`` the samples and branches too."""

    def say(text: str) -> None:
        console.print(printable(text), highlight=False, markup=False, soft_wrap=True)

    if result.rows:
        _print_rows(result, console)
    for row in result.rows:
        if row.reason:
            say(f"{_title(row)}: {row.reason}")
        if verbosity and row.placement:
            say(f"{_title(row)} ran {row.placement}")
    for line in _failure_lines(result):
        say(line)
    bad = [item for item in result.constants if item.verdict is not Verdict.PASS]
    if result.constants:
        say(f"folded constants: {len(result.constants)} checked, {len(bad)} wrong")
    for item in bad[:_PLACES]:
        say(f"  {item.tensor}: {item.reason}")
    for line in _localized_lines(result):
        say(line)
    if result.proof is not None:
        say(f"proof: {result.proof}")
    say(f"truth: {result.truth.kind}, {result.truth.seconds:.2f} s{_detail(result)}")
    count = len(result.samples)
    say(f"inputs: seed {result.seed}, {count} sample{'' if count == 1 else 's'}")
    if verbosity:
        for label in result.samples:
            say(f"  {label}")
        for branch in result.branches:
            sides = ", ".join(f"{side} {count:,}" for side, count in branch.sides.items())
            say(f"  {branch.op} {branch.node}: {sides}")
    for skipped in result.skipped:
        say(f"skipped {skipped}")
    for warning in result.warnings:
        say(f"note: {warning}")
    style = _STYLES[result.verdict]
    console.print(f"[{style}]{result.verdict.value}[/]", end=" ", highlight=False)
    say(result.reason)


def _print_rows(result: Verification, console: Console) -> None:
    from rich.box import SIMPLE
    from rich.text import Text

    columns = (
        *map(Column, ("provider", "optimisation", "output")),
        *(Column(name, number=True) for name in ("original", "candidate", "ratio")),
        Column("verdict"),
    )
    rows: list[list[Text | str]] = []
    for row in result.rows:
        outputs = [(item.name, *_numbers(item), item.verdict) for item in row.outputs]
        for *cells, verdict in outputs or [("", "", "", "", row.verdict)]:
            styled = Text(verdict.value, style=_STYLES[verdict])
            rows.append([row.provider, _level(row), *cells, styled])
    print_table(console, columns, rows, SIMPLE)


def _numbers(output: OutputParity) -> tuple[str, str, str]:
    if not output.measures:
        # Nothing was measured: the value is no float, or another gate decided.
        return ("exact", "exact", "") if output.verdict is Verdict.PASS else ("", "", "")
    return (
        f"{output.error_original:.2e}",
        f"{output.error_candidate:.2e}",
        f"{output.ratio:.2f}",
    )


def _failure_lines(result: Verification) -> list[str]:
    lines = []
    for row in result.rows:
        for output in row.outputs:
            if output.verdict is not Verdict.FAIL:
                continue
            worst = output.worst
            if worst is not None:
                lines.append(
                    f"  worst element of {output.name!r}: {list(worst.index)} of {worst.sample}: "
                    f"truth {worst.truth:.9g}, original {worst.original:.9g}, "
                    f"candidate {worst.candidate:.9g}, {worst.ratio:.3g} times the original's error"
                )
            if output.tolerance > result.thresholds.factor:
                lines.append(
                    f"  it would have passed at factor {output.tolerance:.3g}; the factor is "
                    f"{result.thresholds.factor:g}"
                )
    # The same failure on several rows needs one explanation.
    return list(dict.fromkeys(lines))


def _localized_lines(result: Verification) -> list[str]:
    if not result.localized:
        return []
    worst = max(result.localized, key=lambda item: item.introduced)
    lines = ["where they part (value: error that arrives, error introduced):"]
    start = next(i for i, item in enumerate(result.localized) if item is worst)
    shown = result.localized[max(0, start - 2) : start + _PLACES]
    for item in shown:
        mark = "  <- introduced here" if item is worst else ""
        lines.append(f"  {item.name}: {item.arriving:.2e}, {item.introduced:.2e}{mark}")
    return lines


def _title(row: Parity) -> str:
    return f"{row.provider}, optimisation {_level(row)}"


def _level(row: Parity) -> str:
    return row.optimization if row.decides else f"{row.optimization} ({row.mode})"


def _detail(result: Verification) -> str:
    return f" ({result.truth.detail})" if result.truth.detail else ""
