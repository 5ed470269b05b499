"""The experiment: the same net, seed and schedule, with norm and without."""

from __future__ import annotations

__all__ = ["MILESTONES", "Comparison", "compare"]

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bnfuse.errors import UsageError
from bnfuse.models.digits import HELD_OUT
from bnfuse.models.registry import build, entry
from bnfuse.models.training import Schedule, Training, train

if TYPE_CHECKING:
    from collections.abc import Callable

    from bnfuse.models.norms import NormKind
    from bnfuse.models.training import Epoch

MILESTONES = (0.90, 0.95)
"""Held-out accuracies whose first epoch measures how fast a training converged."""


@dataclass(frozen=True)
class Comparison:
    """Two trainings that differ in the norm alone."""

    name: str
    """The net."""
    norm: str
    """The kind of norm of the first."""
    schedule: Schedule
    """Of both."""
    with_norm: Training
    without: Training

    def findings(self) -> tuple[str, ...]:
        """What came out, one sentence a finding, whichever way it went."""
        speed = (self._speed(milestone) for milestone in MILESTONES)
        return (*speed, self._height(), *self._divergence())

    def _speed(self, accuracy: float) -> str:
        ours, theirs = self.with_norm.epochs_to(accuracy), self.without.epochs_to(accuracy)
        said = f"{accuracy:.0%} held out: with norm {_after(ours)}, without {_after(theirs)}"
        return f"{said}: {_first(ours, theirs)}."

    def _height(self) -> str:
        ours, theirs = self.with_norm.last.accuracy, self.without.last.accuracy
        if ours == theirs:
            return f"At the end both classify {ours:.1%}: no difference."
        higher = "with" if ours > theirs else "without"
        points = 100 * abs(ours - theirs)
        images = round(HELD_OUT * abs(ours - theirs))
        return (
            f"At the end {ours:.1%} with norm, {theirs:.1%} without: higher {higher}, by"
            f" {points:.1f} points ({images} of the {HELD_OUT} images)."
        )

    def _divergence(self) -> tuple[str, ...]:
        runs = (("With", self.with_norm), ("Without", self.without))
        return tuple(
            f"{which} norm the loss was no longer a number in epoch {run.last.number}."
            for which, run in runs
            if run.diverged
        )


def compare(
    name: str,
    *,
    norm: NormKind | None = None,
    schedule: Schedule | None = None,
    on_epoch: Callable[[str, Epoch], None] | None = None,
) -> Comparison:
    """Train a net twice.

    Args:
        name: One of :func:`bnfuse.models.names`.
        norm: Kind of norm of the first training; ``None`` for the net's own.
        schedule: Of both, its seed also that of the initial weights; the net's own if ``None``.
        on_epoch: Called after each epoch with ``"with norm"`` or ``"without"``.

    Raises:
        UsageError: If the name is unknown, or ``norm`` is ``"none"``.
    """
    if norm == "none":
        raise UsageError(
            "A net without norm cannot be compared with itself.", "Use 'torch' or 'scratch'."
        )
    schedule = schedule or entry(name).schedule

    def run(label: str, kind: NormKind | None) -> Training:
        report = None if on_epoch is None else lambda epoch: on_epoch(label, epoch)
        return train(build(name, kind, schedule.seed), schedule, on_epoch=report)

    return Comparison(
        name=name,
        norm=norm or entry(name).own_norm,
        schedule=schedule,
        with_norm=run("with norm", norm),
        without=run("without", "none"),
    )


def _after(epoch: int | None) -> str:
    if epoch is None:
        return "never"
    return f"after {epoch} epoch{'s' if epoch > 1 else ''}"


def _first(ours: int | None, theirs: int | None) -> str:
    if ours == theirs:
        return "no difference"
    if theirs is None or (ours is not None and ours < theirs):
        return "faster with norm"
    return "faster without"
