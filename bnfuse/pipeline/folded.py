"""A folded model: what a fold gives back, and where it may be written."""

from __future__ import annotations

from bnfuse.verdict import Verdict

__all__ = ["Folded", "refuse_overwriting"]

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bnfuse.errors import UsageError, VerificationError
from bnfuse.onnxfiles.provenance import describe
from bnfuse.onnxfiles.size import files_of
from bnfuse.onnxfiles.write import Writing, targets, unverified
from bnfuse.target import target_of

if TYPE_CHECKING:
    import onnx_ir as ir

    from bnfuse.reporting import Report


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
        if report.verdict is Verdict.PASS:
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
            refuse_overwriting(file, output)
        with Writing(output) as writing:
            describe(self.model, report.source, report.source_files, report.folded)
            writing.save(self.model)
            writing.seal(report.verdict, report.proved)
            return writing.accept()

    def _repr_html_(self) -> str:
        """What a notebook shows: its report."""
        return self.report._repr_html_()

    def __repr__(self) -> str:
        """Return what became of it, in a line."""
        norms = self.report.norms
        folded = f"{sum(norm.folded for norm in norms)} of {len(norms)} norms"
        where = "" if self.path is None else f", {str(self.path)!r}"
        return f"Folded({folded}, {self.report.verdict}{where})"


def refuse_overwriting(source: Path, output: Path) -> None:
    """Refuse an output that is the source, or where the source has its weights.

    Raises:
        UsageError: It is.
    """
    for path in (output, unverified(output)):
        for target in targets(path):
            if not (target.exists() and source.exists() and target.samefile(source)):
                continue
            what = "the source itself" if target == path else "where the source has its weights"
            when = "" if path == output else ", where a candidate that does not pass would land"
            raise UsageError(
                f"the output {str(target)!r} is {what}{when}.", "Give another path with -o."
            )
