"""Verify a fold, and find the rule application to blame where it fails."""

from __future__ import annotations

__all__ = ["Verifier"]

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from bnfuse.errors import FoldError
from bnfuse.pipeline.stages import Inner
from bnfuse.reporting.blame import Blame
from bnfuse.verifying import Candidate, Derived, Verdict, first_bad_step, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import onnx_ir as ir

    from bnfuse.lowering import Lowered
    from bnfuse.pipeline.entry import Entry
    from bnfuse.progress import Progress, StageLine
    from bnfuse.reporting import Report
    from bnfuse.verifying import Verification


@dataclass(frozen=True, eq=False)
class Verifier:
    """Verifies a candidate against what was given.

    Attributes:
        entry: What was given.
        unfolded: The model before the fold.
        localize: Whether a failure is to be explained, by its values and by its rules.
        options: Further arguments of the verification; its inputs among them take the place of
            the entry's.
    """

    entry: Entry
    providers: tuple[str, ...]
    seed: int
    progress: Progress
    unfolded: ir.Model
    localize: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, candidate: Path | ir.Model, inner: Inner, report: Report) -> Report:
        """Return ``report`` with the verification of ``candidate``, explained if it fails."""
        with self.progress.stage("verify") as line:
            verification = self.verify(candidate, inner.lowered, localize=self.localize, line=line)
            line.detail = verification.verdict.name
        report = replace(report, verification=verification)
        if not self.localize or verification.verdict is not Verdict.FAIL:
            return report
        with self.progress.stage("localize") as line:
            blame = self._blame(inner, verification.reason)
            line.detail = f"application {blame.number} of {blame.of}"
        return replace(report, blame=blame)

    def verify(
        self,
        candidate: Path | ir.Model,
        lowered: Lowered,
        *,
        localize: bool = False,
        line: StageLine | None = None,
    ) -> Verification:
        """Verify one candidate.

        Args:
            candidate: The model, or the file of it.
            lowered: How its constants follow from those given.
            localize: Whether to say where a failing one departs from what was given.
            line: Hears what is run, how many samples are done, and of how many.
        """
        # An ONNX source is compared with value by value itself.
        unfolded = self.unfolded if self.entry.exporter is not None else None
        return verify(
            self.entry.original,
            Candidate(candidate, _derived(lowered), unfolded),
            providers=self.providers,
            seed=self.seed,
            localize=localize,
            reached=line.reached if line else None,
            doing=line.doing if line else None,
            **{"inputs": self.entry.inputs, **self.options},
        )

    def refold(self, limit: int | None, barred: Mapping[str, str] | None = None) -> Inner:
        """Fold anew, ``limit`` applications of it and without what is ``barred``.

        Raises:
            FoldError: A folded constant differs from its independent derivation.
        """
        return Inner.run(self.entry, self.unfolded.clone(), limit=limit, barred=barred)

    def _blame(self, inner: Inner, reason: str) -> Blame:
        """Return the first bad application of a fold that failed for ``reason``.

        By bisection: one fold and one verification for each doubling of their number, and one of
        the model before any.
        """
        count = len(inner.applications)
        reasons = {count: reason}

        def verdict_of(number: int) -> Verdict:
            if number in reasons:
                return Verdict.FAIL
            try:
                made = self.refold(number)
            except FoldError as error:
                # A constant that differs from its second derivation.
                reasons[number] = str(error)
                return Verdict.FAIL
            found = self.verify(made.lowered.model, made.lowered)
            if found.verdict is Verdict.FAIL:
                reasons[number] = found.reason
            return found.verdict

        if verdict_of(0) is Verdict.FAIL:
            return Blame(0, count, reason=reasons[0])
        first = first_bad_step(verdict_of, [(n, _constantly(n)) for n in range(1, count + 1)])
        assert first is not None
        return Blame.on(inner.applications[first - 1], first, count, reasons[first])


def _constantly(number: int) -> Callable[[], int]:
    return lambda: number


def _derived(lowered: Lowered) -> Iterator[Derived]:
    for constant in lowered.constants():
        yield Derived(
            tensor=constant.tensor,
            value=constant.value,
            unit=constant.unit,
            rule=constant.rule,
            node=constant.node,
        )
