"""A result as a notebook shows it: the verdict, the net drawn small, the norms; no script.

A notebook's host may strip the style sheet, so the drawing carries its colours itself.
"""

from __future__ import annotations

__all__ = ["glance"]

from typing import TYPE_CHECKING, Any

from bnfuse.page.drawing import Net, net_of
from bnfuse.page.errors import error_rows
from bnfuse.page.markup import asset, disclosed, table, text
from bnfuse.page.sections import figures, verdict
from bnfuse.page.words import STATES, number, state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bnfuse.page.layout import Layout

_COLOURS = {"": "#8a9691", "folded": "#12976f", "partly": "#8b5bd1", "left": "#d47a12"}
_TOOK = "#2f6fdb"
_LINE = 60
"""Rows on a line of the drawing, which reads from left to right, and goes on below."""
_PITCH, _WIDTH, _HEIGHT, _COLUMN = 12, 9, 6, 9
_MANY = 1000
"""Boxes beyond which only norms carry their names, and no edge is drawn."""


def glance(document: dict[str, Any]) -> str:
    """Make the piece of HTML.

    Args:
        document: What ``Report.to_json(detailed=True)`` or ``Verification.to_json()`` gives.
    """
    net = net_of(document)
    parts = [f"<style>{asset('glance.css')}</style>", verdict(document), figures(document)]
    if net.before is not None and net.after is not None and net.links is not None:
        colours = {
            place: _COLOURS[state(site)]
            for site, places in zip(net.sites, net.links.sites, strict=True)
            for place in places
        }
        parts.append(_drawn("before", net.before, colours))
        colours = {
            place: _TOOK if state(site) == "folded" else _COLOURS[state(site)]
            for site, places in zip(net.sites, net.links.takers, strict=True)
            for place in places
        }
        parts.append(_drawn("after", net.after, colours))
        parts.append(f'<p class="key">{_KEY}</p>')
    if net.sites:
        parts.append(disclosed(f"Norms ({len(net.sites)})", _norms(net)))
    rows = error_rows(document)
    if rows:
        heads = ("output", "where", "original", "folded", "used", "verdict")
        cells = [
            (text(row.output), text(row.where), number(row.original), number(row.candidate),
             f"{row.usage:.0%}", row.verdict)
            for row in rows
        ]  # fmt: skip
        parts.append(
            disclosed("Error against float64", table("Error against float64", heads, cells))
        )
    return f'<div class="bnfuse-glance">{"".join(parts)}</div>'


_KEY = " ".join(
    f'<span><svg width="9" height="9"><rect width="9" height="9" rx="2" fill="{colour}"/></svg> '
    f"{name}</span>"
    for name, colour in (*list(_COLOURS.items())[1:], ("took a norm", _TOOK))
)


def _drawn(name: str, layout: Layout, colours: dict[int, str]) -> str:
    """The graph from left to right, in lines."""
    rows = 1 + max(layout.rows, default=0)
    lines = -(-rows // _LINE)
    high = layout.width * _COLUMN + 8
    few = len(layout.boxes) <= _MANY

    def at(place: int) -> tuple[int, int]:
        line, x = divmod(layout.rows[place], _LINE)
        return 2 + x * _PITCH, 2 + line * high + layout.columns[place] * _COLUMN

    drawn = [_edge(layout, edge, at, high) for edge in layout.edges] if few else []
    for place, box in enumerate(layout.boxes):
        colour = colours.get(place)
        x, y = at(place)
        named = f"<title>{text(box.title)}</title>" if few or colour else ""
        drawn.append(
            f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="1.5" '
            f'fill="{colour or _COLOURS[""]}" fill-opacity="{1 if colour else 0.55}">{named}</rect>'
        )
    width = 4 + min(rows, _LINE) * _PITCH
    nodes = sum(box.op not in ("input", "output") for box in layout.boxes)
    return (
        f'<p class="side">{name}</p>'
        f'<svg viewBox="0 0 {width} {lines * high}" width="{width}" role="img" '
        f'aria-label="The net {name} the fold, {nodes} nodes" '
        f'style="max-width:100%;height:auto">{"".join(drawn)}</svg>'
    )


def _edge(layout: Layout, edge: Sequence[int], at: Any, high: int) -> str:
    start, end, lane = edge
    (x1, y1), (x2, y2) = at(start), at(end)
    if layout.rows[start] // _LINE != layout.rows[end] // _LINE:
        return ""
    points = [(x1 + _WIDTH, y1 + _HEIGHT / 2), (x2, y2 + _HEIGHT / 2)]
    if lane >= 0:
        y = 2 + layout.rows[start] // _LINE * high + lane * _COLUMN + _HEIGHT / 2
        points[1:1] = [(x1 + _PITCH, y), (x2 - _PITCH + _WIDTH, y)]
    path = " ".join(f"{x:g},{y:g}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{_COLOURS[""]}" stroke-width="0.8"/>'


def _norms(net: Net) -> str:
    return table(
        "Norms",
        ("norm", "written as", "what became of it"),
        [
            (
                text(site["module"] or site["name"]),
                text(site["spelling"]),
                f"{STATES[state(site)]} {state(site)}"
                + (f" into {text(site['into'])}" if site["into"] else "")
                + (f": {text(site['reason'])}" if site["reason"] else ""),
            )
            for site in net.sites
        ],
    )
