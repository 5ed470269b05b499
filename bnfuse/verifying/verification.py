"""``verify``: is the candidate the same function as the original?"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from bnfuse.loading import LoadOptions, as_source, several
from bnfuse.verdict import Verdict
from bnfuse.verifying.candidate import Candidate
from bnfuse.verifying.comparing.constants import check_constants
from bnfuse.verifying.comparing.contest import Contest
from bnfuse.verifying.original.follow import follower, module_follower
from bnfuse.verifying.original.original import module_side, onnx_side
from bnfuse.verifying.original.runs import ModuleOriginal
from bnfuse.verifying.reach.choose import choose_samples, unsteadiness
from bnfuse.verifying.reach.claimed_sizes import kept, module_bounds, told
from bnfuse.verifying.reach.products import product_count
from bnfuse.verifying.reach.reached import Reached
from bnfuse.verifying.runtime.floats import unit_roundoff
from bnfuse.verifying.runtime.narrow_types import is_narrow, widened
from bnfuse.verifying.runtime.onnx_models import is_onnx, onnx_source, signature_gate, weight_count
from bnfuse.verifying.runtime.providers import resolve
from bnfuse.verifying.samples.index_tables import position_ends
from bnfuse.verifying.samples.reading_order import reading_order, unread_rows
from bnfuse.verifying.telling.explain import Failure, explained
from bnfuse.verifying.truth.double import random_ops
from bnfuse.verifying.truth.sources import ModuleTruth, NoTruthError, OnnxTruth
from bnfuse.verifying.verdicts.judge import PRINCIPAL, broken_runtime, unjudgeable
from bnfuse.verifying.verdicts.proof import proof_of
from bnfuse.verifying.verdicts.result import ConstantParity, Parity, Truth, Verification, overall
from bnfuse.verifying.verdicts.thresholds import Thresholds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from bnfuse.verifying.original.follow import Follower
    from bnfuse.verifying.runtime.onnx_models import OnnxSource
    from bnfuse.verifying.samples.drawing import Sample
    from bnfuse.verifying.truth.sources import TruthSource
    from bnfuse.verifying.verdicts.proof import Wanted

__all__ = ["TRUTH_BUDGET", "verify"]

TRUTH_BUDGET = 300.0
"""Seconds that computing truth may take before it is estimated."""

# Rounding units from truth beyond which an original is said to hide mistakes.
_BLIND = 1e3


def verify(
    original: Any,
    candidate: Any,
    inputs: Any = None,
    *,
    providers: Sequence[str] = ("auto",),
    seed: int = 0,
    truth_budget: float | None = TRUTH_BUDGET,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    thresholds: Thresholds | None = None,
    load_options: LoadOptions | Mapping[str, Any] | None = None,
    localize: bool = False,
    repro: str | Path | None = None,
    proof: Wanted = "try",
    reached: Callable[[int, int], None] | None = None,
    doing: Callable[[str], None] | None = None,
) -> Verification:
    """Judge whether ``candidate`` computes the same function as ``original``.

    Args:
        original: A model in any form that ``bnfuse.fold`` takes. Two ONNX models are judged
            without importing torch.
        candidate: An ONNX model in any of these forms, or a :class:`Candidate`.
        inputs: None to make inputs up from the signature; an example tensor or array, or a
            sequence of them, to take sizes from; a mapping of names to arrays or the path of an
            ``.npz`` file to compare on real data.
        providers: ``auto``, ``cpu``, ``cuda`` or other providers' names.
        seed: Of the inputs.
        truth_budget: Seconds for the float64 runs; after that the noise of rounding is estimated
            from the original's own runs.
        ranges: ``(low, high)`` by input name.
        thresholds: What to judge by.
        localize: If it fails, say at which of the values that both models name they part. A
            module is exported for that.
        repro: If it fails, the folder to write a minimal reproduction to.
        proof: Whether to look for a proof first, so that few samples are enough where the
            original is an ONNX model, or to pass nothing without one.
        reached: Hears how many samples have been compared, and of how many, as they are.
        doing: Hears what is being run.
        load_options: How ``original`` is loaded if it is the file of a module, or its weights.

    Returns:
        The verdict with everything it rests on.

    Raises:
        LoadError: A file cannot be read.
        UsageError: ``inputs`` or ``ranges`` do not fit the model.

    Example:
        >>> import onnx
        >>> from bnfuse.verifying import verify
        >>> model = onnx.parser.parse_model('''
        ...     <ir_version: 8, opset_import: ["": 17]>
        ...     agraph (float[N, 4] x) => (float[N, 4] y) { y = Relu(x) }''')
        >>> verify(model, model, providers=["cpu"]).verdict.value
        'PASS'
    """
    limits = thresholds or Thresholds()
    if isinstance(load_options, LoadOptions):
        loading = load_options
    else:
        loading = LoadOptions.of(None, load_options or {})
    plan = resolve(several(providers))
    original, found = as_source(original)
    made = candidate if isinstance(candidate, Candidate) else Candidate(candidate)
    candidate = as_source(made.model).source
    inputs = found if inputs is None else inputs
    new = onnx_source(candidate, "candidate")
    if is_onnx(original):
        source = onnx_source(original, "original")
        failure = signature_gate(source.signature, new.signature)
        obstacle = "" if failure else _obstacle(source)
    else:
        failure, obstacle = "", _obstacle(new) or _uncarried(new)

    def early(failure: str, obstacle: str) -> Verification:
        verdict = Verdict.FAIL if failure else Verdict.INCONCLUSIVE
        return Verification(
            verdict, failure or obstacle, seed=seed, skipped=plan.skipped, thresholds=limits
        )

    if failure or obstacle:
        return early(failure, obstacle)
    export = None if made.unfolded is None else onnx_source(made.unfolded, "export")
    shown = export if localize or repro is not None else None
    proved = (
        proof_of(source, new, proof, "the original")
        if is_onnx(original)
        else proof_of(export, new, proof, "its export")
    )
    side = (
        onnx_side(source, new, inputs, plan.rows, truth_budget)
        if is_onnx(original)
        else module_side(original, new, inputs, truth_budget, shown, loading)
    )
    if side.model is not None:
        failure = side.model.order_fault([port.name for port in side.draft.ports])
        if failure:
            return early(failure, "")
    judged = widened(new)
    draft = replace(
        side.draft,
        ranges=dict(ranges or {}),
        seed=seed,
        order=reading_order(side.draft.limits, side.graph, new),
        weights=weight_count(new.graph),
        products=partial(product_count, new),
        ends=position_ends(new.graph),
    )
    # Only an original may ask to be left alone beyond some sizes.
    doubted: list[str] = []
    if side.model is not None:
        bounds, doubted = module_bounds(side.model, new, export, draft)
        draft = replace(draft, bounds=bounds)
    if doing is not None:
        doing("finding sizes that the original takes")
    few = proved is not None and proved.proved and is_onnx(original)
    chosen = choose_samples(side.original, draft, side.given, few=few)
    if side.model is not None and chosen.draft is None and not side.given.real and new.bounds:
        # The module takes none of the usual sizes: perhaps those that the candidate tells.
        draft = replace(draft, bounds=kept(side.original, draft, new.bounds))
        chosen = choose_samples(side.original, draft, side.given, few=few)
    obstacle = unsteadiness(side.original, chosen.samples)
    if obstacle:
        detail = _why_no_truth(side.truth, chosen.samples)
        return replace(early("", obstacle), truth=Truth("estimated", side.truth.seconds, detail))
    unread = [
        unread_rows(name, read, side.draft.limits[name], side.graph, new)
        for name, read in chosen.sampled.items()
    ]
    follows: Follower | None = None
    if isinstance(side.truth, OnnxTruth):
        follows = follower(side.truth, judged)
    elif isinstance(side.original, ModuleOriginal) and isinstance(side.truth, ModuleTruth):
        first = next(iter(chosen.samples), None)
        if first is not None:
            follows = module_follower(side.truth, side.original, judged, first)
        if follows is not None:
            side.original.forget()
    reach = Reached(
        side,
        judged,
        chosen,
        truth_budget,
        follows,
        proved=few,
        dear=proved is None or not proved.proved,
        unmatched="" if proved is None else proved.value,
    )
    contest = Contest(
        side.original,
        judged,
        side.truth,
        plan.rows,
        limits,
        seed,
        _units(new),
        reach.more,
        follows,
        reached,
        doing,
    )
    rows = contest.run(chosen.samples)
    rows += tuple(
        Parity(item.provider, level, Verdict.INCONCLUSIVE, item.reason)
        for item in plan.missing
        for level in ("disabled", "all")
    )
    constants: tuple[ConstantParity, ...] = check_constants(candidate, made.derived)
    verdict, reason = overall(rows, constants, proved)
    result = Verification(
        verdict,
        reason,
        rows,
        Truth(
            side.truth.kind if contest.exact else "estimated",
            side.truth.seconds,
            contest.truth_detail,
        ),
        tuple(contest.labels),
        seed,
        plan.skipped,
        (
            *side.notes,
            *_bounded(draft.bounds),
            *doubted,
            *chosen.notes,
            *unread,
            *contest.notes,
            *_lost(rows, limits),
            *_blind(rows),
            *_broken(rows),
            *reach.notes(),
        ),
        constants,
        reach.counts(),
        limits,
        proof=proved,
    )
    if verdict is Verdict.FAIL and (localize or repro is not None):
        failed = Failure(side, new, contest.samples, original, loading)
        result = explained(result, failed, localize, repro)
    return result


def _lost(rows: tuple[Parity, ...], thresholds: Thresholds) -> list[str]:
    """Return what could not be judged though something else could."""
    found = {
        (output.name, regime)
        for row in rows
        for output in row.outputs
        for regime in unjudgeable(output.measures, thresholds)
    }
    return [
        f"the original itself is more than {thresholds.limit:.0%} from truth in {name!r} on "
        f"{regime} inputs, or too large to measure, and was not judged on them"
        for name, regime in sorted(found)
    ]


def _why_no_truth(truth: TruthSource, samples: Iterable[Sample]) -> str:
    try:
        truth.outputs(next(iter(samples)).feeds)
    except NoTruthError as error:
        return str(error)
    return ""


def _bounded(bounds: Mapping[str, tuple[int | None, int | None]]) -> list[str]:
    """Say at which sizes alone the candidate was judged, as a model asks."""
    return [
        f"the model says that it is valid for {told(symbol, *ends)}, and the candidate was "
        "compared there"
        for symbol, ends in bounds.items()
        if ends != (None, None)
    ]


def _blind(rows: tuple[Parity, ...]) -> list[str]:
    """Return where the original's own rounding is so large that it hides small mistakes."""
    found = {
        output.name: max(
            item.original_rms / item.truth_rms / item.unit
            for item in output.measures
            if item.axis < 0 and item.regime in PRINCIPAL and item.truth_rms > 0
        )
        for row in rows
        for output in row.outputs
        if any(m.axis < 0 and m.regime in PRINCIPAL and m.truth_rms > 0 for m in output.measures)
    }
    return [
        f"the original itself is {units:,.0f} rounding units from truth in {name!r}: no mistake "
        "smaller than that can be seen there"
        for name, units in found.items()
        if units > _BLIND
    ]


