"""Which node after the fold stands for which before it, and which took a norm."""

from __future__ import annotations

__all__ = ["Links"]

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bnfuse.page.layout import Layout


@dataclass(frozen=True)
class Links:
    """Positions of boxes in two layouts.

    Attributes:
        sites: For each norm: the boxes that it was made of.
        takers: For each norm: the boxes after the fold that took it or, where it is left, are it.
        same: For each box before the fold: the one after it that is the same node, or -1.
    """

    sites: tuple[tuple[int, ...], ...]
    takers: tuple[tuple[int, ...], ...]
    same: tuple[int, ...]

    @classmethod
    def between(cls, before: Layout, after: Layout, folds: list[dict[str, Any]]) -> Links:
        """Link by the names that the fold keeps: those of nodes, of modules, of values."""
        places = {box.name: place for place, box in enumerate(before.boxes) if _is_node(box.op)}
        named, titled = defaultdict(list), defaultdict(list)
        made: dict[str, int] = {}
        for place, box in enumerate(after.boxes):
            titled[box.title].append(place)
            titled[box.module or box.name].append(place)
            named[box.op, box.name].append(place)
            made.update(dict.fromkeys(box.outputs, place))
        sites = [tuple(places[n] for n in site.get("nodes", ()) if n in places) for site in folds]
        takers = []
        for site in folds:
            own = made.get(site["name"])
            into = (site["into"] or "").split(", ") if site["into"] else []
            found: dict[int, None] = {}
            for title in into:
                candidates = titled.get(title, [])
                # Of several of one name, the one that computes what the norm computed.
                found.update(dict.fromkeys([own] if own in candidates else candidates))
            if site["status"] == "left" and own is not None:
                found[own] = None
            takers.append(tuple(found))
        same = tuple(next(iter(named.get((b.op, b.name), ())), -1) for b in before.boxes)
        return cls(tuple(sites), tuple(takers), same)


def _is_node(op: str) -> bool:
    return op not in ("input", "output")
