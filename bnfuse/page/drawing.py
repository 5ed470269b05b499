"""What the page's script draws: both graphs placed, every norm with its story."""

from __future__ import annotations

__all__ = ["Net", "drawing", "net_of"]

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bnfuse.page.findings import Finding, findings
from bnfuse.page.layout import Layout, laid_out
from bnfuse.page.links import Links
from bnfuse.page.words import RULES, equation, state

if TYPE_CHECKING:
    from collections.abc import Sequence

_DIGITS = 4


@dataclass(frozen=True)
class Net:
    """The net of a report, before and after, and its norms.

    Attributes:
        before: The graph that was folded; ``None`` where the report has no graphs.
        after: The graph that it became.
        links: Between the two.
        sites: The report's ``folds``.
        found: What stands out in each of them.
    """

    before: Layout | None
    after: Layout | None
    links: Links | None
    sites: Sequence[dict[str, Any]]
    found: tuple[tuple[Finding, ...], ...]


def net_of(document: dict[str, Any]) -> Net:
    """Read it from a JSON report; place the graphs if it has any."""
    sites = document.get("folds", [])
    found = tuple(findings(site["channels"]) if site.get("channels") else () for site in sites)
    graph = document.get("graph")
    if graph is None:
        return Net(None, None, None, sites, found)
    before, after = laid_out(graph["before"]), laid_out(graph["after"])
    return Net(before, after, Links.between(before, after, sites), sites, found)


def drawing(net: Net) -> dict[str, Any]:
    """Plain data for the script, positions in place of names where one stands for the other."""
    sites = [_site(net, place) for place in range(len(net.sites))]
    found: dict[str, Any] = {"sites": sites, "rules": RULES}
    if net.before is not None and net.after is not None and net.links is not None:
        found["before"] = _graph(net.before, net.links.same)
        found["after"] = _graph(net.after, ())
    return found


def _graph(layout: Layout, same: Sequence[int]) -> dict[str, Any]:
    # The values' names are what edges are drawn from; the script shows them, so they stay.
    return {
        "boxes": [
            [b.name, b.op, b.module, column, row, list(b.inputs), list(b.outputs)]
            for b, column, row in zip(layout.boxes, layout.columns, layout.rows, strict=True)
        ],
        "edges": layout.edges,
        "width": layout.width,
        "same": list(same),
    }


def _site(net: Net, place: int) -> dict[str, Any]:
    site = net.sites[place]
    channels = site.get("channels")
    return {
        "label": site["module"] or site["name"],
        "name": site["name"],
        "kind": site["kind"],
        "state": state(site),
        "spelling": site["spelling"],
        "equation": equation(channels),
        "into": site["into"] or "",
        "through": site["through"],
        "corrected": site["corrected"],
        "reason": site["reason"] or "",
        "rules": site.get("rules", []),
        "nodes": net.links.sites[place] if net.links else (),
        "takers": net.links.takers[place] if net.links else (),
        "made": site.get("nodes", []),
        "found": [[item.kind, item.channel, item.words] for item in net.found[place]],
        "channels": channels and {key: _short(values) for key, values in channels.items()},
    }


def _short(values: Any) -> Any:
    """Four digits are more than a screen shows."""
    if not isinstance(values, list):
        return values
    return [v if isinstance(v, str) else float(f"{v:.{_DIGITS}g}") for v in values]
