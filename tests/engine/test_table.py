"""The table of ops that people read is the table that folds."""

from __future__ import annotations

from pathlib import Path

import pytest

from bnfuse.folding.rules import rules
from bnfuse.folding.rules.takers import TAKERS
from bnfuse.folding.table import REARRANGING, TABLE

PAGE = Path(__file__).parents[2] / "docs" / "folding.md"


def rows() -> dict[str, tuple[str, str]]:
    """What the page says of the scales and the shift of each op that an affine passes."""
    found: dict[str, tuple[str, str]] = {}
    page = PAGE.read_text(encoding="utf-8").split("| through |")[1]
    for line in page.split("\n\n")[0].splitlines()[2:]:
        ops, scales, shift, _ = (cell.strip() for cell in line.strip("|").split("|"))
        found |= dict.fromkeys(ops.split(", "), (scales, shift))
    return found


def test_the_page_names_every_op_once_and_no_other() -> None:
    assert rows().keys() - {"anything else"} == rules().keys() - TAKERS.keys()
    assert len(REARRANGING) + sum(len(row.ops) for row in TABLE) == len(rules()) - len(TAKERS)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.names)
def test_the_page_says_what_the_row_says(row) -> None:
    for op_type in row.ops:
        scales, shift = rows()[op_type]
        assert scales == row.scales.value
        assert shift.startswith("no") == (row.shift is not None)
