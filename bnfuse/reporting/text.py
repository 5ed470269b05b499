"""The report as a person reads it: a table of norms, what changed, and the proof."""

from __future__ import annotations

__all__ = ["render"]

import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from bnfuse.columns import Column, print_table
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
    sites = _listed(report, verbosity)
    if sites:
        shown = sites if verbosity else sites[:_ROWS]
        console.print()
        _print_sites(shown, console)
        console.print()
        if len(shown) < len(sites):
            more = f"… and {len(sites) - len(shown)} more (-v lists them all)"
            console.print(Text(more, style="dim"))
    console.print(Group(*_summary(report, verbosity)), highlight=False)
    if report.verification is not None:
        from bnfuse.verifying.telling.text import render as render_verification

        render_verification(report.verification, console, verbosity)
    console.print(Group(*_result(report)), highlight=False)
    for line in _paths(report):
        # A path or a command is for copying: only the terminal itself may break it.
        console.print(line, highlight=False, soft_wrap=True)


def _listed(report: Report, verbosity: int) -> list[SiteReport]:
    sites = [
        site
        for site in report.sites
        if verbosity or site.kind == Kind.NORM.value or (site.folded and site.into)
    ]
    return sorted(sites, key=lambda site: site.folded)


def _print_sites(sites: list[SiteReport], console: Console) -> None:
    columns = (
        *(Column(heading) for heading in ("norm", "spelt", "")),
        Column("what became of it", flexible=True),
    )
    rows: list[list[Text | str]] = [
        [
            site.module or site.name,
            _spelling(site),
            Text("✓", style="green") if site.folded else Text("·", style="yellow"),
            _fate(site),
        ]
        for site in sites
    ]
    print_table(console, columns, rows)


def _spelling(site: SiteReport) -> str:
    spelt = " ".join(site.spelling)
    # A normaliser loses only these: the row must not read as if it were gone itself.
    return f"scale and shift ({spelt})" if site.kind == Kind.AFFINE.value else spelt


def _fate(site: SiteReport) -> str:
    if not site.folded:
        return f"left: {site.reason}"
    if not site.into:
        return "it changes nothing: taken out"
    through = f", through {', '.join(site.through)}" if site.through else ""
    corrected = f", corrected in {_several(site.corrected)}" if site.corrected else ""
    return f"into {_several(site.into)}{through}{corrected}"


def _several(names: Sequence[str]) -> str:
    """The first of many names."""
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return ", ".join(names[:_NAMES]) + more


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


def _paths(report: Report) -> Iterator[Text]:
    before, after = report.bytes.before, report.bytes.after
    size = f"{after / 1e6:.2f} MB ({after - before:+,} bytes)"
    size += ", in the place of an earlier file" if report.replaced else ""
    where = "stdout" if report.output == STDOUT else report.output or "not written"
    yield Text.assemble(("model  ", "bold"), (where, "bold"), f"  {size}")
    if report.output not in (None, STDOUT) and report.verdict == "PASS":
        yield Text.assemble(("next   ", "bold"), shlex.join(_next(report)))
    if report.verdict == "FAIL" and report.blame is None and report.output is not None:
        what = "the same command with --localize says which rule is to blame"
        yield Text.assemble(("next   ", "bold"), what)


def _next(report: Report) -> list[str]:
    return ["bnfuse", "verify", report.source, str(report.output), *report.load_flags]
