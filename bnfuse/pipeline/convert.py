"""One model through all stages: load, export, lift, fold, lower, verify, report."""

from __future__ import annotations

from bnfuse.verdict import Verdict

__all__ = ["convert"]

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnfuse.errors import FoldError, UsageError
from bnfuse.fingerprint import fingerprints
from bnfuse.folding import StoppedFoldError
from bnfuse.loading import LoadOptions, several
from bnfuse.onnxfiles.provenance import describe
from bnfuse.onnxfiles.size import files_of, model_bytes
from bnfuse.onnxfiles.write import Writing, unverified
from bnfuse.pipeline.entry import SourceOptions, enter
from bnfuse.pipeline.folded import Folded, refuse_overwriting
from bnfuse.pipeline.stages import Inner
from bnfuse.progress import Progress, Silent
from bnfuse.target import target_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bnfuse.folding import Application
    from bnfuse.pipeline.entry import Inputs, Source
    from bnfuse.pipeline.verifier import Verifier
    from bnfuse.reporting import Report


def convert(
    source: Source,
    *,
    folding: bool,
    inputs: Inputs | None = None,
    opset: int | None = None,
    options: LoadOptions | None = None,
    output: str | Path | None = None,
    providers: Sequence[str] = ("auto",),
    verified: bool = True,
    seed: int = 0,
    localize: bool = False,
    judging: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Folded:
    """What ``bnfuse fold`` and, with ``folding`` off, ``bnfuse export`` do.

    The arguments are those of :func:`bnfuse.fold`; ``judging`` holds further ones of
    :func:`bnfuse.verify`.
    """
    progress = progress or Silent()
    if verified:
        from bnfuse.verifying.runtime.providers import check_names

        check_names(several(providers))
    if output is not None:
        target_of(output)
        target_of(unverified(Path(output)))
        if isinstance(source, str | os.PathLike):
            refuse_overwriting(Path(source), Path(output))
    entry = enter(source, SourceOptions(inputs, opset, options or LoadOptions()), progress)
    if output is not None:
        for file in files_of(entry.model):
            refuse_overwriting(file, Path(output))
    if not folding and entry.exporter is None:
        raise UsageError(f"{entry.name!r} is an ONNX model already.", "Give it to `bnfuse fold`.")
    judge = None
    if verified:
        # What only folds does not wait for the verifier to load.
        from bnfuse.pipeline.verifier import Verifier

        judge = Verifier(
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
    except StoppedFoldError as error:
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


def _mended(judge: Verifier, inner: Inner, report: Report) -> Inner | None:
    """The fold without what made it fail, if it failed and there is such a fold."""
    if report.verification is None or report.verdict is not Verdict.FAIL:
        return None
    from bnfuse.pipeline.undo import undone, why

    return undone(judge, inner.applications, why(report.verification))


def _without(
    judge: Verifier | None, error: FoldError, applications: Sequence[Application]
) -> Inner:
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
    inner: Inner, output: Path, judge: Verifier | None, progress: Progress, mends: bool
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
            if report.verdict in (Verdict.NOT_VERIFIED, Verdict.PASS):
                path = writing.accept()
            else:
                path, replaced = writing.keep_unverified(model, report.verdict), False
                files = fingerprints(path)
            report = report.of_size(sum(file.bytes for file in files))
            report = replace(report, output=str(path), output_files=files, replaced=replaced)
            return Folded(model, report, path)
    return _write(mended, output, judge, progress, mends=False)
