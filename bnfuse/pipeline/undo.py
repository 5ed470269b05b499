"""Take back the rule applications with which a fold fails, and keep the rest.

A fold fails its verification, or one of its constants is not confirmed by a second derivation.

Bisection finds the first application after which the model fails; what it was for is barred, and
the fold is made anew. The longest beginning of a fold that passed stays at hand, so the search may
end at any point: it ends after a fixed number of verifications.
"""

from __future__ import annotations

__all__ = ["undone", "why"]

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from bnfuse.errors import FoldError
from bnfuse.pipeline.stages import Inner
from bnfuse.reporting.blame import Blame
from bnfuse.verifying import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bnfuse.folding import Application
    from bnfuse.pipeline.verifier import Judge
    from bnfuse.progress import StageLine
    from bnfuse.verifying import Verification

_MOST = 32
"""Verifications that the search may take: 7 for each application taken back from a fold of 64."""
_FEW = 6

_STOPPED = "the fold was ended before it: with what followed, the model failed its verification"


def undone(judge: Judge, applications: Sequence[Application], reason: str) -> Inner | None:
    """Fold anew without what made a fold fail.

    Args:
        judge: Verifies the folds.
        applications: Those of the fold, as far as it went.
        reason: Why it fails.

    Returns:
        A fold that passes, its report saying what was taken back; the model as it was before the
        fold where nothing else passes; ``None`` where not even that does.
    """
    with judge.progress.stage("undo") as line:
        found = _Search(judge, line).run(applications, reason)
        taken = len(found.report.undone) if found is not None else 0
        line.detail = f"{taken} of {len(applications)} rule applications taken back"
    return found


@dataclass(eq=False)
class _Search:
    judge: Judge
    line: StageLine
    spent: int = 0
    barred: dict[str, str] = field(default_factory=dict)
    blamed: list[Blame] = field(default_factory=list)

    def run(self, applications: Sequence[Application], reason: str) -> Inner | None:
        beginning, _, wrong = self._try(0)
        if wrong or beginning is None:
            return self._unfolded(wrong)
        good = 0
        while True:
            if not applications:
                return self._unfolded(reason)
            first, beginning, reason = self._bisect(applications, good, beginning, reason)
            if first is None:
                return self._ended(beginning)
            application = applications[first - 1]
            self.blamed.append(Blame.on(application, first, len(applications), reason))
            fresh = application.names - self.barred.keys()
            if not fresh or self.spent >= _MOST:
                return self._ended(beginning)
            self.barred |= dict.fromkeys(fresh, reason)
            # All that its sites gave away goes with it: the fold is the same only before that.
            good = [bool(item.names & fresh) for item in applications].index(True)
            again, applications, reason = self._try(None)
            if again is not None and not reason:
                return self._told(again)

    def _bisect(
        self, applications: Sequence[Application], good: int, beginning: Inner, reason: str
    ) -> tuple[int | None, Inner, str]:
        """The first bad application from 1, ``None`` where it costs too much to find.

        Beside it, the longest beginning of a fold that passed so far, and why the fold fails with
        that application.
        """
        bad = len(applications)
        while bad - good > 1:
            if self.spent >= _MOST:
                return None, beginning, reason
            middle = (good + bad) // 2
            made, _, wrong = self._try(middle)
            if wrong or made is None:
                bad, reason = middle, wrong
                continue
            good = middle
            if len(made.applications) > len(beginning.applications):
                beginning = made
        return bad, beginning, reason

    def _try(self, limit: int | None) -> tuple[Inner | None, Sequence[Application], str]:
        """Fold and verify: the fold if it came about, its applications, why it does not pass."""
        self.spent += 1
        self.line.reached(self.spent, _MOST)
        try:
            made = self.judge.refold(limit, self.barred)
        except FoldError as error:
            return None, error.applications, str(error)
        verification = self.judge.verify(made.lowered.model, made.lowered)
        wrong = "" if verification.verdict is Verdict.PASS else why(verification)
        return made, made.applications, wrong

    def _told(self, inner: Inner) -> Inner:
        names = list(dict.fromkeys(name for blame in self.blamed for name in _named(blame)))
        few = ", ".join(names[:_FEW]) + (f" and {len(names) - _FEW} more" * (len(names) > _FEW))
        note = f"the whole fold failed its verification; it passes with these left alone: {few}"
        report = replace(inner.report, undone=tuple(self.blamed), notes=(*inner.report.notes, note))
        return replace(inner, report=report)

    def _ended(self, beginning: Inner) -> Inner:
        """The fold as far as it is known to pass."""
        barred = self.barred
        sites = tuple(
            site
            if site.folded or site.name in barred
            else replace(site, reason=_STOPPED if site.reason in _UNASKED else site.reason)
            for site in beginning.report.sites
        )
        report = replace(beginning.report, sites=sites)
        return self._told(replace(beginning, report=report))

    def _unfolded(self, wrong: str) -> Inner | None:
        """The model as it was before the fold, if it passes."""
        made = Inner.run(self.judge.entry, self.judge.unfolded.clone(), folding=False)
        if self.judge.verify(made.lowered.model, made.lowered).verdict is not Verdict.PASS:
            return None
        self.blamed.append(Blame(0, 0, reason=wrong))
        note = f"the fold failed its verification before any rule, so nothing is folded: {wrong}"
        notes = (*made.report.notes, note)
        return replace(made, report=replace(made.report, undone=tuple(self.blamed), notes=notes))


_UNASKED = ("", "it was not to be folded")


def _named(blame: Blame) -> tuple[str, ...]:
    return blame.sites or tuple(f"the parts of {name}" for name in blame.into)


def why(failed: Verification) -> str:
    """Why a fold does not pass, as a reason to leave what made it fail."""
    ratios = [
        output.ratio
        for row in failed.rows
        if row.decides and row.verdict is Verdict.FAIL
        for output in row.outputs
        if output.verdict is Verdict.FAIL
    ]
    allowed = failed.thresholds.factor
    if ratios and allowed < max(ratios) < float("inf"):
        return (
            f"folding it made the model {max(ratios):,.3g} times less precise than the original, "
            f"and {allowed:g} times is allowed"
        )
    return f"with it folded, the model fails its verification: {failed.reason}"
