"""Loss and held-out accuracy of a comparison, side by side in one picture."""

from __future__ import annotations

__all__ = ["plot", "require_matplotlib"]

from typing import TYPE_CHECKING, Any

from bnfuse.models.comparison import MILESTONES
from bnfuse.packages import require
from bnfuse.target import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from bnfuse.models.comparison import Comparison

_INK = "#1f2933"
_SOFT = "#616e7c"
_FAINT = "#9aa5b1"
_WITH = "#0b7285"
_WITHOUT = "#e8590c"


def plot(comparison: Comparison, path: Path) -> None:
    """Draw both trainings into a PNG of 1600×760 pixels; no display is needed.

    Raises:
        UsageError: If matplotlib is not installed.
        OutputError: If the file cannot be written.
    """
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullLocator

    figure = Figure(figsize=(10, 4.75), dpi=160, facecolor="white")
    FigureCanvasAgg(figure)
    losses, accuracies = figure.subplots(1, 2)
    figure.subplots_adjust(left=0.065, right=0.975, top=0.79, bottom=0.12, wspace=0.18)
    schedule = comparison.schedule
    figure.text(
        0.065,
        0.925,
        f"{comparison.name}, with and without batch norm",
        fontsize=15,
        weight="bold",
        color=_INK,
    )
    figure.text(
        0.065,
        0.87,
        f"handwritten digits, 8×8 · Adam, learning rate {schedule.lr:g}, batch"
        f" {schedule.batch_size}, seed {schedule.seed} for both",
        fontsize=9.5,
        color=_SOFT,
    )
    _draw(losses, comparison, "loss")
    losses.set_title("training loss (nats, log scale)", loc="left", fontsize=10.5, color=_INK)
    losses.set_yscale("log")
    losses.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    losses.yaxis.set_major_formatter("{x:g}")
    losses.yaxis.set_minor_locator(NullLocator())
    _draw(accuracies, comparison, "accuracy")
    accuracies.set_title("held-out accuracy (%)", loc="left", fontsize=10.5, color=_INK)
    accuracies.set_ylim(_floor(comparison), 101)
    for milestone in MILESTONES:
        accuracies.axhline(100 * milestone, color=_FAINT, linewidth=0.9, linestyle=(0, (2, 3)))
    lines, labels = accuracies.get_legend_handles_labels()
    figure.legend(
        lines,
        labels,
        loc="upper right",
        bbox_to_anchor=(0.985, 0.985),
        frameon=False,
        fontsize=10.5,
        labelcolor=_INK,
    )
    write_whole(path, lambda file: figure.savefig(file, format="png"))


def _floor(comparison: Comparison) -> float:
    """Where the axis of accuracies starts: zero, or nearer if both trainings stay well above."""
    runs = (comparison.with_norm, comparison.without)
    lowest = min(100 * epoch.accuracy for run in runs for epoch in run.epochs)
    return 0.0 if lowest < 50 else 10 * (lowest // 10) - 10


def require_matplotlib() -> None:
    """Find out before the work whether a plot can be drawn after it.

    Raises:
        UsageError: If matplotlib is not installed.
    """
    require("Plotting", "matplotlib")


def _draw(axes: Any, comparison: Comparison, quantity: str) -> None:
    runs = (
        (comparison.with_norm, f"with norm ({comparison.norm})", _WITH),
        (comparison.without, "without", _WITHOUT),
    )
    for training, label, color in runs:
        factor = 100 if quantity == "accuracy" else 1
        numbers = [epoch.number for epoch in training.epochs]
        values = [factor * getattr(epoch, quantity) for epoch in training.epochs]
        if quantity == "accuracy":
            label = f"{label}: {values[-1]:.1f} % in the end"
        axes.plot(numbers, values, color=color, linewidth=2, marker="o", markersize=4, label=label)
    axes.set_xlabel("epoch", color=_INK)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.tick_params(colors=_INK, labelsize=9)
    axes.grid(axis="y", color=_FAINT, alpha=0.25, linewidth=0.7)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(_FAINT)
