"""One model through all stages: load, export, lift, fold, lower, verify, report."""

from __future__ import annotations

__all__ = ["Folded", "convert", "export", "fold", "load"]

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnfuse.errors import FoldError, UsageError, VerificationError
from bnfuse.fingerprint import fingerprints
from bnfuse.loading import load, several
from bnfuse.onnxfiles.provenance import describe
from bnfuse.onnxfiles.size import (
    files_of,
    model_bytes,
)
from bnfuse.onnxfiles.write import (
    Writing,
    targets,
    unverified,
)
from bnfuse.pipeline.entry import Request, enter, export_source
from bnfuse.pipeline.stages import Inner
from bnfuse.progress import Progress, Silent
from bnfuse.reporting import Report
from bnfuse.target import target_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx_ir as ir

    from bnfuse.exporting import Exported
    from bnfuse.folding import Application
    from bnfuse.pipeline.entry import Inputs, Source
    from bnfuse.pipeline.verifier import Judge


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

    def raise_for_verdict(self) -> Folded:
        """Return this, for what may only go on where the verification passed.

        Raises:
            VerificationError: It failed, or nothing could be judged, or nothing was.
        """
        report = self.report
        if report.verdict == "PASS":
            return self
        why = "the fold was not verified" if report.verification is None else report.verdict
        reason = "" if report.verification is None else f": {report.verification.reason}"
        raise VerificationError(f"{why}{reason}.", "report.verification says what was compared.")

    def save(self, path: str | Path) -> Path:
        """Write the model where :func:`fold` with ``output`` would, and return where it lies.

        Raises:
            VerificationError: The verification did not pass; what was not verified is written.
            OutputError: There is no writing there.
        """
        if self.report.verification is not None:
            self.raise_for_verdict()
        report, output = self.report, Path(path)
        target_of(output)
        for file in files_of(self.model):
            _refuse_overwriting(file, output)
        with Writing(output) as writing:
            describe(self.model, report.source, report.source_files, report.folded)
            writing.save(self.model)
            writing.seal(report.verdict, report.proved)
            return writing.accept()

    def __repr__(self) -> str:
        """Return what became of it, in a line."""
        norms = self.report.norms
        folded = f"{sum(norm.folded for norm in norms)} of {len(norms)} norms"
        where = "" if self.path is None else f", {str(self.path)!r}"
        return f"Folded({folded}, {self.report.verdict}{where})"


def export(
    source: Source,
    inputs: Inputs | None = None,
    *,
    opset: int | None = None,
    model: str | None = None,
    allow: Sequence[str] = (),
    trust: bool = False,
    input_shapes: Sequence[str] = (),
    dtype: str | None = None,
    weights: str | None = None,
    progress: Progress | None = None,
) -> Exported:
    """Export a module, or a file that holds one, to ONNX with every norm still in it.

    Args:
        source: A module, or what one can be made of, in the forms that :func:`fold` takes.
        inputs: Example tensors for ``forward``; found from the first layers when not given.
        opset: The ONNX operator set to write.
        model: What builds the architecture of a file that only holds weights; see :func:`load`.
        allow: Classes that the file may import; see :func:`load`.
        trust: Let the file run its own code; see :func:`load`.
        input_shapes: The inputs' shapes, as in ``"N,3,224,224"``; see :func:`load`.
        dtype: The example input's dtype.
        weights: Which of several models in a checkpoint; see :func:`load`.
        progress: Hears of each stage.

    Raises:
        BnfuseError: The source cannot be loaded, run or exported; see ``bnfuse.errors``.
    """
    request = Request(
        inputs, opset, model, several(allow), trust, several(input_shapes), dtype, weights
    )
    return export_source(source, request, progress or Silent())


