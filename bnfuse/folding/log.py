"""What a fold did: the fate of each site, and the plans in the order they were carried out."""

from __future__ import annotations

__all__ = ["Application", "Fate", "FoldLog", "StoppedFoldError"]

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bnfuse.errors import FoldError
from bnfuse.folding.plan import once

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bnfuse.folding.merges import Merge, MergeRefusal
    from bnfuse.folding.plan import Plan
    from bnfuse.lifting.sites import Site


@dataclass(frozen=True)
class Fate:
    """What became of a site, or of its parts so far.

    Attributes:
        folded: Whether no op is left for it: its neighbours took it.
        into: The nodes that took it, each once and in order.
        through: The op types it passed through, in order.
        corrected: What makes up for it where others read a value that gained it.
        reason: Why it, or a part of it, was left; empty when folded.
    """

    folded: bool = True
    into: tuple[str, ...] = ()
    through: tuple[str, ...] = ()
    corrected: tuple[str, ...] = ()
    reason: str = ""

    def follow(self, plan: Plan, holder: str = "") -> Fate:
        """A plan took it, or a part of it; or took it on from a normaliser that held it."""
        into = (name for name in self.into if name != holder)
        return replace(
            self,
            into=once(*into, *plan.targets),
            through=once(*self.through, *plan.through),
            corrected=once(*self.corrected, *plan.corrected),
        )


@dataclass(frozen=True)
class Application:
    """One plan that was carried out.

    Attributes:
        sites: What it was for.
        into: The nodes that took it.
        through: The op types it passed through, in order.
        rules: What was done to those nodes.
        merged: For linear maps that became one, the names of their merges.
    """

    sites: tuple[Site, ...]
    into: tuple[str, ...]
    through: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    merged: tuple[str, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """What to bar for a fold to do without this plan and all others of its sites."""
        return frozenset(self.merged or (site.name for site in self.sites))


class StoppedFoldError(FoldError):
    """A fold that ended with an error, and how far it had come.

    Attributes:
        applications: The rule applications up to then, in order.
    """

    def __init__(self, error: FoldError, applications: Iterable[Application]) -> None:
        super().__init__(error.args[0], error.remedy)
        self.applications = tuple(applications)


@dataclass(frozen=True)
class FoldLog:
    """What the fold did: each site's fate, and the plans in the order they were carried out.

    Attributes:
        fates: What became of each site.
        applications: The plans.
        merges: The linear maps that became one.
        unmerged: Those that could have been one, and why they stay.
    """

    fates: Mapping[Site, Fate]
    applications: tuple[Application, ...]
    merges: tuple[Merge, ...] = ()
    unmerged: tuple[MergeRefusal, ...] = ()
