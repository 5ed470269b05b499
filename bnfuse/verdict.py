"""The answer of a verification, which its own result and the report of a fold share."""

from __future__ import annotations

__all__ = ["Verdict"]

import enum


class Verdict(enum.StrEnum):
    """The answer of a check; equal to its text, as in ``"PASS"``."""

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    NOT_VERIFIED = "NOT VERIFIED"
    """Of a fold whose verification was left out."""

    @property
    def exit_code(self) -> int:
        """What the command line leaves with: 0, 1 or 3."""
        return {Verdict.FAIL: 1, Verdict.INCONCLUSIVE: 3}.get(self, 0)
