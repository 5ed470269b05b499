"""A table where it fits, and lines of the same words where it does not: no number is ever cut."""

from __future__ import annotations

__all__ = ["Column", "print_table", "unbounded_in_pipes"]

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bnfuse.wording import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.box import Box
    from rich.console import Console

_FLEXIBLE = 24
"""The least width of a column of sentences."""
_PIPE = 1 << 20
"""The width where nobody looks: lines are for programs there, and end where they end."""


def unbounded_in_pipes(console: Console) -> Console:
    """The console, whose lines are broken for the width of a terminal and for nothing else."""
    if not console.is_terminal:
        console.width = _PIPE
    return console


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        heading: Its title.
        number: Whether it holds numbers, which stand at the right and need their heading.
        flexible: Whether its cells may take several lines.
    """

    heading: str
    number: bool = False
    flexible: bool = False


_SENTENCES = Column("", flexible=True)


def print_table(
    console: Console,
    columns: Sequence[Column],
    rows: Sequence[Sequence[Text | str]],
    box: Box | None = None,
) -> None:
    """Print ``rows`` under the headings of ``columns``, or line by line in a narrow terminal."""
    cells = [
        [cell if isinstance(cell, Text) else Text(printable(cell)) for cell in row] for row in rows
    ]
    table = Table(box=box, pad_edge=False, header_style="bold")
    for place, column in enumerate(columns):
        width = max([len(column.heading), *(row[place].cell_len for row in cells)])
        table.add_column(
            column.heading,
            justify="right" if column.number else "left",
            min_width=min(width, _FLEXIBLE) if column.flexible else width,
            no_wrap=not column.flexible,
            overflow="fold",
        )
    for row in cells:
        table.add_row(*row)
    unbounded = console.options.update(max_width=_PIPE)
    if Measurement.get(console, unbounded, table).minimum <= console.width:
        console.print(table, highlight=False)
        return
    # What says whose numbers they are stands on a line of its own.
    title = next(i for i, c in enumerate((*columns, _SENTENCES)) if c.number or c.flexible) or 1
    for row in cells:
        named = [
            Text.assemble(f"{column.heading} ", cell)
            if cell.plain and column.number and column.heading
            else cell
            for column, cell in zip(columns, row, strict=True)
        ]
        first, rest = (
            Text(", ").join(item for item in part if item.plain)
            for part in (named[:title], named[title:])
        )
        console.print(first, highlight=False)
        console.print(Padding(rest, (0, 0, 0, 2), expand=False))
