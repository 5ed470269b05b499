"""The tables of what a fold costs, and the picture of how that grows."""

from __future__ import annotations

__all__ = ["plot", "print_curves", "print_huge", "print_processes"]

import statistics
from typing import TYPE_CHECKING, Any

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from rich.console import Console


def print_processes(console: Console, processes: Mapping[str, Any]) -> None:
    """A row a command, beside reading and writing the file; then what the proof adds."""
    table = Table(
        title=f"{processes['bytes'] / 1e6:.0f} MB ResNet-50 with hand-written norm, whole process, "
        f"median of {processes['rounds']}",
        title_justify="left",
    )
    table.add_column("")
    for title in ("wall", "processor", "peak memory", "processor ×", "memory ×"):
        table.add_column(title, justify="right")
    first = _medians(next(iter(processes["costs"].values())))
    for name, costs in processes["costs"].items():
        if costs is None:
            table.add_row(name, "not installed")
        else:
            table.add_row(name, *_cells(_medians(costs), first))
    if processes["verified"] is not None:
        table.add_section()
        table.add_row("bnfuse fold, verified", *_cells(_medians([processes["verified"]]), first))
    console.print(table)


def print_curves(console: Console, curves: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """A table a family of graphs, a row a size."""
    for name, points in curves.items():
        table = Table(title=f"{name}: seconds of each stage", title_justify="left")
        for title in ("size", "nodes", "left", *points[0]["seconds"], "µs a node"):
            table.add_column(title, justify="right")
        for point in points:
            seconds, nodes = point["seconds"], point["nodes"]
            table.add_row(
                f"{point['size']:,}",
                f"{nodes['before']:,}",
                f"{nodes['after']:,}",
                *(f"{value:.2f}" for value in seconds.values()),
                f"{_per_node(point):.0f}",
            )
        console.print(table)


def print_huge(console: Console, huge: Mapping[str, Any]) -> None:
    """One sentence: nothing is compared with it, since few tools hold such a model."""
    console.print(
        f"{huge['bytes'] / 1e9:.2f} GB in {huge['layers']} layers, external data: folded in "
        f"{huge['cpu']:.0f} s of processor time, {huge['peak'] / 2**20:,.0f} MiB at most; "
        "checked by its path, weights right."
    )


def plot(curves: Mapping[str, Sequence[Mapping[str, Any]]], file: Path) -> None:
    """Microseconds a node over the number of nodes: a linear cost is a level line."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5))
    for name, points in curves.items():
        nodes = [point["nodes"]["before"] for point in points]
        axes.plot(nodes, [_per_node(point) for point in points], marker="o", label=name)
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("nodes of the graph")
    axes.set_ylabel("µs a node, all stages")
    axes.set_title("What a fold costs as the graph grows")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(file, dpi=120, metadata={"Software": None})
    pyplot.close(figure)


def _medians(costs: Sequence[Mapping[str, float]]) -> tuple[float, float, float]:
    wall, cpu, peak = (statistics.median(c[key] for c in costs) for key in ("wall", "cpu", "peak"))
    return wall, cpu, peak


def _cells(
    cost: tuple[float, float, float], first: tuple[float, float, float]
) -> tuple[str, str, str, str, str]:
    wall, cpu, peak = cost
    return (
        f"{wall:.2f} s",
        f"{cpu:.2f} s",
        f"{peak / 2**20:,.0f} MiB",
        f"{cpu / first[1]:.2f}",
        f"{peak / first[2]:.2f}",
    )


def _per_node(point: Mapping[str, Any]) -> float:
    seconds: float = sum(point["seconds"].values())
    return seconds / float(point["nodes"]["before"]) * 1e6
