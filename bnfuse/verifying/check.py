"""``verify``: is the candidate the same function as the original?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnfuse.verifying.branches import BranchCounter, untaken_warnings
from bnfuse.verifying.constants import Derived, check_constants
from bnfuse.verifying.contest import Contest
from bnfuse.verifying.double import random_ops
from bnfuse.verifying.floats import SUPPORTED, is_float
from bnfuse.verifying.given import given_inputs
from bnfuse.verifying.inputs import choose_samples
from bnfuse.verifying.judge import unjudgeable
from bnfuse.verifying.localize import localize as find_parting
from bnfuse.verifying.models import OnnxSource, Signature, is_onnx, onnx_source
from bnfuse.verifying.originals import ModuleOriginal, OnnxOriginal, Original
from bnfuse.verifying.providers import resolve
from bnfuse.verifying.repro import smallest, worst_of, write_repro
from bnfuse.verifying.result import ConstantParity, Parity, Truth, Verdict, Verification, overall
from bnfuse.verifying.samples import Draft
from bnfuse.verifying.tables import free_integers, index_limits, same_rows, suspects
from bnfuse.verifying.thresholds import Thresholds
from bnfuse.verifying.truth import ModuleTruth, OnnxTruth, TruthSource

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bnfuse.verifying.samples import Sample

__all__ = ["TRUTH_BUDGET", "verify"]

TRUTH_BUDGET = 300.0
"""Seconds that computing truth may take before it is estimated."""


# Tables of so few rows are read as a whole whatever the sizes of the inputs.
_SURELY_READ = 256


def verify(
    original: Any,
    candidate: Any,
    inputs: Any = None,
    *,
    providers: Sequence[str] = ("auto",),
    seed: int = 0,
    truth_budget: float | None = TRUTH_BUDGET,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    derived: Iterable[Derived] = (),
    baseline: Any = None,
    thresholds: Thresholds | None = None,
    load_options: Mapping[str, Any] | None = None,
    localize: bool = False,
    repro: str | Path | None = None,
) -> Verification:
    """Judge whether ``candidate`` computes the same function as ``original``.

    Args:
        original: An ``nn.Module``, the path of an ONNX or module file, an ``onnx.ModelProto`` or
            an ``onnx_ir.Model``. Two ONNX models are judged without importing torch.
        candidate: The path of an ONNX file, an ``onnx.ModelProto`` or an ``onnx_ir.Model``.
        inputs: None to make inputs up from the signature; example inputs to take sizes from; a
            mapping of names to arrays or the path of an ``.npz`` file to compare on real data.
        providers: ``auto``, ``cpu``, ``cuda`` or other providers' names.
        seed: Of the inputs.
        truth_budget: Seconds for the float64 runs; after that the noise of rounding is estimated
            from the original's own runs.
        ranges: ``(low, high)`` by input name.
        derived: For a folded model, what its constants should be in float64.
        baseline: For a module, an unfolded ONNX export of it: one more honest run by which to
            measure rounding. It is never taken for truth.
        thresholds: What to judge by.
        localize: If it fails, say at which of the values that both models name they part. Takes
            two ONNX models, or a ``baseline``.
        repro: If it fails, the folder to write a minimal reproduction to.
        load_options: Passed to :func:`bnfuse.loading.load` if ``original`` is a module file.

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
    new = onnx_source(candidate, "candidate")
    branches = BranchCounter()
    notes: list[str] = []
    plan = resolve(providers)
    contest_original: Original
    old: OnnxSource | None
    truth: TruthSource
    if is_onnx(original):
        source = onnx_source(original, "original")
        early = _signature_gate(source.signature, new.signature) or ""
        obstacle = _obstacle(source, new)
        if early or obstacle:
            return _early(early, obstacle, seed, limits, plan.skipped)
        given = given_inputs(inputs, source.signature.inputs)
        ports = source.signature.inputs
        tables, free = index_limits(source.graph), free_integers(source.graph)
        contest_original, old = OnnxOriginal(source, plan.rows), source
        truth = OnnxTruth(source, truth_budget, branches)
    else:
        from bnfuse.verifying.torch_model import TorchModel

        module, found, more = _module(original, load_options)
        notes += more
        obstacle = _obstacle(new)
        if obstacle:
            return _early("", obstacle, seed, limits, plan.skipped)
        given = given_inputs(found if inputs is None else inputs, new.signature.inputs)
        ports = given.symbolic(new.signature.inputs)
        names = [port.name for port in ports]
        model = TorchModel(module, list(given.extra) or names, given.extra)
        notes += model.notes
        tables, free = index_limits(new.graph), free_integers(new.graph)
        if given.example:
            tables |= model.table_sizes(given.example)
        unfolded = onnx_source(baseline, "baseline") if baseline is not None else None
        contest_original, old = ModuleOriginal(model, unfolded), unfolded
        truth = ModuleTruth(model, truth_budget, branches)

    order = _reading_order(tables, old, new)
    draft = Draft(ports, dict(ranges or {}), tables, free, given.example, seed, order)
    chosen = choose_samples(contest_original, draft, given)
    notes += chosen.notes
    notes += [
        _unread_rows(name, read, tables[name], old, new) for name, read in chosen.sampled.items()
    ]
    contest = Contest(contest_original, new, truth, plan.rows, limits, seed)
    rows = contest.run(chosen.samples)
    rows += tuple(
        Parity(item.provider, level, Verdict.INCONCLUSIVE, item.reason)
        for item in plan.missing
        for level in ("disabled", "all")
    )
    constants: tuple[ConstantParity, ...] = check_constants(candidate, derived)
    counts = branches.counts()
    verdict, reason = overall(rows, constants)
    result = Verification(
        verdict,
        reason,
        rows,
        Truth(truth.kind if contest.exact else "estimated", truth.seconds, contest.truth_detail),
        tuple(contest.labels),
        seed,
        plan.skipped,
        (*notes, *contest.notes, *_lost(rows, limits), *untaken_warnings(counts)),
        constants,
        counts,
        limits,
    )
    if verdict is Verdict.FAIL and (localize or repro is not None):
        result = _explained(result, contest_original, old, new, chosen.samples, localize, repro)
    return result


