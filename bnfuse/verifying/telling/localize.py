"""Where two models part: value by value, and rewrite by rewrite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from bnfuse.verdict import Verdict
from bnfuse.verifying.original.runs import CPU_ROWS
from bnfuse.verifying.runtime.sessions import RunError, Session
from bnfuse.verifying.truth.sources import OnnxTruth
from bnfuse.verifying.verdicts.result import LocalizedValue

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import onnx

    from bnfuse.verifying.runtime.onnx_models import OnnxSource

__all__ = ["first_bad_step", "localize"]

Array = np.ndarray[Any, Any]
Step = TypeVar("Step")


def localize(
    original: OnnxSource, candidate: OnnxSource, feeds: Mapping[str, Array]
) -> tuple[LocalizedValue, ...]:
    """Return, for every float value that both models name, what arrives and what is introduced.

    The error that arrives is that of the candidate run by ONNX Runtime, as a part of truth's rms.
    The error introduced is that of the candidate's nodes between this value and the named values
    before it, computed in float64 from the original's exact values: rounded constants show as
    1e-8, a mistake as itself.

    Raises:
        NoTruthError: ``onnx.reference`` does not run one of the models.
    """
    names = _shared(original.graph, candidate.graph)
    own = [port.name for port in original.signature.inputs]
    if not set(own) <= set(feeds) and len(own) == len(feeds):
        # An export of a module names its inputs after the module's parameters.
        mine: Mapping[str, Array] = dict(zip(own, feeds.values(), strict=True))
    else:
        mine = feeds
    exact = {
        name: value
        for name, value in OnnxTruth(original).watched(mine, names)[2].items()
        if isinstance(value, np.ndarray) and value.dtype == np.float64
    }
    # From exact values again behind each of them.
    made = OnnxTruth(candidate).watched(feeds, exact, exact)[2]
    arrived = _arrived(candidate, feeds, list(exact))
    return tuple(
        LocalizedValue(
            name, _distance(arrived.get(name), exact[name]), _distance(value, exact[name])
        )
        for name, value in ((name, made[name]) for name in exact if name in made)
    )


def first_bad_step(
    verdict_of: Callable[[Any], Verdict],
    steps: Sequence[tuple[Step, Callable[[], Any]]],
) -> Step | None:
    """Return the first rewrite after which the model is no longer right, by bisection.

    What is returned has been seen: the model before that step does not fail and the model after
    it does. It is the first such step unless a later one undoes an earlier one's mistake.

    Args:
        verdict_of: Judges one model, such as ``lambda model: verify(original, model).verdict``.
        steps: In the order of application: what to call it, and what makes the model as it is
            after that rewrite and all before it. The model before the first is taken for right.

    Returns:
        What the step is called; None if the last model is right.
    """
    if not steps or verdict_of(steps[-1][1]()) is not Verdict.FAIL:
        return None
    right, wrong = -1, len(steps) - 1
    while wrong - right > 1:
        middle = (right + wrong) // 2
        if verdict_of(steps[middle][1]()) is Verdict.FAIL:
            wrong = middle
        else:
            right = middle
    return steps[wrong][0]


def _shared(one: onnx.ModelProto, two: onnx.ModelProto) -> set[str]:
    return _made(one) & _made(two)


def _made(model: onnx.ModelProto) -> set[str]:
    return {name for node in model.graph.node for name in node.output if name}


def _arrived(
    candidate: OnnxSource, feeds: Mapping[str, Array], names: list[str]
) -> dict[str, Array]:
    try:
        values = Session(candidate.exposing(names), CPU_ROWS[0]).run(feeds)
    except RunError:
        return {}
    return dict(zip(names, values, strict=True))


def _distance(value: Any, exact: Array) -> float:
    if not isinstance(value, np.ndarray) or value.shape != exact.shape:
        return float("inf")
    with np.errstate(all="ignore"):
        gap = np.asarray(value, np.float64) - exact
        finite = np.isfinite(gap)
        size = float(np.sqrt(np.mean(exact[finite] ** 2))) if finite.any() else 0.0
        error = float(np.sqrt(np.mean(gap[finite] ** 2))) if finite.any() else 0.0
    return error / size if size else error
