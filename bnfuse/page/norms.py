"""The table of norms: what became of each, and how its scales spread."""

from __future__ import annotations

__all__ = ["norms_section"]

import math
from typing import TYPE_CHECKING, Any

from bnfuse.page.findings import summary
from bnfuse.page.markup import plural, table, text
from bnfuse.page.words import STATES, number, state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bnfuse.page.drawing import Net

_HEADS = ("norm", "what became of it", "written as", "channels", "scale", "stands out")


def norms_section(net: Net) -> str:
    """All sites, each with a button that shows its channels."""
    sites = net.sites
    if not sites:
        return "<p>The net has no norm.</p>"
    logs = [log for site in sites for log in _logs(site)]
    low, high = (min(logs), max(logs)) if logs else (0.0, 1.0)
    rows = [
        (
            f'<button type="button" class="link" data-site="{place}">'
            f"{text(site['module'] or site['name'])}</button>",
            f'<span class="fate {state(site)}"><span aria-hidden="true">{STATES[state(site)]}'
            f"</span> {state(site)}</span> {_story(site)}",
            text(site["spelling"]),
            _channels(site),
            _spread(site, low, high),
            text(summary(net.found[place])) or '<span class="dim">–</span>',
        )
        for place, site in enumerate(sites)
    ]
    kinds = [site["kind"] for site in sites]
    counted = ", ".join(plural(kinds.count(kind), kind) for kind in dict.fromkeys(kinds))
    has_channels = any(site.get("channels") for site in sites)
    plot = (
        '<div id="channels" class="card" tabindex="-1" role="region" '
        'aria-label="Channels of one norm"><p class="dim">Choose a norm to see its channels.</p>'
        "</div>"
        if has_channels
        else '<p class="card dim">This report has no constants: write it with '
        "<code>--detailed</code> to see each channel.</p>"
    )
    return (
        f"<p>{text(counted)}. The bar shows the scales of a norm from the least to the "
        "largest magnitude, with the median, on one logarithmic scale for all.</p>"
        f'{plot}<div class="scroll tall" tabindex="0" role="region" aria-label="Norms">'
        f"{table('What became of each norm', _HEADS, rows)}</div>"
    )


def _story(site: dict[str, Any]) -> str:
    parts = []
    if site["into"]:
        parts.append(f"into {text(site['into'])}")
    if site["through"]:
        parts.append(f"through {text(', '.join(site['through']))}")
    if site["reason"]:
        parts.append(text(site["reason"]))
    return f'<span class="story">{"; ".join(parts)}</span>'


def _channels(site: dict[str, Any]) -> str:
    channels = site.get("channels")
    if not channels:
        return "–"
    return "all alike" if channels["axis"] is None else f"{len(channels['scale']):,}"


def _logs(site: dict[str, Any]) -> Sequence[float]:
    """The logarithms of the least, the median and the largest scale that are not 0."""
    channels = site.get("channels")
    sizes = sorted(
        abs(v) for v in (channels["scale"] if channels else ()) if not isinstance(v, str) and v
    )
    if not sizes:
        return ()
    return tuple(math.log10(sizes[place]) for place in (0, len(sizes) // 2, -1))


def _spread(site: dict[str, Any], low: float, high: float) -> str:
    logs = _logs(site)
    if not logs:
        return "–"
    a, b, c = (4.0 + 92.0 * (log - low) / (high - low or 1.0) for log in logs)
    least, middle, most = (number(10.0**log) for log in logs)
    return (
        f'<svg class="spread-bar" width="120" height="14" role="img" '
        f'aria-label="from {least} over {middle} to {most}">'
        f'<line x1="{a:.1f}%" x2="{c:.1f}%" y1="7" y2="7"/><circle cx="{b:.1f}%" cy="7" r="3"/>'
        f'</svg><span class="range">{least} … {most}</span>'
    )
