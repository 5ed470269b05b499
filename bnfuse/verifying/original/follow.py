"""The truth of the rows that a run took: float64 runs that follow another run's decisions.

Where a near tie lets a candidate take other rows than the float64 run does, all that is gathered
by them differs honestly. So each run is measured against a float64 run that takes the same rows,
provided that rounding explains the choice: the alternatives lie, in float64, no further apart
than the rounding of the scores behind them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bnfuse.verifying.original.runs import CPU_ROWS
from bnfuse.verifying.runtime.sessions import RunError, Session
from bnfuse.verifying.truth.boxes import selection_gaps
from bnfuse.verifying.truth.choices import choices, module_choices, takes_decisions
from bnfuse.verifying.truth.decisions import margins
from bnfuse.verifying.truth.double_ops import promoted
from bnfuse.verifying.truth.sources import NoTruthError
from bnfuse.verifying.verdicts.result import Flip

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bnfuse.verifying.original.runs import ModuleOriginal
    from bnfuse.verifying.runtime.onnx_models import OnnxSource
    from bnfuse.verifying.samples.drawing import Sample
    from bnfuse.verifying.truth.choices import Choice
    from bnfuse.verifying.truth.jitter import Jitter
    from bnfuse.verifying.truth.sources import ModuleTruth, OnnxTruth, TruthSource

__all__ = ["GAP_FACTOR", "Followed", "Follower", "follower", "module_follower"]

Array = np.ndarray[Any, Any]

GAP_FACTOR = 4.0
"""Errors of a whole tensor's largest element bound a gap of two of its elements, with room for
the candidate's share."""


@dataclass(frozen=True)
class Followed:
    """What a run that took other rows is measured against.

    Attributes:
        truth: The outputs in float64, with the run's own decisions.
        flips: How the decisions differ.
    """

    truth: Sequence[Array]
    flips: Flip


@dataclass(frozen=True)
class _Path:
    """A float64 run: what came out, and what each decision read and would have taken."""

    outputs: Sequence[Array]
    read: Mapping[str, Sequence[Array]]
    taken: Mapping[str, Array]


