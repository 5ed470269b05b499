"""The table of a model's norms: each by itself, or many of one stage that went alike in one row.

A norm that is left has a row of its own however many there are: its reason is what a reader looks
for. Norms that are folded are alike where they are spelt alike and went into ops of one type by one
way.
"""

from __future__ import annotations

__all__ = ["print_sites"]

from typing import TYPE_CHECKING

from rich.text import Text

from bnfuse.columns import Column, print_table
from bnfuse.lifting.sites import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from bnfuse.reporting.data import SiteReport

_MANY = 20
"""More norms than these are grouped by their stages."""
_NAMES = 6
"""Nodes named of those that took a norm."""


def print_sites(
    sites: Sequence[SiteReport], console: Console, verbosity: int = 0, heading: str = ""
) -> None:
    """Print the table.

    Args:
        sites: What it shows; those that are left come first.
        console: Where.
        verbosity: From 1 on every site has a row.
        heading: Of the column that says where each goes.
    """
    columns = (
        *(Column(text) for text in ("norm", "spelt", "")),
        Column(heading or "what became of it", flexible=True),
    )
    left = [site for site in sites if not site.folded]
    folded = [site for site in sites if site.folded]
    grouped = len(sites) > _MANY and not verbosity
    rows = [_row(site) for site in left]
    rows += _grouped(folded) if grouped else map(_row, folded)
    print_table(console, columns, rows)
    if grouped and folded:
        console.print(Text("-v lists them one by one", style="dim"))


def _row(site: SiteReport) -> list[Text | str]:
    return [site.module or site.name, _spelling(site), _mark(site), _fate(site)]


def _grouped(sites: Sequence[SiteReport]) -> list[list[Text | str]]:
    """One row for the sites of a stage that went alike, in the order of the first of each."""
    stages = _stages([site.module for site in sites])
    groups: dict[tuple[str, ...], list[SiteReport]] = {}
    for site, stage in zip(sites, stages, strict=True):
        groups.setdefault((stage, _spelling(site), _way(site)), []).append(site)
    rows: list[list[Text | str]] = []
    for (stage, spelling, way), alike in groups.items():
        if len(alike) == 1:
            rows.append(_row(alike[0]))
            continue
        what = {"norm": "norms", "affine": "normalisers"}.get(alike[0].kind, f"{alike[0].kind}s")
        named = f"{stage}.*  " if stage else ""
        rows.append([f"{named}{len(alike)} {what}", spelling, _mark(alike[0]), way])
    return rows


def _stages(modules: Sequence[str]) -> Iterator[str]:
    """The stage of each module: its path as far as the first name in which modules differ."""
    parts = [module.split(".") for module in modules if module]
    common = 0
    while parts and all(len(p) > common + 1 and p[common] == parts[0][common] for p in parts):
        common += 1
    # The last name is the norm's own.
    return (".".join(module.split(".")[:-1][: common + 1]) for module in modules)


def _way(site: SiteReport) -> str:
    """Where a folded site went, by types alone: where the names differ, these may not."""
    if not site.into:
        return _fate(site)
    through = f", through {', '.join(site.through)}" if site.through else ""
    corrected = f", corrected in {_types(site.corrected)}" if site.corrected else ""
    return f"into {_types(site.into)}{through}{corrected}"


def _types(names: Sequence[str]) -> str:
    """The op types of nodes that are named as in ``Conv features.0``; another norm is a norm."""
    types = (name.partition(" ")[0] if " " in name else "another norm" for name in names)
    return ", ".join(dict.fromkeys(types))


def _mark(site: SiteReport) -> Text:
    return Text("✓", style="green") if site.folded else Text("·", style="yellow")


def _spelling(site: SiteReport) -> str:
    spelt = " ".join(site.spelling)
    # A normaliser loses only these: the row must not read as if it were gone itself.
    return f"scale and shift ({spelt})" if site.kind == Kind.AFFINE.value else spelt


def _fate(site: SiteReport) -> str:
    if not site.folded:
        return f"left: {site.reason}"
    if not site.into:
        return "it changes nothing: taken out"
    through = f", through {', '.join(site.through)}" if site.through else ""
    corrected = f", corrected in {_several(site.corrected)}" if site.corrected else ""
    return f"into {_several(site.into)}{through}{corrected}"


def _several(names: Sequence[str]) -> str:
    """The first of many names."""
    more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
    return ", ".join(names[:_NAMES]) + more