def _reading_order(
    tables: Mapping[str, int], original: OnnxSource | None, candidate: OnnxSource
) -> dict[str, Any]:
    """Return, for inputs with too many rows to read them all, which to read first."""
    large = [name for name, rows in tables.items() if rows > _SURELY_READ]
    if original is None or not large:
        return {}
    one, two = original.proto(), candidate.proto()
    found = {name: suspects(one, two, name) for name in large}
    return {name: order for name, order in found.items() if order is not None}


def _unread_rows(
    name: str, read: int, rows: int, original: OnnxSource | None, candidate: OnnxSource
) -> str:
    """Return what is known of the rows of a table that no sample reads."""
    known = f"input {name!r} indexes {rows:,} rows, of which {read:,} and the last were read"
    if original is not None and same_rows(original.proto(), candidate.proto(), name):
        return f"{known}; both models hold the same rows, bit for bit"
    return f"{known}; to compare more, give the others with --inputs"


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
        f"{regime} inputs, which were not judged"
        for name, regime in sorted(found)
    ]


def _explained(
    result: Verification,
    original: Original,
    old: OnnxSource | None,
    new: OnnxSource,
    samples: Iterable[Sample],
    where: bool,
    folder: str | Path | None,
) -> Verification:
    """Return ``result`` with what was asked for about its failure."""
    worst = worst_of(result)
    sample = next((s for s in samples if worst is None or s.label == worst.sample), None)
    if sample is None:
        return result
    if where and old is None:
        note = "to localize the failure of a module, give an unfolded export as the baseline"
        result = replace(result, warnings=(*result.warnings, note))
    elif where and old is not None:
        try:
            result = replace(result, localized=find_parting(old, new, sample.feeds))
        except Exception as error:
            note = f"the failure could not be localized: {' '.join(str(error).split())[:200]}"
            result = replace(result, warnings=(*result.warnings, note))
    if folder is not None:
        feeds = smallest(sample.feeds, worst, original)
        write_repro(folder, old, new, feeds, result)
    return result


def _signature_gate(original: Signature, candidate: Signature) -> str:
    """Gate 1: the same inputs and outputs by name, order and count, of the same types."""
    for kind in ("inputs", "outputs"):
        own = getattr(original, kind)
        new = getattr(candidate, kind)
        names, others = [port.name for port in own], [port.name for port in new]
        if len(names) != len(others):
            return (
                f"the candidate has {len(others)} {kind} {others}, "
                f"the original {len(names)} {names}"
            )
        if names != others:
            what = "in another order" if sorted(names) == sorted(others) else "by other names"
            return f"the candidate has its {kind} {what}: {others}, the original {names}"
        for one, two in zip(own, new, strict=True):
            if one.elem_type != two.elem_type:
                return f"{kind[:-1]} {one.name!r} is {two.dtype}, the original's is {one.dtype}"
            if one.dims is not None and two.dims is not None and len(one.dims) != len(two.dims):
                return (
                    f"{kind[:-1]} {one.name!r} has rank {len(two.dims)}, the original's has "
                    f"{len(one.dims)}"
                )
    return ""


def _obstacle(*sources: OnnxSource) -> str:
    """Return why nothing can be judged, or the empty string."""
    drawn = random_ops(sources[0].graph)
    if drawn:
        return f"the model draws random numbers: {', '.join(drawn)}"
    for port in sources[0].signature.inputs:
        if port.dtype is None:
            return f"input {port.name!r} is no tensor, so no values can be made up for it"
    for source in sources:
        for port in (*source.signature.inputs, *source.signature.outputs):
            dtype = port.dtype
            if dtype is not None and is_float(dtype) and dtype.name not in SUPPORTED:
                return (
                    f"{port.name!r} is {dtype.name}, which ONNX Runtime's Python interface does "
                    "not carry; add a Cast to float at the model's edge to judge it"
                )
    return ""


def _early(
    failure: str, obstacle: str, seed: int, thresholds: Thresholds, skipped: tuple[str, ...]
) -> Verification:
    verdict = Verdict.FAIL if failure else Verdict.INCONCLUSIVE
    return Verification(
        verdict, failure or obstacle, seed=seed, skipped=skipped, thresholds=thresholds
    )


def _module(original: Any, options: Mapping[str, Any] | None) -> tuple[Any, Any, list[str]]:
    """Return the module, what inputs are known for it, and notes."""
    if not isinstance(original, (str, Path)):
        return original, None, []
    from bnfuse.loading import load

    loaded = load(original, **dict(options or {}))
    return loaded.module, loaded.inputs, [str(note) for note in loaded.notes]
