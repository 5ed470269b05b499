"""Verify a fold, and find the rule application to blame where it fails."""

from __future__ import annotations

__all__ = ["Judge"]

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bnfuse.errors import FoldError
from bnfuse.folding import fold
from bnfuse.lifting import lift
from bnfuse.lifting.prepare import prepare
from bnfuse.lowering import lower
from bnfuse.reporting.blame import Blame
from bnfuse.verifying import Derived, Verdict, first_bad_step, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import onnx_ir as ir

    from bnfuse.entry import Entry
    from bnfuse.folding import Application
    from bnfuse.lowering import Lowered
    from bnfuse.progress import Progress
    from bnfuse.reporting import Report
    from bnfuse.verifying import Verification


@dataclass(frozen=True, eq=False)
class Judge:
    """Verifies a candidate against what was given.

    Attributes:
        entry: What was given.
        lowered: The folded model.
        applications: The rule applications that made it, in order.
        unfolded: The model before the fold, if a failure is to be localized.
    """

    entry: Entry
    lowered: Lowered
    applications: tuple[Application, ...]
    providers: tuple[str, ...]
    seed: int
    progress: Progress
    unfolded: ir.Model | None = None

    def __call__(self, candidate: Path | ir.Model, report: Report) -> Report:
        """Return ``report`` with the verification of ``candidate``, explained if it fails."""
        with self.progress.stage("verify") as line:
            verification = self._verify(candidate, self.lowered, self.unfolded, line.reached)
            line.detail = verification.verdict.name
        report = replace(report, verification=verification)
        if self.unfolded is None or verification.verdict is not Verdict.FAIL:
            return report
        with self.progress.stage("localize") as line:
            blame = self._blame(verification.reason)
            line.detail = f"application {blame.number} of {blame.of}"
        return replace(report, blame=blame)

    def _verify(
        self,
        candidate: Path | ir.Model,
        lowered: Lowered,
        unfolded: ir.Model | None,
        reached: Callable[[int, int], None] | None = None,
    ) -> Verification:
        return verify(
            self.entry.original,
            candidate,
            self.entry.inputs,
            providers=self.providers,
            seed=self.seed,
            derived=_derived(lowered),
            # An ONNX source is compared with value by value itself.
            baseline=unfolded if self.entry.exporter is not None else None,
            localize=unfolded is not None,
            reached=reached,
        )

    def _blame(self, reason: str) -> Blame:
        """Return the first bad application of a fold that failed for ``reason``.

        By bisection: one fold and one verification for each doubling of their number, and one of
        the model before any.
        """
        count = len(self.applications)
        reasons = {count: reason}

        def verdict_of(number: int) -> Verdict:
            if number in reasons:
                return Verdict.FAIL
            try:
                found = self._refold(number)
            except FoldError as error:
                # A constant that differs from its second derivation.
                reasons[number] = str(error)
                return Verdict.FAIL
            if found.verdict is Verdict.FAIL:
                reasons[number] = found.reason
            return found.verdict

        if verdict_of(0) is Verdict.FAIL:
            return Blame(0, count, reason=reasons[0])
        first = first_bad_step(verdict_of, [(n, _constantly(n)) for n in range(1, count + 1)])
        assert first is not None
        return Blame.on(self.applications[first - 1], first, count, reasons[first])

    def _refold(self, limit: int) -> Verification:
        """Fold anew, ``limit`` applications of it, and verify that."""
        assert self.unfolded is not None
        model = self.unfolded.clone()
        interface, _ = prepare(model)
        fold(lift(model), limit=limit)
        lowered = lower(model)
        interface.restore(model)
        return self._verify(model, lowered, None)


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
