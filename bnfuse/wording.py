"""Small pieces of sentences that errors and notes share."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["command", "few", "first_line", "listed", "printable"]

_FEW = 4
_LINE = 200


def command(path: Path, *options: str) -> str:
    """The command line that folds ``path`` with ``options``, quoted for a shell."""
    return shlex.join(["bnfuse", "fold", str(path), *options])


def first_line(error: BaseException) -> str:
    """The first line of an error's message, cut to a readable length, without a full stop."""
    return (str(error).strip().splitlines() or ["no message"])[0][:_LINE].rstrip(". ")


def few(names: Sequence[str], separator: str = ", ") -> str:
    """Some names, and how many more there are."""
    shown = separator.join(names[:_FEW])
    return shown if len(names) <= _FEW else f"{shown}{separator}… {len(names) - _FEW} more"


def listed(names: Sequence[str]) -> str:
    """All names, with "and" before the last."""
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + f" and {names[-1]}"


def printable(text: str) -> str:
    """Text with escapes for what a terminal would obey: names in a hostile file reach messages."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