def fold(
    source: Source,
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
    weights: str | None = None,
    seed: int = 0,
    localize: bool = False,
    progress: Progress | None = None,
) -> Folded:
    """Fold every norm that can be folded exactly, and prove that the function is the same.

    Args:
        source: A path that :func:`load` understands; an ``nn.Module``, an ``ExportedProgram`` or,
            with ``model``, a state_dict; an ONNX model as a ``ModelProto``, an ``onnx_ir.Model``,
            torch's ``ONNXProgram`` or the bytes of a file; or what :func:`load`, :func:`export`
            or :func:`fold` returned. Nothing given in memory is changed.
        inputs: Example tensors or arrays for the module's ``forward``; found when not given.
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
        weights: Which of several models in a checkpoint; see :func:`load`.
        seed: Seed of the verification's inputs.
        localize: If the verification fails, say at which value the models part and which rule
            application is the first bad one, and take nothing back. It costs one more
            verification for each doubling of their number.
        progress: Hears of each stage.

    Returns:
        The folded model and its report. Where the whole fold fails its verification, or a second
        derivation does not confirm a constant of it, the rule applications to blame are taken back
        (``report.undone``) and the rest is verified and returned. A verification that did not pass
        is in the report and raises nothing.

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
        allow=several(allow),
        trust=trust,
        input_shapes=several(input_shapes),
        dtype=dtype,
        weights=weights,
        seed=seed,
        localize=localize,
        progress=progress,
    )


def convert(
    source: Source,
    *,
    folding: bool,
    output: str | Path | None = None,
    providers: Sequence[str] = ("auto",),
    verified: bool = True,
    seed: int = 0,
    localize: bool = False,
    judging: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    **request: Any,
) -> Folded:
    """What ``bnfuse fold`` and, with ``folding`` off, ``bnfuse export`` do; see :func:`fold`.

    ``judging`` holds further arguments of :func:`bnfuse.verifying.verify`.
    """
    progress = progress or Silent()
    if verified:
        from bnfuse.verifying.runtime.providers import check_names

        check_names(several(providers))
    if output is not None:
        target_of(output)
        target_of(unverified(Path(output)))
        if isinstance(source, str | os.PathLike):
            _refuse_overwriting(Path(source), Path(output))
    entry = enter(source, Request(**request), progress)
    if output is not None:
        for file in files_of(entry.model):
            _refuse_overwriting(file, Path(output))
    if not folding and entry.exporter is None:
        raise UsageError(f"{entry.name!r} is an ONNX model already.", "Give it to `bnfuse fold`.")
    judge = None
    if verified:
        # What only folds does not wait for the verifier to load.
        from bnfuse.pipeline.verifier import Judge

        judge = Judge(
            entry,
            several(providers),
            seed,
            progress,
            entry.model.clone(),
            localize,
            dict(judging or {}),
        )
    mends = folding and not localize
    try:
        with progress.stage("fold" if folding else "find") as line:
            inner = Inner.run(entry, entry.model, folding=folding, lazily=output is not None)
            norms = inner.report.norms
            line.detail = f"{sum(n.folded for n in norms)} of {len(norms)} norms folded"
    except FoldError as error:
        inner, mends = _without(judge if mends else None, error, error.applications), False
    if output is not None:
        return _write(inner, Path(output), judge, progress, mends)
    report = inner.report.of_size(model_bytes(inner.lowered.model))
    if judge is not None:
        report = judge(inner.lowered.model, inner, report)
        mended = _mended(judge, inner, report) if mends else None
        if mended is not None:
            inner = mended
            report = inner.report.of_size(model_bytes(inner.lowered.model))
            report = judge(inner.lowered.model, inner, report)
    return Folded(inner.lowered.model, report)


def _mended(judge: Judge, inner: Inner, report: Report) -> Inner | None:
    """The fold without what made it fail, if it failed and there is such a fold."""
    if report.verification is None or report.verdict != "FAIL":
        return None
    from bnfuse.pipeline.undo import undone, why

    return undone(judge, inner.applications, why(report.verification))


def _without(judge: Judge | None, error: FoldError, applications: Sequence[Application]) -> Inner:
    """The fold without what a second derivation does not confirm.

    Raises:
        FoldError: That is not asked for, or there is no such fold.
    """
    if judge is not None:
        from bnfuse.pipeline.undo import undone

        found = undone(judge, applications, str(error))
        if found is not None:
            return found
    raise error


def _write(
    inner: Inner, output: Path, judge: Judge | None, progress: Progress, mends: bool
) -> Folded:
    model, report = inner.lowered.model, inner.report
    replaced = output.exists()
    with Writing(output) as writing:
        mended = None
        try:
            with progress.stage("write") as line:
                describe(model, report.source, report.source_files, report.folded)
                size = writing.save(model, line.reached)
                line.detail = f"{size / 1e6:,.1f} MB"
        except FoldError as error:
            # A weight is computed, and held to its second derivation, when it is written.
            mended = _without(judge if mends else None, error, inner.applications)
        else:
            report = report.of_size(size)
            if judge is not None:
                report = judge(writing.candidate, inner, report)
                mended = _mended(judge, inner, report) if mends else None
        if mended is None:
            files = writing.seal(report.verdict, report.proved)
            if report.verification is None or report.verdict == "PASS":
                path = writing.accept()
            else:
                path, replaced = writing.keep_unverified(model, report.verdict), False
                files = fingerprints(path)
            report = report.of_size(sum(file.bytes for file in files))
            report = replace(report, output=str(path), output_files=files, replaced=replaced)
            return Folded(model, report, path)
    return _write(mended, output, judge, progress, mends=False)


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
