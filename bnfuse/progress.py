"""How a long call tells of its stages: a protocol, and the silence that is the default."""

from __future__ import annotations

__all__ = ["Progress", "Silent", "StageLine"]

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol


class StageLine(Protocol):
    """What a stage has to say of itself when it is over."""

    detail: str

    def reached(self, done: int, total: int) -> None:
        """Hears how much of the stage is done, in whatever unit it has."""

    def doing(self, text: str) -> None:
        """Hears what the stage is at."""


class Progress(Protocol):
    """Hears of each stage as it begins; the command line prints a line for each."""

    def stage(self, name: str) -> AbstractContextManager[StageLine]:
        """A context that lasts as long as the stage."""


@dataclass
class _Unheard:
    detail: str = ""

    def reached(self, done: int, total: int) -> None:
        """Is not heard."""

    def doing(self, text: str) -> None:
        """Is not heard."""


class Silent:
    """Says nothing."""

    def stage(self, name: str) -> AbstractContextManager[StageLine]:
        """A context that does nothing."""
        del name
        return nullcontext(_Unheard())
