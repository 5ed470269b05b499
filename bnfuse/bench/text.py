"""A comparison for a person: one line a model, and whether the difference is one."""

from __future__ import annotations

__all__ = ["render"]

from typing import TYPE_CHECKING

from bnfuse.bench.result import Difference
from bnfuse.columns import Column, print_table
from bnfuse.wording import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from bnfuse.bench.result import Comparison, Contestant

_STYLES = {Difference.FASTER: "green", Difference.SLOWER: "red", Difference.NOISE: "yellow"}


def render(comparison: Comparison, console: Console) -> None:
    """Print ``comparison``."""
    from rich.box import SIMPLE

    several = len(comparison.contestants) > 1
    titles = ("median", "memory", "file", *(("over the first", "") if several else ()))
    columns = [Column("model", flexible=True), *(Column(title, number=True) for title in titles)]
    rows = [
        [
            label,
            *_cells(comparison, contestant),
            *(_against(comparison, contestant) if several else ()),
        ]
        for label, contestant in zip(_labels(comparison), comparison.contestants, strict=True)
    ]
    print_table(console, columns, rows, SIMPLE)
    for line in _lines(comparison):
        console.print(printable(line), highlight=False, markup=False, soft_wrap=True)


def _labels(comparison: Comparison) -> list[str]:
    paths = [contestant.path for contestant in comparison.contestants]
    names = [path.name for path in paths]
    return names if len(set(names)) == len(set(paths)) else [str(path) for path in paths]


def _cells(comparison: Comparison, contestant: Contestant) -> list[str]:
    seconds = contestant.seconds
    unit, factor = ("ms", 1e3) if comparison.contestants[0].seconds.median >= 1e-3 else ("µs", 1e6)
    half = (seconds.upper_quartile - seconds.lower_quartile) / 2
    return [
        f"{_three_digits(seconds.median * factor)} ±{_three_digits(half * factor)} {unit}",
        "" if contestant.memory is None else f"{contestant.memory.peak / 2**20:,.0f} MiB",
        f"{contestant.bytes / 1e6:,.2f} MB",
    ]


def _three_digits(number: float) -> str:
    return f"{number:,.{2 if number < 10 else 1 if number < 100 else 0}f}"


def _against(comparison: Comparison, contestant: Contestant) -> list[Text | str]:
    if contestant is comparison.contestants[0]:
        return ["", ""]
    from rich.text import Text

    ratio, difference = contestant.ratio, comparison.difference(contestant)
    return [
        f"{ratio.value:.3f} ({ratio.low:.3f}–{ratio.high:.3f})",
        Text(difference.value, style=_STYLES[difference]),
    ]


def _lines(comparison: Comparison) -> list[str]:
    inputs = ", ".join(f"{name} {list(shape)}" for name, shape in comparison.inputs.items())
    lines = [
        f"{comparison.rounds} rounds, interleaved; {comparison.provider}, {_threads(comparison)}; "
        f"{inputs}; onnxruntime {comparison.runtime}",
        "median ± half the interquartile range; ratios of paired runs with 95 % confidence",
    ]
    if comparison.control is not None:
        control = comparison.control
        lines.append(
            "noise: the first model over itself, in a second session, "
            f"{control.value:.3f} ({control.low:.3f}–{control.high:.3f})"
        )
    if any(contestant.memory is not None for contestant in comparison.contestants):
        lines.append("memory: the peak of a process of its own that opens the model and runs it")
    return lines + [f"note: {note}" for note in comparison.notes]


def _threads(comparison: Comparison) -> str:
    return f"{comparison.threads} thread{'s' if comparison.threads > 1 else ''}"
