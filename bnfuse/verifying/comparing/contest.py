"""All rows over all samples, holding one sample's values at a time."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from bnfuse.verifying.comparing.doubt import settled, undecided
from bnfuse.verifying.comparing.row import RowComparison
from bnfuse.verifying.original.follow import GAP_FACTOR
from bnfuse.verifying.original.kept import Archive
from bnfuse.verifying.original.runs import (
    CPU_ROWS,
    ExposedModel,
    ExposedSession,
    Exposure,
    Outputs,
    flattened,
    nudged,
)
from bnfuse.verifying.reach.liveness import Liveness, driven_outputs
from bnfuse.verifying.runtime.calibration import SINGLE
from bnfuse.verifying.runtime.floats import is_float, unit_roundoff
from bnfuse.verifying.runtime.sessions import RunError, Session, unproven
from bnfuse.verifying.truth.decisions import decision_behind, margins
from bnfuse.verifying.truth.double import op_types
from bnfuse.verifying.truth.jitter import Jitter
from bnfuse.verifying.truth.partial_sums import Walks
from bnfuse.verifying.truth.sources import NoTruthError, OnnxTruth
from bnfuse.verifying.verdicts.result import Flip

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from bnfuse.verifying.original.follow import Followed, Follower
    from bnfuse.verifying.original.runs import Original, Runs
    from bnfuse.verifying.runtime.onnx_models import OnnxSource
    from bnfuse.verifying.runtime.row import Row
    from bnfuse.verifying.samples.drawing import Sample
    from bnfuse.verifying.truth.sources import TruthSource
    from bnfuse.verifying.verdicts.result import Parity
    from bnfuse.verifying.verdicts.thresholds import Thresholds

__all__ = ["Contest"]

Array = np.ndarray[Any, Any]
Entry: TypeAlias = tuple[RowComparison, ExposedSession | None]


class Contest:
    """One original, one candidate, any number of rows.

    Attributes:
        exact: Whether truth was computed in float64.
        samples: All inputs, those that were found too.
        labels: The samples that were used.
        notes: What a reader should know.
        truth_detail: Why truth is estimated, or what was lifted.
    """

    def __init__(
        self,
        original: Original,
        candidate: OnnxSource,
        truth: TruthSource,
        rows: Sequence[Row],
        thresholds: Thresholds,
        seed: int,
        units: Mapping[str, float] | None = None,
        more: Callable[[list[int]], list[Sample]] | None = None,
        follower: Follower | None = None,
        reached: Callable[[int, int], None] | None = None,
        doing: Callable[[str], None] | None = None,
    ) -> None:
        """Prepare.

        Args:
            original: What is right by definition.
            candidate: What is judged.
            truth: The original in float64.
            rows: What to run on.
            thresholds: What to judge by.
            seed: Of simulated rounding.
            units: The rounding units of outputs carried in a wider type.
            more: Finds further inputs, those among them that change the outputs at given positions.
            follower: Follows decisions that fall otherwise.
            reached: Hears how many samples are done, and of how many.
            doing: Hears what is run on them.
        """
        self._reached = reached
        self._doing = doing
        self._more = more
        self._liveness = Liveness()
        self.exact = True
        self.samples: Collection[Sample] = ()
        self.labels: list[str] = []
        self.notes: list[str] = []
        self._refusals: list[str] = []
        self.truth_detail = ""
        self._original = original
        self._candidate = candidate
        self._truth = truth
        self._rows = rows
        self._thresholds = thresholds
        self._seed = seed
        self._units = dict(units or {})
        self._draws = self._drawn = 0
        self._archive = Archive()
        self._doubtful = ""
        self._undrawn = ""
        self._follower = follower
        self._choices = self._follower.choices if self._follower else ()
        scores = tuple(choice.other_scores for choice in self._choices if choice.scores)
        decisions = tuple(choice.other for choice in self._choices)
        self._exposed = ExposedModel(candidate, Exposure(decisions, scores))
        pools = {"AveragePool", "GlobalAveragePool"}
        self._pooled = not pools.isdisjoint(op_types(candidate.graph))

    def run(self, samples: Collection[Sample]) -> tuple[Parity, ...]:
        """Return every row, judged.

        Args:
            samples: Iterated once more where a candidate would fail by little: then rounding is
                simulated too, so that none fails because the original was lucky.
        """
        entries = [self._open(row) for row in self._rows]
        self._tell("comparing samples")
        self._pass(samples, entries)
        still = self._still()
        found = []
        if self._more is not None:
            self._tell("seeking inputs for what no sample reached")
            found = self._more(still)
        self._pass(found, entries)
        self.samples = samples = [*samples, *found] if found else samples
        unmoved = self._unmoved()
        for comparison, session in entries:
            if session is not None and not comparison.failure:
                reason, comparison.placement = unproven(session.session, comparison.row)
                comparison.doubt = comparison.doubt or reason
            if not self.labels and not comparison.failure:
                comparison.doubt = comparison.doubt or self._none_ran()
            comparison.doubt = comparison.doubt or unmoved
        self.truth_detail = self.truth_detail or self._truth.detail
        return self._with_luck(samples, entries)

    def _none_ran(self) -> str:
        first = f", not on {self._refusals[0]}" if self._refusals else ""
        return f"the original ran on none of the inputs{first}"

    def _with_luck(self, samples: Collection[Sample], entries: list[Entry]) -> tuple[Parity, ...]:
        """Return every row, after simulating the rounding of those that would fail by little."""

        def again(regime: str, draws: int) -> tuple[Parity, ...] | None:
            self._draws, self._doubtful = draws, regime
            self._tell(f"simulating rounding on {regime} inputs")
            for comparison, _ in entries:
                comparison.forget({regime})
            same = [sample for sample in samples if sample.regime == regime]
            self._archive.leave(same)
            return _judged(entries, self.exact) if self._pass(same, entries, known=True) else None

        rows = _judged(entries, self.exact)
        if not self.exact:
            return rows
        rows, most = settled(rows, again, self._thresholds, self._truth.approximates)
        if most:
            self.notes.append(f"rounding was also measured by {most} simulated runs a sample")
        return tuple(undecided(row, self._undrawn) for row in rows) if self._undrawn else rows

    def _tell(self, what: str) -> None:
        if self._doing is not None:
            self._doing(what)

    def _pass(self, samples: Collection[Sample], entries: list[Entry], known: bool = False) -> bool:
        """Compare on samples, ``known`` ones once more; return whether on all of them."""
        total = len(samples)
        for done, sample in enumerate(samples):
            if self._reached is not None:
                self._reached(done, total)
            if not self._add(sample, entries, known):
                return False
        return True

    def _still(self) -> list[int]:
        """Return the positions of outputs that inputs reach and none has changed."""
        if not self._liveness.still():
            return []
        ports = self._candidate.signature.outputs
        if any(port.dtype is None for port in ports):
            return []
        graphs = [self._candidate.graph]
        if isinstance(self._truth, OnnxTruth):
            graphs.append(self._truth.source.graph)
        driven = [any(ways) for ways in zip(*map(driven_outputs, graphs), strict=True)]
        return [n for n in self._liveness.still() if n < len(ports) and driven[n]]

    def _unmoved(self) -> str:
        """Return why nothing is proven of an output that is always the same, and note it."""
        ports = self._candidate.signature.outputs
        still = set(self._still())
        names = [repr(ports[n].name) for n in sorted(still)]
        if not names:
            return ""
        told = f"output {', '.join(names)} is the same on all inputs"
        # A decision is steadier than the scores behind it, which tell of it where compared.
        compared = {port.name for n, port in enumerate(ports) if n not in still}
        compared.update(choice.other_scores for choice in self._choices if choice.scores)
        behind = [decision_behind(self._candidate.graph.graph, ports[n].name) for n in still]
        if not all(decision and decision.inputs[0] in compared for decision in behind):
            return f"{told}, which proves nothing; give inputs that change it with --inputs"
        self.notes.append(f"{told}; the scores that it is decided by are compared")
        return ""

    def _open(self, row: Row) -> Entry:
        names = [port.name for port in self._candidate.signature.outputs]
        comparison = RowComparison(
            row,
            names,
            self._thresholds,
            self._judge_flip,
            self._units,
            frozenset(choice.other_scores for choice in self._choices),
        )
        absence = self._original.absence(row)
        if absence:
            comparison.doubt = f"the original does not open: {absence}"
            return comparison, None
        try:
            return comparison, self._exposed.open(row)
        except RunError as error:
            refused = f"the candidate does not open: {error}"
            if "NOT_IMPLEMENTED" in refused and not isinstance(self._truth, OnnxTruth):
                # No export of the module would open on a runtime that lacks its kernels.
                comparison.doubt = refused
            else:
                comparison.failure = refused
            return comparison, None

    def _add(self, sample: Sample, entries: list[Entry], known: bool) -> bool:
        """Compare on one sample; return whether to go on."""
        kept = self._archive.of(sample)
        try:
            runs = kept.runs or self._original.run(sample.feeds)
        except RunError as error:
            if not known:
                self._refusals.append(f"{sample.label}: {error}")
                self.notes.append(f"the original refused {self._refusals[-1]}")
            return True
        kept.runs = runs
        principal = next(iter(runs.values()))
        truth = None if self._choices else kept.truth
        if self.exact and truth is None:
            try:
                truth = self._exact_outputs(sample)
            except NoTruthError as error:
                if self.labels:
                    self.notes.append(
                        f"{error}: compared on the {len(self.labels)} samples before that"
                    )
                    return False
                self.exact, self.truth_detail = False, str(error)
        if truth is None:
            truth = [_number(value) for value in principal]
            runs = self._with_nudged(sample, runs)
        if not known:
            self.labels.append(sample.label)
            self._liveness.note(truth)
        kept.truth = truth
        simulated = self._simulated(sample, principal, kept.drawn)
        for place, (comparison, session) in enumerate(entries):
            if session is None or comparison.failure:
                continue
            try:
                values = kept.candidates.get(place) or session.run(sample.feeds)
            except RunError as error:
                if error.is_of_memory:
                    # No mistake of the candidate's.
                    told = f"not compared on {sample.label}: too little memory to run the candidate"
                    where = f"{comparison.row.provider}, optimisation {comparison.row.optimization}"
                    self.notes.append(f"{where}: {told}")
                    continue
                comparison.failure = f"the candidate fails on {sample.label}: {error}"
                continue
            kept.candidates[place] = values
            comparison.names = values.names
            honest = self._original.honest(runs, comparison.row)
            if "nudged" in runs and runs["nudged"] is not honest[-1]:
                honest.append(runs["nudged"])
            honest = [self._comparable(run, len(values)) for run in honest]
            followed = [self._followed(run) for run in (values, *honest)]
            comparison.add(sample, values, honest, truth, simulated, followed)
        self._archive.settle(sample)
        return True

    def _comparable(self, run: list[Any], count: int) -> list[Any]:
        """Return a run of the original without its scores, where the candidate tells none."""
        scores = sum(bool(choice.scores) for choice in self._choices)
        if len(run) - count != scores:
            return run
        kept = Outputs(run[:count])
        kept.taken = getattr(run, "taken", ())
        return kept

    def _exact_outputs(self, sample: Sample) -> list[Array]:
        if self._follower is None:
            return flattened((), self._truth.outputs(sample.feeds))[1]
        return flattened((), self._follower.begin(sample))[1]

    def _followed(self, run: Sequence[Any]) -> Followed | None:
        taken = getattr(run, "taken", ())
        if self._follower is None or not self.exact or not taken:
            return None
        return self._follower.follow(taken)

    def _simulated(
        self, sample: Sample, like: Sequence[Any], known: list[list[Any]]
    ) -> list[list[Any]]:
        """Return runs with simulated rounding of the widest unit among the outputs.

        They are added to those that are known.
        """
        units = [unit_roundoff(value.dtype) for value in like if is_float(value.dtype)]
        units += self._units.values()
        wanted = units and sample.regime == self._doubtful
        own = self._follower.own() if wanted and self._choices and self._follower else None
        walks = Walks()
        for draw in range(len(known), self._draws if wanted else 0):
            key = zlib.crc32(sample.label.encode()), self._drawn
            self._drawn += 1
            rng = np.random.default_rng([self._seed, draw, *key])
            try:
                jitter = Jitter(rng, max(units), self._pooled, walks.again())
                values = self._truth.watched(sample.feeds, (), own, jitter=jitter)[0]
            except NoTruthError as error:
                self._undrawn = str(error)
                break
            run = flattened((), values)[1]
            if [value.shape for value in run] == [value.shape for value in like]:
                known.append([*map(_stored, run, like)])
        return known if wanted else []

    def _with_nudged(self, sample: Sample, runs: Runs) -> Runs:
        """Return ``runs`` and one on neighbouring inputs: how far rounding carries."""
        try:
            moved = self._original.run(nudged(sample.feeds, self._seed))
        except RunError:
            return runs
        return {**runs, "nudged": next(iter(moved.values()))}

    def _judge_flip(
        self, name: str, sample: Sample, original: Array, candidate: Array
    ) -> Flip | None:
        """Judge integers that differ by the float decision behind them, if there is one."""
        if not self.exact:
            return None
        source: OnnxSource = (
            self._truth.source if isinstance(self._truth, OnnxTruth) else self._candidate
        )
        decision = decision_behind(source.graph.graph, name)
        if decision is None:
            return None
        scores = self._truth if isinstance(self._truth, OnnxTruth) else OnnxTruth(source)
        try:
            exact = scores.values(decision.inputs, sample.feeds)
            session = Session(source.exposing(decision.inputs), CPU_ROWS[0])
            rough = session.run(sample.feeds)
        except (NoTruthError, RunError):
            return None
        gaps = margins(decision, exact, original, candidate)
        if gaps is None:
            return None
        error = sum(
            float(np.abs(np.asarray(a, np.float64) - b).max(initial=0.0))
            for a, b in zip(rough, exact, strict=True)
        )
        return Flip(
            int(gaps.size), int(original.size), float(gaps.max(initial=0.0)), GAP_FACTOR * error
        )


def _judged(entries: Iterable[Entry], exact: bool) -> tuple[Parity, ...]:
    return tuple(comparison.result(exact) for comparison, _ in entries)


def _stored(value: Array, like: Any) -> Array:
    """Return a simulated output as an output of half precision is: rounded once, when stored."""
    if not is_float(like.dtype) or unit_roundoff(like.dtype) <= SINGLE:
        return value
    with np.errstate(over="ignore"):
        kept = value.astype(like.dtype).astype(np.float64)
    return np.where(np.isfinite(kept), kept, value)


def _number(value: Array) -> Array:
    return np.asarray(value, np.float64) if value.dtype.kind == "f" else value
