"""The report as a person reads it: a table of norms, what changed, and the proof."""

from __future__ import annotations

from bnfuse.verdict import Verdict

__all__ = ["render", "render_plan"]

import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from bnfuse.lifting.sites import Kind
from bnfuse.reporting.data import Report, SiteReport
from bnfuse.reporting.merges import merge_lines
from bnfuse.reporting.sites import print_sites
from bnfuse.target import STDOUT

if TYPE_CHECKING:
    from rich.console import Console


def render(report: Report, console: Console, verbosity: int = 0) -> None:
    """Print the report to a console.

    Args:
        report: The report.
        console: Where to print; plain text where it is not a terminal.
        verbosity: 1 lists every site, scalars and biases included.
    """
    _print_norms(report, console, verbosity)
    if report.verification is not None:
        from bnfuse.verifying.telling.text import render as render_verification

        render_verification(report.verification, console, verbosity)
    console.print(Group(*_result(report)), highlight=False)
    for line in _paths(report):
        # A path or a command is for copying: only the terminal itself may break it.
        console.print(line, highlight=False, soft_wrap=True)


def render_plan(report: Report, console: Console, verbosity: int = 0) -> None:
    """Print what a fold would do, of a report that no model was written and judged for."""
    _print_norms(report, console, verbosity, heading="what would become of it")
    console.print(Group(*_notes(report)), highlight=False)


def _print_norms(report: Report, console: Console, verbosity: int, heading: str = "") -> None:
    sites = _listed(report, verbosity)
    if sites:
        console.print()
        print_sites(sites, console, verbosity, heading)
        console.print()
    console.print(Group(*_summary(report, verbosity, bool(heading))), highlight=False)


def _listed(report: Report, verbosity: int) -> list[SiteReport]:
    sites = [
        site
        for site in report.sites
        if verbosity or site.kind == Kind.NORM.value or (site.folded and site.into)
    ]
    return sorted(sites, key=lambda site: site.folded)


def _summary(report: Report, verbosity: int, planned: bool) -> Iterator[RenderableType]:
    norms = report.norms
    folded = sum(site.folded for site in norms)
    would, be = ("would fold", "would be ") if planned else ("folded", "")
    yield Text.assemble(
        ("norms  ", "bold"), f"{folded} of {len(norms)} {would}, {len(norms) - folded} {be}left"
    )
    if report.affines:
        yield Text.assemble(("affine ", "bold"), _of_normalizers(report.affines))
    yield from merge_lines(report, verbosity)
    yield Text.assemble(("nodes  ", "bold"), f"{report.ops.before} → {report.ops.after}")


def _of_normalizers(affines: Sequence[SiteReport]) -> str:
    folded = sum(site.folded for site in affines)
    told = f"the scale and shift of {folded} of {len(affines)} normalisers folded"
    return told if folded == len(affines) else f"{told}, the others stay in place (-v says why)"


def _result(report: Report) -> Iterator[RenderableType]:
    yield from _notes(report)
    if report.verification is None:
        yield Text("NOT VERIFIED", style="bold yellow")
    if report.blame is not None:
        yield Text.assemble(("blame  ", "bold red"), str(report.blame))


def _notes(report: Report) -> Iterator[Text]:
    return (Text(f"note: {note}", style="dim") for note in report.notes)


def _paths(report: Report) -> Iterator[Text]:
    before, after = report.bytes.before, report.bytes.after
    size = f"{after / 1e6:.2f} MB ({after - before:+,} bytes)"
    size += ", in the place of an earlier file" if report.replaced else ""
    where = "stdout" if report.output == STDOUT else report.output or "not written"
    yield Text.assemble(("model  ", "bold"), (where, "bold"), f"  {size}")
    if report.output not in (None, STDOUT) and report.verdict is Verdict.PASS:
        yield Text.assemble(("next   ", "bold"), shlex.join(_next(report)))
    if report.verdict is Verdict.FAIL and report.blame is None and report.output is not None:
        what = "the same command with --localize says which rule is to blame"
        yield Text.assemble(("next   ", "bold"), what)


def _next(report: Report) -> list[str]:
    return ["bnfuse", "verify", report.source, str(report.output), *report.load_flags]
