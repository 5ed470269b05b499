"""The report as a person reads it: a table of norms, what changed, and the proof."""

from __future__ import annotations

__all__ = ["render"]

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bnfuse.lifting.sites import Kind
from bnfuse.reporting.data import Report, SiteReport
from bnfuse.reporting.merges import merge_lines
from bnfuse.target import STDOUT

if TYPE_CHECKING:
    from rich.console import Console

_NAMES = 6
"""Nodes named of those that took a norm."""

_ROWS = 40
"""Norms listed without ``-v``; those that are left come first."""


def render(report: Report, console: Console, verbosity: int = 0) -> None:
    """Print the report to a console.

    Args:
        report: The report.
        console: Where to print; plain text where it is not a terminal.
        verbosity: 1 lists every site, scalars and biases included.
    """
    console.print(Group(*_folds(report, verbosity)), highlight=False)
    if report.verification is not None:
        from bnfuse.verifying.text import render as render_verification

        render_verification(report.verification, console, verbosity)
    console.print(Group(*_result(report)), highlight=False)


def _folds(report: Report, verbosity: int) -> Iterator[RenderableType]:
    sites = _listed(report, verbosity)
    if sites:
        shown = sites if verbosity else sites[:_ROWS]
        yield Padding(_sites_table(shown), (1, 0, 1, 0))
        if len(shown) < len(sites):
            yield Text(f"… and {len(sites) - len(shown)} more (-v lists them all)", style="dim")
    yield from _summary(report, verbosity)


def _listed(report: Report, verbosity: int) -> list[SiteReport]:
    sites = [
        site
        for site in report.sites
        if verbosity or site.kind == Kind.NORM.value or (site.folded and site.into)
    ]
    return sorted(sites, key=lambda site: site.folded)


def _sites_table(sites: list[SiteReport]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("norm", overflow="fold")
    table.add_column("spelt", overflow="fold")
    table.add_column("", width=1)
    table.add_column("what became of it", overflow="fold")
    for site in sites:
        mark = "[green]✓[/]" if site.folded else "[yellow]·[/]"
        table.add_row(escape(site.module or site.name), _spelling(site), mark, _fate(site))
    return table


def _spelling(site: SiteReport) -> str:
    spelt = " ".join(site.spelling)
    # A normaliser loses only these: the row must not read as if it were gone itself.
    return f"scale and shift ({spelt})" if site.kind == Kind.AFFINE.value else spelt


def _fate(site: SiteReport) -> str:
    if not site.folded:
        return f"left: {escape(site.reason)}"
    if not site.into:
        return "it changes nothing: taken out"
    through = f", through {', '.join(site.through)}" if site.through else ""
    corrected = f", corrected in {_several(site.corrected)}" if site.corrected else ""
    return f"into {_several(site.into)}{through}{corrected}"


def _several(names: Sequence[str]) -> str:
    """The first of many names."""
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return escape(", ".join(names[:_NAMES])) + more


def _summary(report: Report, verbosity: int) -> Iterator[RenderableType]:
    norms = report.norms
    folded = sum(site.folded for site in norms)
    yield Text.assemble(
        ("norms  ", "bold"), f"{folded} of {len(norms)} folded, {len(norms) - folded} left"
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
    yield from (Text(f"note: {note}", style="dim") for note in report.notes)
    if report.verification is None:
        yield Text("NOT VERIFIED", style="bold yellow")
    if report.blame is not None:
        yield Text.assemble(("blame  ", "bold red"), str(report.blame))
    before, after = report.bytes.before, report.bytes.after
    size = f"{after / 1e6:.2f} MB ({after - before:+,} bytes)"
    size += ", in the place of an earlier file" if report.replaced else ""
    where = "stdout" if report.output == STDOUT else report.output or "not written"
    yield Text.assemble(("model  ", "bold"), (where, "bold"), f"  {size}")
    if report.output not in (None, STDOUT) and report.verdict == "PASS":
        yield Text.assemble(("next   ", "bold"), f"bnfuse verify {report.source} {report.output}")
    if report.verdict == "FAIL" and report.blame is None and report.output is not None:
        what = "the same command with --localize says which rule is to blame"
        yield Text.assemble(("next   ", "bold"), what)
