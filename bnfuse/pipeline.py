"""One model through all stages: load, export, lift, fold, lower, verify, report."""

from __future__ import annotations

__all__ = ["Folded", "convert", "export", "fold", "load"]

import gc
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnfuse.entry import Entry, Request, enter, export_source
from bnfuse.errors import UsageError
from bnfuse.fingerprint import fingerprints
from bnfuse.folding import fold as fold_lifted
from bnfuse.judging import Judge
from bnfuse.lifting import lift
from bnfuse.lifting.prepare import prepare
from bnfuse.loading import load
from bnfuse.lowering import Lowered, lower
from bnfuse.progress import Progress, Silent
from bnfuse.reporting import Counts, Report, site_reports
from bnfuse.target import target_of
from bnfuse.writing import (
    Writing,
    describe,
    files_of,
    model_bytes,
    node_count,
    targets,
    unverified,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import onnx
    import onnx_ir as ir
    from torch import nn

    from bnfuse.entry import Inputs
    from bnfuse.exporting import Exported
    from bnfuse.folding import Application
    from bnfuse.judging import Judge


@dataclass(frozen=True, eq=False)
class Folded:
    """A folded model.

    Attributes:
        model: The model, with no norm left that could be folded.
        report: What happened to each norm, and the proof.
        path: Where it was written; ``None`` when no output was asked for. A candidate that did
            not pass lies at ``*.unverified.onnx``.
    """

    model: ir.Model
    report: Report
    path: Path | None = None


def export(
    source: nn.Module | str | Path,
    inputs: Inputs | None = None,
    *,
    opset: int | None = None,
    model: str | None = None,
    allow: Sequence[str] = (),
    trust: bool = False,
    input_shapes: Sequence[str] = (),
    dtype: str | None = None,
    progress: Progress | None = None,
) -> Exported:
    """Export a module, or a file that holds one, to ONNX with every norm still in it.

    Args:
        source: An ``nn.Module``, or a path that :func:`load` understands.
        inputs: Example tensors for ``forward``; found from the first layers when not given.
        opset: The ONNX operator set to write.
        model: What builds the architecture of a file that only holds weights; see :func:`load`.
        allow: Classes that the file may import; see :func:`load`.
        trust: Let the file run its own code; see :func:`load`.
        input_shapes: The inputs' shapes, as in ``"N,3,224,224"``; see :func:`load`.
        dtype: The example input's dtype.
        progress: Hears of each stage.

    Raises:
        BnfuseError: The source cannot be loaded, run or exported; see ``bnfuse.errors``.
    """
    request = Request(inputs, opset, model, tuple(allow), trust, tuple(input_shapes), dtype)
    return export_source(source, request, progress or Silent())


def fold(
    source: nn.Module | str | Path | onnx.ModelProto | ir.Model,
    inputs: Inputs | None = None,
    *,
    output: str | Path | None = None,
    opset: int | None = None,
    providers: Sequence[str] = ("auto",),
    verified: bool = True,
    model: str | None = None,
    allow: Sequence[str] = (),
    trust: bool = False,
    input_shapes: Sequence[str] = (),
    dtype: str | None = None,
    seed: int = 0,
    localize: bool = False,
    progress: Progress | None = None,
) -> Folded:
    """Fold every norm that can be folded exactly, and prove that the function is the same.

    Args:
        source: An ``nn.Module``, a path that :func:`load` understands, or an ONNX model as a
            ``ModelProto`` or an ``onnx_ir.Model``. Nothing given in memory is changed.
        inputs: Example tensors for the module's ``forward``; found when not given.
        output: Where to write the folded model. It is written only if the verification passed;
            else the candidate is left beside it as ``*.unverified.onnx``.
        opset: The ONNX operator set to export to.
        providers: The execution providers to verify on: ``auto``, ``cpu``, ``cuda`` or a name.
        verified: Whether to verify at all.
        model: What builds the architecture of a file that only holds weights; see :func:`load`.
        allow: Classes that the file may import; see :func:`load`.
        trust: Let the file run its own code; see :func:`load`.
        input_shapes: The inputs' shapes, as in ``"N,3,224,224"``; see :func:`load`.
        dtype: The example input's dtype.
        seed: Seed of the verification's inputs.
        localize: If the verification fails, say at which value the models part and which rule
            application is the first bad one. It costs one more verification for each doubling of
            their number.
        progress: Hears of each stage.

    Returns:
        The folded model and its report. A verification that did not pass is in the report and
        raises nothing.

    Raises:
        BnfuseError: The source cannot be loaded, exported, folded or written.
    """
    return convert(
        source,
        folding=True,
        inputs=inputs,
        output=output,
        opset=opset,
        providers=providers,
        verified=verified,
        model=model,
        allow=allow,
        trust=trust,
        input_shapes=input_shapes,
        dtype=dtype,
        seed=seed,
        localize=localize,
        progress=progress,
    )


def convert(
    source: nn.Module | str | Path | onnx.ModelProto | ir.Model,
    *,
    folding: bool,
    output: str | Path | None = None,
    providers: Sequence[str] = ("auto",),
    verified: bool = True,
    seed: int = 0,
    localize: bool = False,
    progress: Progress | None = None,
    **request: Any,
) -> Folded:
    """What ``bnfuse fold`` and, with ``folding`` off, ``bnfuse export`` do; see :func:`fold`."""
    progress = progress or Silent()
    if verified:
        from bnfuse.verifying.providers import check_names

        check_names(providers)
    if output is not None:
        target_of(output)
        target_of(unverified(Path(output)))
        if isinstance(source, str | Path):
            _refuse_overwriting(Path(source), Path(output))
    entry = enter(source, Request(**request), progress)
    if output is not None:
        for file in files_of(entry.model):
            _refuse_overwriting(file, Path(output))
    if not folding and entry.exporter is None:
        raise UsageError(f"{entry.name!r} is an ONNX model already.", "Give it to `bnfuse fold`.")
    unfolded = entry.model.clone() if localize and verified else None
    inner = _Inner.run(entry, folding, progress, lazily=output is not None)
    inner = replace(inner, report=replace(inner.report, load_flags=_load_flags(request)))
    judge = None
    if verified:
        # What only folds does not wait for the verifier to load.
        from bnfuse.judging import Judge

        judge = Judge(
            entry, inner.lowered, inner.applications, tuple(providers), seed, progress, unfolded
        )
    if output is None:
        report = inner.report.of_size(model_bytes(inner.lowered.model))
        report = report if judge is None else judge(inner.lowered.model, report)
        return Folded(inner.lowered.model, report)
    return _write(inner, Path(output), judge, progress)


@dataclass(frozen=True, eq=False)
class _Inner:
    """The results of the stages between export and verification."""

    lowered: Lowered
    report: Report
    applications: tuple[Application, ...]

    @classmethod
    def run(cls, entry: Entry, folding: bool, progress: Progress, *, lazily: bool) -> _Inner:
        nodes, size = node_count(entry.model), entry.bytes or model_bytes(entry.model)
        with progress.stage("fold" if folding else "find") as line, _uncollected():
            # Without folding the graph stays as it is, node by node: a copy tells of its norms.
            model = entry.model if folding else entry.model.clone()
            interface, notes = prepare(model)
            lifted = lift(model)
            log = fold_lifted(lifted, limit=None if folding else 0)
            lowered = lower(model, lazily=lazily) if folding else Lowered(entry.model, ())
            if folding:
                interface.restore(model)
            report = Report(
                source=entry.name,
                output=None,
                source_files=() if entry.path is None else fingerprints(entry.path),
                kind=entry.kind,
                exporter=entry.exporter,
                opset=entry.model.opset_imports.get("", 0),
                sites=site_reports(lifted, log),
                ops=Counts(nodes, node_count(lowered.model)),
                # What it comes to is known when it is written.
                bytes=Counts(size, size),
                notes=(*entry.notes, *notes),
                merges=log.merges,
                unmerged=log.unmerged,
            )
            norms = report.norms
            line.detail = f"{sum(n.folded for n in norms)} of {len(norms)} norms folded"
        return cls(lowered, report, log.applications)


def _write(inner: _Inner, output: Path, judge: Judge | None, progress: Progress) -> Folded:
    model, report = inner.lowered.model, inner.report
    replaced = output.exists()
    with Writing(output) as writing:
        with progress.stage("write") as line:
            describe(model, report.source, report.source_files, report.folded)
            size = writing.save(model, line.reached)
            line.detail = f"{size / 1e6:,.1f} MB"
        report = report.of_size(size)
        if judge is not None:
            report = judge(writing.candidate, report)
        files = writing.seal(report.verdict)
        if report.verification is None or report.verdict == "PASS":
            path = writing.accept()
        else:
            path, replaced = writing.keep_unverified(model, report.verdict), False
            files = fingerprints(path)
    report = report.of_size(sum(file.bytes for file in files))
    report = replace(report, output=str(path), output_files=files, replaced=replaced)
    return Folded(model, report, path)


def _load_flags(request: Mapping[str, Any]) -> tuple[str, ...]:
    """What the command line needs to load the same source again."""
    flags: list[str] = []
    for name in ("input_shapes", "dtype", "model", "allow", "trust"):
        value, flag = request.get(name), f"--{name.removesuffix('s').replace('_', '-')}"
        several = value if isinstance(value, (list, tuple)) else [value] if value else []
        flags += [word for item in several for word in (flag, item)[: 1 if item is True else 2]]
    return tuple(flags)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keep the garbage collector from going over a graph that only grows: a fifth of the time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _refuse_overwriting(source: Path, output: Path) -> None:
    for path in (output, unverified(output)):
        for target in targets(path):
            if not (target.exists() and source.exists() and target.samefile(source)):
                continue
            what = "the source itself" if target == path else "where the source has its weights"
            when = "" if path == output else ", where a candidate that does not pass would land"
            raise UsageError(
                f"the output {str(target)!r} is {what}{when}.", "Give another path with -o."
            )
