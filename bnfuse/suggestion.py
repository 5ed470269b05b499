"""What was meant by a name that is none: the nearest of those that there are."""

from __future__ import annotations

__all__ = ["meant", "meant_file", "meant_module"]

import shlex
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST = 2000
"""Names that are looked at: a folder of a data set has millions."""


def meant(name: str, known: Iterable[str]) -> str:
    """The question whether the nearest of ``known`` was meant; empty where none is near.

    >>> meant("--provdier", ["--provider", "--opset"])
    'Did you mean --provider?'
    >>> meant("frob", ["--provider"])
    ''
    """
    # Written alike but for its case, a name is the same to a person.
    lower = {item.lower(): item for item in reversed(list(known))}
    near = get_close_matches(name.lower(), lower, 1)
    return f"Did you mean {lower[near[0]]}?" if near else ""


def meant_file(path: Path) -> str:
    """The question whether a file beside ``path`` was meant, quoted for a shell."""
    beside = {name: shlex.quote(str(path.with_name(name))) for name in _names(path.parent)}
    near = get_close_matches(path.name, beside, 1)
    return f"Did you mean {beside[near[0]]}?" if near else ""


def meant_module(name: str) -> str:
    """The question whether a module of the working directory was meant."""
    files = _names(Path())
    return meant(name, [Path(file).stem for file in files if file.endswith(".py")])


def _names(folder: Path) -> list[str]:
    try:
        return [item.name for item, _ in zip(folder.iterdir(), range(_MOST), strict=False)]
    except (OSError, ValueError):
        return []
