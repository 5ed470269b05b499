"""An architecture as lines of text: one for each module, alike neighbours in one."""

from __future__ import annotations

__all__ = ["tree_lines"]

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bnfuse.wording import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bnfuse.loading.architecture import Part

_INDENT = "  "


@dataclass(frozen=True)
class _Drawn:
    """A part without its name: what stands behind the name, and the lines below."""

    rest: str
    below: tuple[str, ...]


def tree_lines(whole: Part) -> list[str]:
    """The lines of a tree; what is in it is indented by two spaces."""
    drawn = _drawn(whole)
    return [drawn.rest, *drawn.below] if drawn.rest else [*drawn.below]


def _drawn(part: Part) -> _Drawn:
    runs: list[tuple[list[str], _Drawn]] = []
    for inner in part.parts:
        drawn = _drawn(inner)
        if runs and runs[-1][1] == drawn:
            runs[-1][0].append(printable(inner.name))
        else:
            runs.append(([printable(inner.name)], drawn))
    # A state_dict names no class, so nothing stands above its first level.
    indent = _INDENT if _rest(part) else ""
    below = (indent + line for names, drawn in runs for line in _lines(names, drawn))
    return _Drawn(_rest(part), tuple(below))


def _lines(names: list[str], drawn: _Drawn) -> Iterator[str]:
    named = names[0] if len(names) == 1 else f"{names[0]}–{names[-1]}"
    times = f"{len(names)} × " if len(names) > 1 else ""
    yield f"{named}  {times}{drawn.rest}".rstrip()
    indent = "" if drawn.rest else _INDENT
    yield from (indent + line for line in drawn.below)


def _rest(part: Part) -> str:
    """A part's class, numbers and whether it is a norm."""
    words = [printable(part.kind.rpartition(".")[2])]
    if part.elements:
        words.append(f"{part.elements:,}")
    if part.is_norm:
        words.append("(norm)")
    if part.is_normaliser:
        words.append("(normaliser)")
    if part.shared:
        words.append("(the same module as elsewhere)")
    return " ".join(word for word in words if word)
