"""How a command ended that raised: its exit code, and what it says."""

from __future__ import annotations

__all__ = ["Outcome", "outcome_of"]

from dataclasses import dataclass

import click

from bnfuse.errors import BnfuseError
from bnfuse.wording import printable

_INTERRUPTED = 130


@dataclass(frozen=True)
class Outcome:
    """An exit code and its reason.

    Attributes:
        code: What the process leaves with.
        message: One sentence.
        hint: What to do, or the empty string.
    """

    code: int
    message: str
    hint: str = ""

    def __str__(self) -> str:
        prefix = "" if self.code == _INTERRUPTED else "error: "
        said = " ".join(part for part in (self.message, self.hint) if part)
        return prefix + printable(said)


def outcome_of(error: BaseException) -> Outcome:
    """What an exception that ended a command comes to."""
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        hint = f"See {context.command_path} --help." if context is not None else ""
        return Outcome(2, error.format_message(), hint)
    if isinstance(error, (click.Abort, KeyboardInterrupt)):
        return Outcome(_INTERRUPTED, "interrupted: no file was left half-written.")
    if isinstance(error, BnfuseError):
        return Outcome(error.exit_code, str(error.args[0]), error.remedy)
    first = (str(error).strip().splitlines() or ["no message"])[0].rstrip(".")
    message = f"bnfuse met {type(error).__name__}: {first}."
    return Outcome(2, message, "Run again with -vv for the traceback.")
