"""What became of a model that bnfuse folded: passed, refused with a sentence, or failed and why."""

from __future__ import annotations

import contextlib
import enum
import warnings
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
from onnx.reference import ReferenceEvaluator
from onnx_cases import fed

import bnfuse
from bnfuse.errors import BnfuseError
from bnfuse.verifying.truth.double_ops import ConvTranspose

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from onnx_cases import Case

_ROUNDING = {"float64": 1e-10, "float32": 1e-5, "float16": 1e-2, "bfloat16": 6e-2}
"""Per dtype, the difference that is allowed, over the largest number of an output."""

_LAST_WITH_LISTED_INITIALIZERS = 3


class Status(enum.Enum):
    PASSED = "same outputs"
    UNTOUCHED = "not run, same graph"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True)
class Outcome:
    """What became of one case.

    Attributes:
        status: The result in a word.
        reason: Why it is not the best one.
        folded: How many sites of the model folded.
    """

    status: Status
    reason: str = ""
    folded: int = 0


def judge(case: Case) -> Outcome:
    """Fold a case and compare validity, interface and outputs with the original's."""
    original = case.model.SerializeToString(deterministic=True)
    try:
        result = bnfuse.fold(case.model, verified=False)
    except BnfuseError as error:
        if len(str(error).splitlines()) > 1 or error.exit_code != 2:
            return Outcome(Status.FAILED, f"refused badly: {error}")
        return Outcome(Status.REFUSED, str(error))
    except Exception as error:
        return Outcome(Status.FAILED, f"crashed: {_short(error)}")
    if case.model.SerializeToString(deterministic=True) != original:
        return Outcome(Status.FAILED, "what was given has changed")
    folded = ir.serde.serialize_model(result.model)
    count = sum(site.folded for site in result.report.sites)
    wrong = _validity(case.model, folded) or _interface(case.model, folded, result.report.notes)
    if wrong:
        return Outcome(Status.FAILED, wrong, count)
    return _compare(case, folded, count)


def _validity(before: onnx.ModelProto, after: onnx.ModelProto) -> str:
    try:
        onnx.checker.check_model(before, full_check=True)
    except Exception:
        return ""
    try:
        onnx.checker.check_model(after, full_check=True)
    except Exception as error:
        return f"invalid: {_short(error)}"
    return ""


def _interface(before: onnx.ModelProto, after: onnx.ModelProto, notes: Sequence[str]) -> str:
    # Up to IR version 3 every initialiser is listed as an input; those are not to be fed.
    inputs = fed if before.ir_version <= _LAST_WITH_LISTED_INITIALIZERS else _inputs
    for side, values in (("input", inputs), ("output", _outputs)):
        was, now = ([value.SerializeToString() for value in values(m)] for m in (before, after))
        if was != now:
            return f"the graph's {side}s changed"
    if before.ir_version != after.ir_version:
        return "the IR version changed"
    was, now = (
        {opset.domain.removeprefix("ai.onnx"): opset.version for opset in model.opset_import}
        for model in (before, after)
    )
    if was == now or any(f"opset {was.get('')} was converted" in note for note in notes):
        return ""
    return f"the opset imports changed: {was} became {now}"


def _inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    return list(model.graph.input)


def _outputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    return list(model.graph.output)


def _compare(case: Case, folded: onnx.ModelProto, count: int) -> Outcome:
    run = _runner(case.model, case.feeds)
    if run is None:
        same = _graph(case.model) == _graph(folded)
        why = "" if same else "no runtime here runs it, and its graph changed"
        return Outcome(Status.UNTOUCHED if same else Status.FAILED, why, count)
    again = _runner(folded, case.feeds)
    if again is None:
        return Outcome(Status.FAILED, "cannot be run any more", count)
    for feeds in case.feeds:
        expected = run(feeds)
        numbers = not _differs(expected, run(feeds), numbers=True)
        wrong = _differs(expected, again(feeds), numbers=numbers)
        if wrong:
            return Outcome(Status.FAILED, wrong, count)
    return Outcome(Status.PASSED, "", count)


def _runner(
    model: onnx.ModelProto, feeds: Sequence[dict[str, Any]]
) -> Callable[[dict[str, Any]], Any] | None:
    """What runs a model: the first runtime here that does."""
    for make in (_in_onnxruntime, _in_reference):
        with contextlib.suppress(Exception), warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            run: Callable[[dict[str, Any]], Any] = make(model)
            for feed in feeds:
                run(feed)
            return _quietly(run)
    return None


def _quietly(run: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    def runs(feeds: dict[str, Any]) -> Any:
        with np.errstate(all="ignore"):
            return run(feeds)

    return runs


def _in_onnxruntime(model: onnx.ModelProto) -> Any:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return partial(session.run, None)


def _in_reference(model: onnx.ModelProto) -> Any:
    # Its own gets groups wrong, and the same map written otherwise would differ.
    return partial(ReferenceEvaluator(model, new_ops=[ConvTranspose]).run, None)


def _differs(expected: Any, got: Any, *, numbers: bool) -> str:
    if isinstance(expected, list | tuple):
        if not isinstance(got, list | tuple) or len(expected) != len(got):
            return "another number of outputs"
        found = (_differs(a, b, numbers=numbers) for a, b in zip(expected, got, strict=True))
        return next((wrong for wrong in found if wrong), "")
    if expected is None or got is None:
        return "" if expected is got else "an optional output appeared or disappeared"
    one, two = np.asarray(expected), np.asarray(got)
    if (one.dtype, one.shape) != (two.dtype, two.shape):
        return f"{one.dtype}{list(one.shape)} became {two.dtype}{list(two.shape)}"
    if not numbers:
        return ""
    allowed = _ROUNDING.get(one.dtype.name)
    if allowed is None or one.dtype.kind == "c":
        return "" if one.tobytes() == two.tobytes() or np.array_equal(one, two) else "other values"
    a, b = one.astype(np.float64), two.astype(np.float64)
    finite = np.isfinite(a)
    if (
        not np.array_equal(a[~finite], b[~finite], equal_nan=True)
        or not np.isfinite(b[finite]).all()
    ):
        return "another number is not finite"
    scale = np.max(np.abs(a[finite]), initial=1e-30)
    worst = np.max(np.abs(a[finite] - b[finite]), initial=0.0) / scale
    return f"differs by {worst:.1e} of its largest value" if worst > allowed else ""


def _graph(model: onnx.ModelProto) -> bytes:
    """The graph as onnx_ir writes it, whether folded or not."""
    written = ir.serde.serialize_model(ir.serde.deserialize_model(model))
    return written.graph.SerializeToString(deterministic=True)


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:160]}"