def _broken(rows: tuple[Parity, ...]) -> list[str]:
    """Return where the runtime breaks the original and not the candidate."""
    found = {
        (row.provider, row.optimization): (output.name, item)
        for row in rows
        if row.verdict is Verdict.PASS
        for output in row.outputs
        for item in output.measures
        if item.broken
    }
    return [
        f"{provider}, optimisation {level}: output {name!r}: {broken_runtime(item)}; the "
        "candidate is right there"
        for (provider, level), (name, item) in found.items()
    ]


def _obstacle(source: OnnxSource) -> str:
    """Return why nothing can be judged by this graph, or the empty string."""
    drawn = random_ops(source.graph)
    if drawn:
        return f"the model draws random numbers: {', '.join(drawn)}"
    for port in source.signature.inputs:
        if port.dtype is None:
            return f"input {port.name!r} is no tensor, so no values can be made up for it"
    return ""


def _uncarried(source: OnnxSource) -> str:
    """Return which edge of a module's candidate its arrays cannot pass, or the empty string."""
    for port in (*source.signature.inputs, *source.signature.outputs):
        if is_narrow(port):
            return (
                f"{port.name!r} is {port.dtype}, in which numpy and torch exchange no values; add "
                "a cast to float at the module's edge, or give an ONNX export as the original"
            )
    return ""


def _units(source: OnnxSource) -> dict[str, float]:
    """Return the rounding units of outputs that sessions carry in a wider type."""
    return {
        port.name: unit_roundoff(port.dtype)
        for port in source.signature.outputs
        if port.dtype is not None and is_narrow(port)
    }
