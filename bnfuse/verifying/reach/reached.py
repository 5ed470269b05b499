"""What the samples reached of both models' bends, and further inputs for what they did not."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from bnfuse.verifying.reach.liveness import stirring
from bnfuse.verifying.reach.near import near
from bnfuse.verifying.reach.nearest import nearest_bends
from bnfuse.verifying.reach.waking import MOST_DEAR, MOST_WORK, waking
from bnfuse.verifying.runtime.floats import is_finite, is_float
from bnfuse.verifying.runtime.sessions import RunError
from bnfuse.verifying.samples.drawing import Draw, Sizes
from bnfuse.verifying.samples.sizes import sizes_of
from bnfuse.verifying.truth.branches import (
    OVERFLOW,
    added_kinds,
    added_warnings,
    bend_count,
    dormant_warning,
    has_extremes,
    untaken_warnings,
)
from bnfuse.verifying.truth.sources import NoTruthError, OnnxTruth

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bnfuse.verifying.original.follow import Follower
    from bnfuse.verifying.original.original import Side
    from bnfuse.verifying.reach.choose import Chosen
    from bnfuse.verifying.runtime.onnx_models import OnnxSource
    from bnfuse.verifying.samples.drawing import Draft, Sample
    from bnfuse.verifying.truth.branches import Target
    from bnfuse.verifying.verdicts.result import BranchCount

__all__ = ["Reached"]

# Between which regimes inputs near a decision are sought, two and two.
_ENDS = ("signed", "signed", "signed", "wide", "zero", "signed", *["signed"] * 4)
# Runs to find inputs near a decision for each that a search for others may take.
_RUNS = 4


class Reached:
    """Counts the sides that are taken in the original, and in the candidate where it has its own.

    Args:
        side: The original.
        candidate: The candidate.
        chosen: The samples.
        budget: Seconds for float64 runs of the candidate.
        follower: Follows the decisions that both take, if there are any.
        proved: Whether both were proved equal: then nothing that samples miss can tell them apart.
        dear: Whether to seek inputs where few runs take all the products that may be spent.
        unmatched: The value of the candidate at which a proof ended. Inputs are sought for the
            bends next to it before any others.
    """

    def __init__(
        self,
        side: Side,
        candidate: OnnxSource,
        chosen: Chosen,
        budget: float | None,
        follower: Follower | None = None,
        *,
        proved: bool = False,
        dear: bool = True,
        unmatched: str = "",
    ) -> None:
        self._proved = proved
        self._granted = MOST_DEAR if dear else 0
        self._beside = nearest_bends(candidate.graph, unmatched) if unmatched else frozenset()
        self._follower = follower
        self._branches = side.truth.branches
        self._chosen = chosen
        self._original = side.original
        self._truth = side.truth
        self._runs = 0
        self._seen: set[str] = set()
        self._cheap: bool | None = None
        self._other = OnnxTruth(candidate, budget)
        self._others = self._other.branches
        self._kinds = frozenset[str]()
        if isinstance(side.truth, OnnxTruth):
            self._kinds = added_kinds(side.truth.source, candidate)
            if has_extremes(side.truth.source, candidate):
                self._others.largest = float(np.finfo(np.float32).max)

    def more(self, still: Sequence[int]) -> list[Sample]:
        """Return inputs beside the chosen ones.

        Args:
            still: The positions of outputs that the chosen ones did not change.
        """
        draft, sizes = self._chosen.draft, self._chosen.sizes
        found = stirring(self._original, draft, sizes, still) if still and draft and sizes else []
        if not self._proved:
            found += self._waking()
            found += self._near(found)
        return found

    def counts(self) -> tuple[BranchCount, ...]:
        """Return what was counted in the original."""
        return self._branches.counts()

    def notes(self) -> list[str]:
        """Return what a reader should know of what was not reached."""
        if self._proved:
            return []
        counts = self.counts()
        added = added_warnings(self._added()) if self._has_own() else []
        return [*untaken_warnings(counts), *dormant_warning(counts), *added]

    def _has_own(self) -> bool:
        """Return whether the candidate has bends, or overflows, of its own."""
        if isinstance(self._truth, OnnxTruth):
            return bool(self._kinds) or bool(np.isfinite(self._others.largest))
        # A module's ops have other names: their number tells.
        return bend_count(self._other.source) > len(self._branches.counts())

    def _waking(self) -> list[Sample]:
        samples = len(self._chosen.samples)
        if self._chosen.draft is None or not samples:
            return []
        found = self._waking_beside()
        targets = self._branches.targets()
        if isinstance(self._truth, OnnxTruth):
            if targets:
                found += self._woken(self._truth, targets, self._branches.work // samples)
            targets = []
        if not targets and not self._has_own():
            return found
        every = self._smallest_first()
        if not self._has_own() and not self._affords(every):
            return found
        if self._run_other([*every, *found]):
            names = {item.node for item in self._added()}
            others = [item for item in self._others.targets() if item.node in names]
            found += self._waking_other(others)
        return found

    def _waking_beside(self) -> list[Sample]:
        """Return inputs for the candidate's bends next to the value at which a proof ended."""
        if not self._beside:
            return []
        every = self._smallest_first()
        if not self._affords(every) or not self._run_other(every):
            return []
        targets = [item for item in self._others.targets() if item.output in self._beside]
        return self._waking_other(targets)

    def _waking_other(self, targets: Sequence[Target]) -> list[Sample]:
        if not targets:
            return []
        fresh = self._woken(self._other, targets, self._others.work // self._runs)
        self._run_other(fresh)
        return fresh

    def _woken(self, truth: OnnxTruth, targets: Sequence[Target], work: int) -> list[Sample]:
        """Return inputs on which some of ``targets`` are taken; a usual sample takes ``work``."""
        draft, sizes = self._chosen.draft, self._chosen.sizes
        if draft is None or sizes is None:
            return []
        small, less = self._cheaper(draft, sizes, work)
        granted = self._granted // 2
        if less > MOST_WORK:
            # There may be further searches.
            self._granted -= granted
        return self._usable(waking(truth, draft, small, targets, less, granted))

    def _cheaper(self, draft: Draft, sizes: Sizes, work: int) -> tuple[Sizes, int]:
        """Return sizes at which a run takes less work, and how much, if many runs take too much.

        A channel that sleeps does so at all sizes: one row, and as small as the original takes it,
        shows as much of it.
        """
        if work <= MOST_WORK:
            return sizes, work
        least = sizes, work
        before = sum(math.prod(draft.shape(port, sizes)) for port in draft.ports)
        for part in (1, 2, 4):
            single = sizes_of(draft, 1, keep=sizes).by_symbol
            small = Sizes({n: max(1, size // part) for n, size in single.items()})
            after = sum(math.prod(draft.shape(port, small)) for port in draft.ports)
            try:
                self._original.once(draft.draw(Draw("signed", small, "small")).feeds)
            except RunError:
                break
            least = small, work * after // max(before, 1)
            if least[1] <= MOST_WORK:
                break
        return least

    def _near(self, found: Sequence[Sample]) -> list[Sample]:
        """Return inputs next to the original's decisions, between drawn ones or to found ones."""
        draft, sizes, follower = self._chosen.draft, self._chosen.sizes, self._follower
        if draft is None or sizes is None or follower is None or not follower.choices:
            return []
        drawn = [
            draft.draw(Draw(regime, sizes, f"near {n}", block=0)).feeds
            for n, regime in enumerate(_ENDS)
        ]
        work = self._branches.work // max(len(self._chosen.samples), 1)
        if not isinstance(self._truth, OnnxTruth):
            before = self._others.work
            try:
                self._other.outputs(drawn[0])
            except NoTruthError:
                return []
            work = self._others.work - before
        ends = [*zip(drawn[::2], drawn[1::2], strict=True)]
        for sample in found[:2]:
            rest = {
                name: np.full_like(value, np.clip(0.0, *draft.ranges.get(name, (0.0, 0.0))))
                for name, value in sample.feeds.items()
                if is_float(value.dtype)
            }
            ends.insert(2, ({**sample.feeds, **rest}, sample.feeds))
        ways = MOST_WORK // (_RUNS * max(work, 1))
        return self._usable(near(follower, draft.ports, ends[:ways], draft.seed))

    def _smallest_first(self) -> list[Sample]:
        return sorted(self._chosen.samples, key=lambda sample: sample.regime != "zero")

    def _affords(self, every: Sequence[Sample]) -> bool:
        """Return whether the candidate runs at little cost, as the smallest sample shows."""
        if self._cheap is None:
            most = max(MOST_WORK, self._granted // 2)
            self._cheap = self._run_other(every[:1]) and self._others.work <= most
        return self._cheap

    def _run_other(self, samples: Iterable[Sample]) -> bool:
        """Count the candidate's bends on one sample of each regime; return whether it runs."""
        try:
            for sample in samples:
                if sample.regime == "found" or sample.regime not in self._seen:
                    self._other.outputs(sample.feeds)
                    self._runs += 1
                    self._seen.add(sample.regime)
        except NoTruthError:
            return False
        return True

    def _added(self) -> list[BranchCount]:
        """Return what was counted in the candidate of ops that the original has not."""
        known = {(item.node, item.op) for item in self.counts()}
        return [
            item
            for item in self._others.counts()
            if not isinstance(self._truth, OnnxTruth)
            or OVERFLOW in item.sides
            or (item.op in self._kinds and (item.node, item.op) not in known)
        ]

    def _usable(self, samples: Iterable[Sample]) -> list[Sample]:
        """Return the samples on which the original gives finite numbers."""
        found = []
        for sample in samples:
            try:
                outputs = next(iter(self._original.keep(sample.feeds).values()))
            except RunError:
                continue
            if all(map(is_finite, outputs)):
                found.append(sample)
        return found
