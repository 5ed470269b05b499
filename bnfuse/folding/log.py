"""What a fold did: the fate of each site, and the plans in the order they were carried out."""

from __future__ import annotations

__all__ = ["Application", "Fate", "FoldLog", "Route", "StoppedFoldError"]

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bnfuse.errors import FoldError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bnfuse.folding.merges import Merge, MergeRefusal
    from bnfuse.folding.plan import Plan
    from bnfuse.lifting.sites import Site


@dataclass(frozen=True)
class Fate:
    """What became of a site.

    Attributes:
        folded: Whether no op is left for it: its neighbours took it.
        into: The nodes that took it.
        through: The op types it passed through, in order.
        corrected: What makes up for it where others read a value that gained it.
        reason: Why it, or a part of it, was left; empty when folded.
    """

    folded: bool
    into: tuple[str, ...] = ()
    through: tuple[str, ...] = ()
    corrected: tuple[str, ...] = ()
    reason: str = ""


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


@dataclass
class Route:
    """Where the parts of a site have gone so far; the values of the dicts mean nothing.

    Attributes:
        into: The nodes that took them, in order.
        through: The op types they passed through, in order.
        corrected: What makes up for them where others read a value that gained one.
    """

    into: dict[str, None] = field(default_factory=dict)
    through: dict[str, None] = field(default_factory=dict)
    corrected: dict[str, None] = field(default_factory=dict)

    def follow(self, plan: Plan) -> None:
        """A plan took it, or a part of it."""
        self.into.update(dict.fromkeys(plan.targets))
        self.through.update(dict.fromkeys(plan.through))
        self.corrected.update(dict.fromkeys(plan.corrected))

    def fate(self, reason: str | None) -> Fate:
        """What became of the site, left for ``reason`` if there is one."""
        return Fate(
            folded=reason is None,
            into=tuple(self.into),
            through=tuple(self.through),
            corrected=tuple(self.corrected),
            reason=reason or "",
        )

    def move_on(self, holder: str, plan: Plan) -> None:
        """What a normaliser held goes on from it."""
        self.into.pop(holder, None)
        self.follow(plan)
