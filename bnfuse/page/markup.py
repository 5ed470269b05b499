"""HTML by hand: every text that came from a model passes :func:`text`."""

from __future__ import annotations

__all__ = ["asset", "disclosed", "plural", "row", "table", "text"]

from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def text(value: object) -> str:
    """Escaped for an element or for a quoted attribute, with control characters made visible."""
    return escape("".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in str(value)))


def asset(name: str) -> str:
    """A file that is installed beside this one."""
    return files("bnfuse.page").joinpath("assets", name).read_text(encoding="utf-8")


def plural(count: int, noun: str) -> str:
    """``1 norm``, ``2 norms``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def row(cells: Iterable[str], heads: Sequence[str]) -> str:
    """A row of cells that are markup; on a narrow page each carries its column's name."""
    first, *rest = zip(cells, heads, strict=True)
    return (
        f'<tr><th scope="row">{first[0]}</th>'
        + "".join(f'<td data-head="{text(head)}">{cell}</td>' for cell, head in rest)
        + "</tr>"
    )


def table(caption: str, heads: Sequence[str], rows: Iterable[Iterable[str]]) -> str:
    """A table whose cells are markup; the first column names its row."""
    head = "".join(f'<th scope="col">{text(name)}</th>' for name in heads)
    body = "".join(row(cells, heads) for cells in rows)
    return (
        f'<table><caption class="unseen">{text(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def disclosed(title: str, body: str, *, opened: bool = False) -> str:
    """What is shown when it is asked for; ``body`` is markup."""
    return f"<details{' open' if opened else ''}><summary>{text(title)}</summary>{body}</details>"
