"""What a merge says of itself, and what the fold asks of it."""

from __future__ import annotations

__all__ = ["Cost", "Merge", "MergeRefusal", "Rewrite"]

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from bnfuse.graph.names import FreshNames
    from bnfuse.lifting.sites import Site


@dataclass(frozen=True)
class Cost:
    """What linear maps cost.

    Attributes:
        flops: Additions and multiplications for each position of the result.
        bytes: The size of their constants.
    """

    flops: int
    bytes: int


@dataclass(frozen=True)
class Merge:
    """Linear maps that became one.

    Attributes:
        kind: ``parallel`` for branches that met in an Add, ``sequence`` for maps that followed one
            another, ``padding`` for a Pad that went into its Conv.
        parts: What became one, as a person calls it.
        into: What it became.
        before: What the parts cost.
        after: What it costs.
        sites: The norms that stood between or beside the parts and disappeared with them.
    """

    kind: Literal["parallel", "sequence", "padding"]
    parts: tuple[str, ...]
    into: str
    before: Cost
    after: Cost
    sites: tuple[Site, ...] = ()

    @property
    def name(self) -> str:
        """What it is called, alike in each fold of a model."""
        return f"{self.kind} merge of {' and '.join(self.parts)}"


@dataclass(frozen=True)
class MergeRefusal:
    """Linear maps that could have become one and stay, with the reason."""

    parts: tuple[str, ...]
    reason: str


class Rewrite(Protocol):
    """One change of the graph, decided and not yet made."""

    @property
    def merges(self) -> tuple[Merge, ...]:
        """What becomes one by it."""

    def apply(self, names: FreshNames) -> None:
        """Make the change."""
