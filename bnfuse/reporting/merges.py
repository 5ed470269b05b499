"""The linear maps that became one, as a person reads them."""

from __future__ import annotations

__all__ = ["merge_lines"]

from collections import Counter
from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from bnfuse.folding import Merge
    from bnfuse.reporting.data import Report

_ROWS = 8
"""Merges listed without ``-v``."""
_INDENT = 7
_KINDS = {
    "parallel": ("set of parallel branches", "sets of parallel branches"),
    "sequence": ("sequence", "sequences"),
    "padding": ("Pad into its Conv", "Pads into their Convs"),
}


def merge_lines(report: Report, verbosity: int) -> Iterator[RenderableType]:
    """What merged, with its cost before and after; with ``-v`` also what did not, and why."""
    if report.merges:
        yield Text.assemble(("merged ", "bold"), _counts(report.merges))
    # That a Pad is gone needs no line of its own.
    merges = [merge for merge in report.merges if verbosity or merge.kind != "padding"]
    shown = merges if verbosity else merges[:_ROWS]
    for merge in shown:
        yield Padding(Text(_line(merge)), (0, 0, 0, _INDENT), expand=False)
    if len(shown) < len(merges):
        yield Text(f"… and {len(merges) - len(shown)} more (-v lists them all)", style="dim")
    for refusal in report.unmerged if verbosity else ():
        yield Text(f"apart  {_joined(refusal.parts)}: {refusal.reason}", style="dim")


def _counts(merges: tuple[Merge, ...]) -> str:
    found = Counter(merge.kind for merge in merges)
    return ", ".join(f"{n} {_KINDS[kind][n != 1]}" for kind, n in found.items())


def _line(merge: Merge) -> str:
    became = f"{_joined(merge.parts)} → one {merge.into}"
    if merge.kind == "padding":
        return became
    return (
        f"{became}: FLOPs {merge.before.flops:,} → {merge.after.flops:,} a position, "
        f"bytes {merge.before.bytes:,} → {merge.after.bytes:,}"
    )


def _joined(parts: tuple[str, ...]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]])
