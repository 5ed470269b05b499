"""Runs on one sample that are wanted again where a candidate would fail by little."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bnfuse.verifying.original.runs import digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from bnfuse.verifying.original.runs import Outputs, Runs
    from bnfuse.verifying.samples.drawing import Sample

__all__ = ["Archive", "Kept"]

# Bytes of outputs that are held together: about 32 simulated runs of 4 MB of float32 outputs.
_ROOM = 1 << 28


@dataclass
class Kept:
    """What is known of one sample.

    Attributes:
        runs: The original's.
        truth: The outputs in float64.
        candidates: The candidate's outputs by the row's position.
        drawn: Runs with simulated rounding.
    """

    runs: Runs | None = None
    truth: Sequence[Any] | None = None
    candidates: dict[int, Outputs] = field(default_factory=dict)
    drawn: list[list[Any]] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(int(getattr(value, "nbytes", 0)) for value in self._values())

    def _values(self) -> Iterator[Any]:
        parts = [*(self.runs or {}).values(), self.truth or (), *self.candidates.values()]
        for part in (*parts, *self.drawn):
            yield from part


class Archive:
    """Keeps what runs gave, as long as there is room; the rest is run again."""

    def __init__(self) -> None:
        self._kept: dict[bytes, Kept] = {}
        self._sizes: dict[bytes, int] = {}

    def of(self, sample: Sample) -> Kept:
        """Return what is known of a sample, to be added to."""
        return self._kept.setdefault(digest(sample.feeds), Kept())

    def leave(self, samples: Iterable[Sample]) -> None:
        """Forget all but what is known of some samples, so that there is room for more of it."""
        wanted = {digest(sample.feeds) for sample in samples}
        for key in self._kept.keys() - wanted:
            del self._kept[key]
            # What the original refused was never settled.
            self._sizes.pop(key, None)

    def settle(self, sample: Sample) -> None:
        """Forget what there is no room for, now that a sample is done."""
        key = digest(sample.feeds)
        others = sum(size for name, size in self._sizes.items() if name != key)
        self._sizes[key] = self._kept[key].size
        if others + self._sizes[key] > _ROOM:
            del self._kept[key], self._sizes[key]
