"""Which samples to compare on: drawn at sizes that the original is known to accept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bnfuse.verifying.runtime import RunError
from bnfuse.verifying.samples import Draft, Sample, Sizes, candidates, plan, sizes_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bnfuse.verifying.given import Given
    from bnfuse.verifying.originals import Original

__all__ = ["Chosen", "choose_samples"]


@dataclass(frozen=True)
class Chosen:
    """Samples, made when they are reached, and what a reader should know of their choice."""

    samples: Iterable[Sample]
    notes: tuple[str, ...] = ()


def choose_samples(original: Original, draft: Draft, given: Given) -> Chosen:
    """Return the samples to compare on; the original refuses none of the sizes."""
    known = given.samples(draft.ports)
    if given.real:
        return Chosen(known)
    for attempt in _attempts(draft):
        for first, second in candidates(attempt):
            if _refusal(original, attempt.draw("signed", first)) is None:
                return _planned(original, attempt, known, first, second)
    if known:
        return Chosen(
            known, ("the original accepts no other inputs than the example, so only it was used",)
        )
    first, _ = candidates(draft)[0]
    refusal = _refusal(original, draft.draw("signed", first))
    return Chosen((), (f"the original accepts none of the inputs made up for it: {refusal}",))


def _planned(
    original: Original, draft: Draft, known: list[Sample], first: Sizes, second: Sizes
) -> Chosen:
    notes = []
    if first.by_symbol and _refusal(original, draft.draw("signed", second)) is not None:
        notes.append(f"the original refuses sizes {dict(second.by_symbol)}, so one size was used")
        second = first
    single = sizes_of(draft, 1)
    if _refusal(original, draft.draw("signed", single)) is not None:
        # The dimensions other than the batch may have a least size.
        single = sizes_of(draft, 1, keep=first)
        if _refusal(original, draft.draw("signed", single)) is not None:
            notes.append("the original refuses a batch of one")
            single = first
    order = tuple(plan(first, second, single))
    return Chosen(_Drawn(tuple(known), draft, order), tuple(notes))


@dataclass(frozen=True)
class _Drawn:
    """Samples drawn anew, and alike, each time they are iterated."""

    known: tuple[Sample, ...]
    draft: Draft
    order: tuple[tuple[str, Sizes, str], ...]

    def __iter__(self) -> Iterator[Sample]:
        yield from self.known
        for item in self.order:
            yield self.draft.draw(*item)


def _attempts(draft: Draft) -> Iterable[Draft]:
    yield draft
    # Integers that index something unknown may have to stay small.
    integers = {
        port.name: (0.0, 1.0)
        for port in draft.ports
        if port.dtype is not None
        and port.dtype.kind in "iu"
        and port.name not in draft.limits
        and port.name not in draft.ranges
    }
    if integers:
        yield replace(draft, ranges={**draft.ranges, **integers})


def _refusal(original: Original, sample: Sample) -> str | None:
    try:
        original.run(sample.feeds)
    except RunError as error:
        return str(error)
    return None
