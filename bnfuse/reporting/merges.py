"""The linear maps that became one, as a person reads them."""

from __future__ import annotations

__all__ = ["merge_lines"]

from typing import TYPE_CHECKING

from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bnfuse.folding import Merge
    from bnfuse.reporting.data import Report

_ROWS = 8
"""Merges listed without ``-v``."""


def merge_lines(report: Report, verbosity: int) -> Iterator[Text]:
    """What merged, with its cost before and after; with ``-v`` also what did not, and why."""
    merges = report.merges
    if merges:
        before, after = (sum(len(m.parts) for m in merges), len(merges))
        yield Text.assemble(("merged ", "bold"), f"{before} linear maps into {after}")
    shown = merges if verbosity else merges[:_ROWS]
    yield from (Text(f"       {_line(merge)}") for merge in shown)
    if len(shown) < len(merges):
        yield Text(f"… and {len(merges) - len(shown)} more (-v lists them all)", style="dim")
    if verbosity:
        for refusal in report.unmerged:
            yield Text(f"apart  {_joined(refusal.parts)}: {refusal.reason}", style="dim")


def _line(merge: Merge) -> str:
    parts = _joined(merge.parts)
    if merge.kind == "padding":
        return f"{parts} → {merge.into}"
    return (
        f"{parts} → one {merge.into}: "
        f"FLOPs {merge.before.flops:,} → {merge.after.flops:,} a position, "
        f"bytes {merge.before.bytes:,} → {merge.after.bytes:,}"
    )


def _joined(parts: tuple[str, ...]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]])
