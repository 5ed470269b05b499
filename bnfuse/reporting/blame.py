"""Which rule application of a wrong fold is to blame, for a person and as data."""

from __future__ import annotations

__all__ = ["Blame"]

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bnfuse.folding import Application


@dataclass(frozen=True)
class Blame:
    """The first application after which the model is wrong.

    Attributes:
        number: Its place among the applications, from 1; 0 if the model is wrong before any.
        of: How many there were.
        sites: The names of what it was for: module paths where the exporter left them.
        into: The nodes that took it.
        through: The op types that it passed through.
        rules: What was done to those nodes.
        reason: What is wrong with the model after it, and was not before.
    """

    number: int
    of: int
    sites: tuple[str, ...] = ()
    into: tuple[str, ...] = ()
    through: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    reason: str = ""

    @classmethod
    def on(cls, application: Application, number: int, of: int, reason: str) -> Blame:
        """The blame of one application."""
        return cls(
            number,
            of,
            tuple(site.module or site.name for site in application.sites),
            application.into,
            application.through,
            application.rules,
            reason,
        )

    def __str__(self) -> str:
        """One or two sentences."""
        if not self.number:
            return f"the model is wrong before any rule is applied: {self.reason}"
        through = f", through {', '.join(self.through)}" if self.through else ""
        return (
            f"application {self.number} of {self.of}: {', '.join(self.sites) or 'no norm'} into "
            f"{', '.join(self.into)}{through} ({', '.join(self.rules)}). Without it the model is "
            f"right; with it: {self.reason}"
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "number": self.number,
            "of": self.of,
            "sites": list(self.sites),
            "into": list(self.into),
            "through": list(self.through),
            "rules": list(self.rules),
            "reason": self.reason,
        }