class Follower:
    """Follows decisions of one original and one candidate.

    Attributes:
        choices: The decisions that both take.
    """

    def __init__(
        self,
        truth: TruthSource,
        choices: Sequence[Choice],
        rough: Callable[[Mapping[str, Array]], Mapping[str, Array]],
    ) -> None:
        """Prepare.

        Args:
            truth: The original in float64.
            choices: The decisions that both take.
            rough: Runs the original as it is and returns what its decisions read and gave.
        """
        self.choices = tuple(choices)
        truth.extra = tuple(choice.scores for choice in self.choices if choice.scores)
        self._truth = truth
        self._run = rough
        self._sample: Sample | None = None
        self._paths: dict[bytes, _Path] = {}
        self._rounding: list[float] | None = None
        self._rough: Mapping[str, Array] = {}

    def begin(self, sample: Sample) -> list[Array]:
        """Turn to a sample and return its outputs in float64.

        Raises:
            NoTruthError: They cannot be had.
        """
        self._sample, self._paths, self._rounding = sample, {}, None
        return list(self._path(None).outputs)

    def decided(self, feeds: Mapping[str, Array], jitter: Jitter | None = None) -> list[Array]:
        """Return what the original decides on any inputs; with ``jitter`` in float64 that errs.

        Raises:
            NoTruthError: There is no such float64 run.
            RunError: The original refuses the inputs.
        """
        names = [choice.name for choice in self.choices]
        made = (
            self._run(feeds)
            if jitter is None
            else self._truth.watched(feeds, names, jitter=jitter)[2]
        )
        if not made.keys() >= set(names):
            raise RunError("the original decides otherwise on these inputs")
        return [made[name] for name in names]

    def own(self) -> dict[str, Array]:
        """Return what to substitute so that a float64 run takes its own rows again."""
        return dict(self._path(None).taken)

    def follow(self, taken: Sequence[Array]) -> Followed | None:
        """Return what a run is measured against that decided otherwise.

        Args:
            taken: What the run's decisions gave, one array a choice.

        Returns:
            None if it decided as the float64 run does, or if rounding does not explain how.
        """
        first = self._path(None)
        natural = [first.taken[choice.name] for choice in self.choices]
        if all(np.array_equal(one, two) for one, two in zip(taken, natural, strict=True)):
            return None
        try:
            path = self._path(taken)
            rounding = self._rounding_of_scores()
        except (NoTruthError, RunError):
            return None
        count = total = 0
        widest = allowed = 0.0
        for choice, value, error in zip(self.choices, taken, rounding, strict=True):
            expected = path.taken[choice.name]
            total += value.size
            if np.array_equal(value, expected):
                continue
            gaps = self._gaps(choice, path.read[choice.name], expected, value)
            if choice.decision.op == "NonMaxSuppression":
                error = 1.0  # its gaps are in errors already: of scores and of overlaps
            # Beyond the scores' own errors only few may lie, as only the largest bounds them.
            far = 0 if gaps is None else int((gaps > error).sum())
            if gaps is None or (gaps > GAP_FACTOR * error).any() or far > max(2, value.size // 100):
                return None
            count += int(gaps.size)
            widest = max(widest, float(gaps.max(initial=0.0)))
            allowed = max(allowed, GAP_FACTOR * error)
        return Followed(path.outputs, Flip(count, total, widest, allowed))

    def _path(self, taken: Sequence[Array] | None) -> _Path:
        key = b"" if taken is None else b"|".join(np.asarray(v).tobytes() for v in taken)
        if key not in self._paths:
            assert self._sample is not None
            watched = [choice.name for choice in self.choices]
            substitutes = (
                {} if taken is None else dict(zip(watched, map(promoted, taken), strict=True))
            )
            outputs, read, made = self._truth.watched(
                self._sample.feeds, watched, substitutes, count=taken is None
            )
            self._paths[key] = _Path(outputs, read, made)
        return self._paths[key]

    def _rounding_of_scores(self) -> list[float]:
        """Return the largest error of each decision's scores in the original."""
        if self._rounding is None:
            assert self._sample is not None
            self._rough = rough = {
                name: promoted(value) for name, value in self._run(self._sample.feeds).items()
            }
            path = self._path([rough[choice.name] for choice in self.choices])
            self._rounding = [
                sum(
                    _furthest(rough[name], exact)
                    for name, exact in zip(
                        choice.decision.inputs, path.read[choice.name], strict=False
                    )
                    if name in rough and exact.dtype == np.float64
                )
                for choice in self.choices
            ]
        return self._rounding

    def _gaps(
        self, choice: Choice, read: Sequence[Array], expected: Array, value: Array
    ) -> Array | None:
        """Return how far the alternatives lie apart in float64, or None if that is unknown."""
        decision = choice.decision
        if decision.op == "NonMaxSuppression":
            rough = [self._rough.get(name) for name in decision.inputs[:2]]
            return selection_gaps(read, rough, value, decision.centred)
        if value.shape != expected.shape:
            return None
        if value.dtype.kind == "f":
            # Whole numbers in floats.
            if not (np.isfinite(value).all() and np.isfinite(expected).all()):
                return None
            expected, value = expected.astype(np.int64), value.astype(np.int64)
        return margins(decision, list(read), expected, value)


def follower(truth: OnnxTruth, candidate: OnnxSource) -> Follower:
    """Return what follows the decisions of an ONNX model and its candidate."""
    found = choices(truth.source.graph, candidate.graph)
    names = [choice.name for choice in found]
    names += [name for choice in found for name in choice.decision.inputs]
    made = {name for node in truth.source.graph.graph.node for name in node.output}
    known = [name for name in dict.fromkeys(names) if name in made]
    sessions: list[Session] = []

    def rough(feeds: Mapping[str, Array]) -> dict[str, Array]:
        if not sessions:
            sessions.append(Session(truth.source.exposing(known), CPU_ROWS[0]))
        return dict(zip(known, sessions[0].run(feeds), strict=True))

    return Follower(truth, found, rough)


def module_follower(
    truth: ModuleTruth, original: ModuleOriginal, candidate: OnnxSource, sample: Sample
) -> Follower | None:
    """Return what follows the decisions of a module and its candidate, if they take any.

    From here on the original's runs tell their decisions and the scores behind them.
    """
    if not takes_decisions(candidate.graph):
        return None
    try:
        found = module_choices(truth.decisions(sample.feeds), candidate.graph)
    except NoTruthError:
        return None
    original.choices = found
    return Follower(truth, found, original.rough) if found else None


def _furthest(one: Array, two: Array) -> float:
    if one.shape != two.shape:
        return 0.0
    gap = np.abs(np.asarray(one, np.float64) - two)
    return float(gap[np.isfinite(gap)].max(initial=0.0))
