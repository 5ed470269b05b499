"""The coverage table for a person, and the plot of its times."""

from __future__ import annotations

__all__ = ["plot", "render"]

from typing import TYPE_CHECKING, Any

from rich.table import Table

from benchmarks.tools import TOOLS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

_NAMES = tuple(tool.name for tool in TOOLS)


def render(rows: Sequence[dict[str, Any]], console: Console) -> None:
    """Print one table a spelling; a cell is what is left, and the time over the norm-free net."""
    for spelling in dict.fromkeys(row["spelling"] for row in rows):
        table = Table(
            title=f"{spelling}: elementwise ops left, time over the net without norms",
            title_justify="left",
        )
        table.add_column("architecture")
        table.add_column("norms", justify="right")
        for name in _NAMES:
            table.add_column(name, justify="right")
        for row in rows:
            if row["spelling"] == spelling:
                table.add_row(row["architecture"], *_cells(row))
        console.print(table)


def _cells(row: dict[str, Any]) -> list[str]:
    if "failed" in row:
        return ["", row["failed"]]
    return [str(row["norms"]), *(_cell(row["tools"][name]) for name in _NAMES)]


def _cell(found: dict[str, Any]) -> str:
    if found.get("missing"):
        return "not installed"
    if "failed" in found:
        return "[red]fails[/]"
    text = f"{found['left']} · {found['ratio']:.2f}"
    return f"[red]wrong[/] {text}" if found["wrong"] else text


def plot(rows: Sequence[dict[str, Any]], file: Path) -> None:
    """One panel a spelling: a point for each architecture and tool, with its interval."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    spellings = list(dict.fromkeys(row["spelling"] for row in rows if "tools" in row))
    figure, panels = pyplot.subplots(
        1, len(spellings), figsize=(7 * len(spellings), 8), sharey=True, squeeze=False
    )
    for axes, spelling in zip(panels[0], spellings, strict=True):
        shown = [row for row in rows if row["spelling"] == spelling and "tools" in row]
        for number, name in enumerate(_NAMES):
            points = [
                (position, row["tools"][name])
                for position, row in enumerate(shown)
                if "ratio" in row["tools"][name]
            ]
            if not points:
                continue
            axes.errorbar(
                [found["ratio"] for _, found in points],
                [position + 0.08 * (number - len(_NAMES) / 2) for position, _ in points],
                xerr=[
                    [found["ratio"] - found["low"] for _, found in points],
                    [found["high"] - found["ratio"] for _, found in points],
                ],
                fmt="o" if name != "bnfuse" else "D",
                markersize=4,
                label=name,
            )
        axes.axvline(1.0, color="black", linewidth=0.8)
        axes.set_yticks(range(len(shown)), [row["architecture"] for row in shown])
        axes.set_xlabel("time over the same net without norms (95 % interval)")
        axes.set_title(f"norm: {spelling}")
        axes.grid(axis="x", alpha=0.3)
    panels[0][0].invert_yaxis()
    panels[0][-1].legend(loc="lower right")
    figure.tight_layout()
    figure.savefig(file, dpi=120, metadata={"Software": None})
    pyplot.close(figure)
