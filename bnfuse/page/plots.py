"""Plots that need no script: dots and bars on a scale, each row in words too."""

from __future__ import annotations

__all__ = ["error_plot", "latency_plot"]

import math
from typing import TYPE_CHECKING, Any

from bnfuse.page.markup import disclosed, table, text
from bnfuse.page.words import number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bnfuse.page.errors import ErrorRow

_MARGIN = 2.0
"""Per cent of a track that its ends keep clear."""


def error_plot(rows: Sequence[ErrorRow]) -> str:
    """Each output's error on a logarithmic scale, with the part that is allowed drawn in."""
    sizes = [s for row in rows for s in (row.original, row.candidate, row.bound) if s > 0.0]
    sizes = [size for size in sizes if math.isfinite(size)]
    if not sizes:
        return "<p>No output that holds floats was measured.</p>"
    low, high = math.floor(math.log10(min(sizes))), math.ceil(math.log10(max(sizes)))
    high = max(high, low + 1)

    def x(size: float) -> float:
        if not size > 0.0:
            return _MARGIN
        part = (math.log10(min(size, 10.0**high)) - low) / (high - low)
        return _MARGIN + (100.0 - 2 * _MARGIN) * min(max(part, 0.0), 1.0)

    step = max(1, (high - low) // 6)
    marks = [(1, exponent) for exponent in range(low, high + 1, step)]
    if high - low == 1:
        marks[1:1] = [(2, low), (5, low)]
    grid = "".join(_line(x(n * 10.0**exponent), 0, 100, "grid") for n, exponent in marks)
    ticks = "".join(
        f'<text x="{x(n * 10.0**exponent):.2f}%" y="12" class="tick" text-anchor="middle">'
        f"{_power(n, exponent)}</text>"
        for n, exponent in marks
    )
    drawn = "".join(_error_row(row, grid, x) for row in rows)
    heads = ("output", "where", "original", "candidate", "allowed", "used", "verdict")
    numbers = table(
        "Error of each output",
        heads,
        [
            (
                text(row.output),
                text(row.where),
                number(row.original),
                number(row.candidate),
                number(row.bound) if row.bound else "–",
                f"{row.usage:.0%}",
                row.verdict,
            )
            for row in rows
        ],
    )
    return (
        '<p class="key" aria-hidden="true"><span class="mark original"></span> original '
        '<span class="mark candidate"></span> folded '
        '<span class="mark allowed"></span> allowed</p>'
        f'<ul class="plot">{drawn}<li class="axis" aria-hidden="true">'
        f'<svg class="track ticks" width="100%" height="16">{ticks}</svg>'
        "<p>rms distance from float64 truth, over truth’s rms</p></li></ul>"
        + disclosed("The same as a table", f'<div class="scroll">{numbers}</div>')
    )


def _error_row(row: ErrorRow, grid: str, x: Any) -> str:
    bound = ""
    if row.bound:
        end = x(row.bound)
        bound = f'<rect x="0" y="4" width="{end:.2f}%" height="24" class="allowed"/>' + _line(
            end, 4, 28, "bound"
        )
    a, b = x(row.original), x(row.candidate)
    marks = (
        f'<circle cx="{a:.2f}%" cy="16" r="5" class="original"/>'
        f'<circle cx="{b:.2f}%" cy="16" r="5" class="candidate"/>'
    )
    allowed = f", allowed up to {number(row.bound)}" if row.bound else ""
    words = (
        f"folded {number(row.candidate)}, original {number(row.original)}{allowed}; "
        f"{row.usage:.0%} of its closest allowance used"
    )
    why = f'<p class="why">{text(row.reason)}</p>' if row.reason else ""
    return (
        f'<li><p class="row-name"><b>{text(row.output)}</b> {text(row.where)} '
        f'<span class="badge {row.verdict.lower()}">{row.verdict}</span></p>'
        f'<svg class="track" width="100%" height="32" aria-hidden="true">{bound}{grid}{marks}</svg>'
        f'<p class="row-words">{text(words)}</p>{why}</li>'
    )


def latency_plot(bench: dict[str, Any]) -> str:
    """A bar for each model: the median of its times, with the quartiles drawn in."""
    models = bench["models"]
    most = max(model["seconds"]["upper_quartile"] for model in models) or 1.0

    def x(seconds: float) -> float:
        return 96.0 * seconds / most

    drawn, cells = [], []
    for model in models:
        seconds, ratio = model["seconds"], model["ratio"]
        low, high = x(seconds["lower_quartile"]), x(seconds["upper_quartile"])
        against = "the first: the others are compared with it"
        if ratio is not None:
            against = (
                f"{ratio['value']:.2f} times the first’s time "
                f"({ratio['low']:.2f} to {ratio['high']:.2f}): {model['difference']}"
            )
        milliseconds = f"{seconds['median'] * 1e3:.4g} ms"
        drawn.append(
            f'<li><p class="row-name"><b>{text(model["path"])}</b> {milliseconds}</p>'
            '<svg class="track" width="100%" height="32" aria-hidden="true">'
            f'<rect x="0" y="4" width="{x(seconds["median"]):.2f}%" height="24" class="bar"/>'
            f'<line x1="{low:.2f}%" x2="{high:.2f}%" y1="16" y2="16" class="spread"/>'
            f"{_line(low, 11, 21, 'spread')}{_line(high, 11, 21, 'spread')}</svg>"
            f'<p class="row-words">{text(against)}</p></li>'
        )
        times = (seconds[key] for key in ("lower_quartile", "median", "upper_quartile", "least"))
        cells.append((text(model["path"]), *(f"{t * 1e3:.4g} ms" for t in times), text(against)))
    heads = ("model", "lower quartile", "median", "upper quartile", "least", "compared")
    threads = "1 thread" if bench["threads"] == 1 else f"{bench['threads']} threads"
    return (
        f"<p>ONNX Runtime {text(bench['onnxruntime'])}, {text(bench['provider'])}, {threads}, "
        f"{bench['rounds']} rounds. A bar is the median, the line on it runs from quartile to "
        f'quartile.</p><ul class="plot">{"".join(drawn)}</ul>'
        + disclosed(
            "The same as a table",
            f'<div class="scroll">{table("Latency of each model", heads, cells)}</div>',
        )
    )


def _line(x: float, top: float, bottom: float, kind: str) -> str:
    end = "100%" if bottom == 100 else f"{bottom}"
    return f'<line x1="{x:.2f}%" x2="{x:.2f}%" y1="{top}" y2="{end}" class="{kind}"/>'


def _power(factor: int, exponent: int) -> str:
    digits = str(abs(exponent)).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{'' if factor == 1 else f'{factor}·'}10{'⁻' if exponent < 0 else ''}{digits}"
