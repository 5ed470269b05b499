"""Which samples to compare on: drawn at sizes that the original is known to accept."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bnfuse.verifying.runtime.floats import is_finite, is_float, is_same, unit_roundoff
from bnfuse.verifying.runtime.sessions import RunError
from bnfuse.verifying.samples.drawing import Draft, Draw, Sample, Sizes, plan, probe
from bnfuse.verifying.samples.sizes import candidates, large_of, long_of, sizes_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from bnfuse.verifying.original.runs import Original
    from bnfuse.verifying.samples.given import Given

__all__ = ["Chosen", "choose_samples", "unsteadiness"]

# Rounding units by which a run may differ from the one before it.
_STEADY = 1e3


@dataclass(frozen=True)
class Chosen:
    """Samples, made when they are reached, and what a reader should know of their choice.

    Attributes:
        sampled: For inputs that index more rows than are read, how many are.
        draft: What they were drawn from; None where they were given.
        sizes: Those of most samples.
    """

    samples: Collection[Sample]
    notes: tuple[str, ...] = ()
    sampled: Mapping[str, int] = field(default_factory=dict)
    draft: Draft | None = None
    sizes: Sizes | None = None


def choose_samples(original: Original, draft: Draft, given: Given, *, few: bool = False) -> Chosen:
    """Return the samples to compare on; the original refuses none of the sizes.

    ``few`` of them, of one size, are enough where the models were proved equal.
    """
    known = given.samples(draft.ports)
    if given.real:
        return Chosen(known)
    accepted = None
    for attempt in _attempts(draft):
        found = _accepted(original, attempt, alone=few)
        if found is None:
            continue
        if _overflows(original, attempt.draw(probe(found[0], first=True))):
            accepted = accepted or (attempt, found)
            continue
        chosen = (
            _few(attempt, known, found[0]) if few else _planned(original, attempt, known, *found)
        )
        notes = () if accepted is None else (_told(attempt, draft),)
        return replace(chosen, notes=(*chosen.notes, *notes))
    if accepted is not None:
        return _planned(original, accepted[0], known, *accepted[1])
    if known:
        return Chosen(
            known, ("the original accepts no other inputs than the example, so only it was used",)
        )
    first, _ = candidates(draft)[0]
    refusal = _refusal(original, draft.draw(Draw("signed", first)))
    return Chosen((), (f"the original accepts none of the inputs made up for it: {refusal}",))


def unsteadiness(original: Original, samples: Iterable[Sample]) -> str:
    """Return how the original differs from itself when it is run again, or the empty string.

    Random numbers that are drawn outside the graph, and state that a run leaves behind, make an
    original against which nothing can be judged.
    """
    sample = next(iter(samples), None)
    if sample is None:
        return ""
    try:
        first = next(iter(original.keep(sample.feeds).values()))
        again = original.once(sample.feeds)
    except RunError:
        return ""
    same = len(first) == len(again) and all(map(_repeated, first, again))
    return (
        "" if same else f"the original gives another result when it is run again on {sample.label}"
    )


def _repeated(one: Any, two: Any) -> bool:
    # Threads may add up in another order; that is rounding.
    return is_same(one, two, _STEADY * unit_roundoff(one.dtype) if is_float(one.dtype) else 0.0)


def _few(draft: Draft, known: list[Sample], sizes: Sizes) -> Chosen:
    """One sample, and those that were given."""
    return Chosen(_Drawn(tuple(known), draft, (probe(sizes, first=True),)), (), {}, draft, sizes)


def _accepted(
    original: Original, draft: Draft, *, alone: bool = False
) -> tuple[Sizes, Sizes] | None:
    """Return the first pair of sizes that the original accepts, or one of them twice, or None."""
    known: dict[tuple[tuple[str, int], ...], bool] = {}

    def accepts(sizes: Sizes, role: bool) -> bool:
        key = tuple(sorted(sizes.by_symbol.items()))
        if key not in known:
            known[key] = _refusal(original, draft.draw(probe(sizes, first=role))) is None
        return known[key]

    single: Sizes | None = None
    for first, second in candidates(draft, uneven=True):
        if accepts(first, True):
            if alone:
                return first, first
            if accepts(second, False):
                return first, second
            single = single or first
    return None if single is None else (single, single)


def _planned(
    original: Original, draft: Draft, known: list[Sample], first: Sizes, second: Sizes
) -> Chosen:
    notes = []
    if first.by_symbol and first == second:
        notes.append(f"the original accepts only one size of {', '.join(first.by_symbol)}")
    single = sizes_of(draft, 1)
    if _refusal(original, draft.draw(probe(single))) is not None:
        # The dimensions other than the batch may have a least size.
        single = sizes_of(draft, 1, keep=first)
        if _refusal(original, draft.draw(probe(single))) is not None:
            notes.append("the original refuses a batch of one")
            single = first
    large = large_of(draft, first, single)
    further = [sizes for sizes in (large,) if sizes and _takes(original, draft, sizes)]
    for sizes, dear in long_of(draft, first):
        if dear:
            notes.append(
                f"the model reads a table of {dear:,} rows by position, and sequences that long "
                "are too dear to be compared; give one with --inputs"
            )
        elif _takes(original, draft, sizes):
            further.append(sizes)
            break
    order = tuple(plan(draft, first, second, single, further))
    unread = _unread(draft, first, order)
    return Chosen(_Drawn(tuple(known), draft, order), tuple(notes), unread, draft, first)


def _takes(original: Original, draft: Draft, sizes: Sizes) -> bool:
    return _refusal(original, draft.draw(probe(sizes))) is None


def _unread(draft: Draft, sizes: Sizes, order: tuple[Draw, ...]) -> dict[str, int]:
    blocks = sum(item.block is not None for item in order)
    short = [name for name, wanted in draft.blocks(sizes).items() if wanted > blocks]
    return {
        port.name: blocks * int(np.prod(draft.shape(port, sizes)))
        for port in draft.ports
        if port.name in short
    }


@dataclass(frozen=True)
class _Drawn(Collection[Sample]):
    """Samples drawn anew, and alike, each time they are iterated."""

    known: tuple[Sample, ...]
    draft: Draft
    order: tuple[Draw, ...]

    def __contains__(self, sample: object) -> bool:
        return any(item is sample for item in self)

    def __len__(self) -> int:
        return len(self.known) + len(self.order)

    def __iter__(self) -> Iterator[Sample]:
        yield from self.known
        for item in self.order:
            yield self.draft.draw(item)


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


def _overflows(original: Original, sample: Sample) -> bool:
    """Return whether the original gives NaN or infinities."""
    try:
        outputs = next(iter(original.keep(sample.feeds).values()))
    except RunError:
        return False
    return not all(map(is_finite, outputs))


def _told(attempt: Draft, draft: Draft) -> str:
    """Say which inputs are 0 or 1 because the original overflows on other numbers."""
    names = [name for name in attempt.ranges if name not in draft.ranges]
    return (
        f"the original gives NaN or infinities on other numbers than 0 and 1 in "
        f"{', '.join(map(repr, names))}; to give others, --range {names[0]}=LO,HI"
    )


def _refusal(original: Original, sample: Sample) -> str | None:
    try:
        original.keep(sample.feeds)
    except RunError as error:
        return str(error)
    return None
