"""The rules: what takes an affine for good, and each row of the table, carried out by its flow."""

from __future__ import annotations

__all__ = ["rules"]

from typing import TYPE_CHECKING

from bnfuse.folding.rules.joins import Choice, Product, Sum, Together
from bnfuse.folding.rules.rearranged import Rearranged
from bnfuse.folding.rules.row import Flow
from bnfuse.folding.rules.takers import TAKERS
from bnfuse.folding.rules.through import Through
from bnfuse.folding.table import REARRANGING, TABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bnfuse.folding.rule import Rule
    from bnfuse.folding.rules.row import Row

_FLOWS: dict[Flow, Callable[[Row], Rule]] = {
    Flow.THROUGH: Through,
    Flow.APART: Through,
    Flow.TOGETHER: Together,
    Flow.SUM: Sum,
    Flow.CHOICE: Choice,
    Flow.PRODUCT: Product,
}


def rules(table: Sequence[Row] = TABLE) -> Mapping[str, Rule]:
    """The rule for each op that has one, internal ops included."""
    passing = {op: _FLOWS[row.flow](row) for row in table for op in row.ops}
    moving: dict[str, Rule] = dict.fromkeys(REARRANGING, Rearranged(REARRANGING))
    return TAKERS | moving | passing
