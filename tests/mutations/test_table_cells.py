"""Every cell of every row of the table of ops is needed: break it, and a small graph tells.

A cell that is loosened lets an affine pass that must not: the function changes, or the model
breaks. One that is tightened keeps an affine that can go: it is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from itertools import repeat

import pytest
from graphs import Result, assert_same_function, fold_model
from graphs_of_rows import USES, graphs_of

from bnfuse.folding import engine
from bnfuse.folding.rules import rules
from bnfuse.folding.rules.channels import SAME
from bnfuse.folding.rules.row import Flow, Row, Scales
from bnfuse.folding.table import TABLE

OPS = {op: row for row in TABLE for op in row.ops}
OTHER_FLOW = {
    Flow.APART: Flow.THROUGH,
    Flow.TOGETHER: Flow.CHOICE,
    Flow.SUM: Flow.CHOICE,
    Flow.CHOICE: Flow.SUM,
    Flow.PRODUCT: Flow.CHOICE,
}


def loosened(row: Row) -> Iterator[tuple[str, Row]]:
    """The row with one cell each that says less than it must."""
    if row.channels is not SAME:
        yield "channels", replace(row, channels=SAME)
    if row.flow in OTHER_FLOW:
        yield "flow", replace(row, flow=OTHER_FLOW[row.flow])
    if row.scales is not Scales.ANY:
        yield "scales", replace(row, scales=Scales.ANY)
    if row.shift is not None:
        yield "shift", replace(row, shift=None)
    if row.count is not None and row.flow is Flow.THROUGH:
        yield "count", replace(row, count=None)
    if row.weights:
        yield "weights", replace(row, weights=())
    if row.bounds is not None:
        yield "bounds", replace(row, bounds=None)
    if row.of_constant is not None:
        yield "of_constant", replace(row, of_constant=lambda x, _: x)
    if row.guard is not None:
        yield "guard", replace(row, guard=None)


def tightened(row: Row) -> Iterator[tuple[str, Row]]:
    """The row with one cell each that says more than it must."""
    if row.scales is Scales.ANY:
        yield "scales", replace(row, scales=Scales.NOT_NEGATIVE)
    if row.shift is None:
        yield "shift", replace(row, shift="")
    if row.of_constant is not None:
        yield "of_constant", replace(row, of_constant=None)
    if row.count is not None and row.flow is Flow.CHOICE:
        yield "count", replace(row, count=None)
    if row.places != (0, None):
        yield "places", replace(row, places=(0, None))


def broken(ways: Callable[[Row], Iterator[tuple[str, Row]]]) -> list[object]:
    found = [(op, cell, row) for op in OPS for cell, row in ways(replace(OPS[op], names=op))]
    return [pytest.param(op, row, id=f"{op}:{cell}") for op, cell, row in found]


def test_every_op_of_the_table_has_its_graphs() -> None:
    assert USES.keys() == OPS.keys()


@pytest.mark.parametrize("op_type", OPS)
def test_the_table_is_right(op_type: str) -> None:
    results = right(op_type)
    for result in results:
        assert_same_function(result, sizes=(2,))
    assert any(result.all_folded for result in results)


@pytest.mark.parametrize(("op_type", "row"), broken(loosened))
def test_a_cell_that_says_too_little_is_noticed(
    op_type: str, row: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Constants that run along no axis of a value fit nowhere: they may be left instead.
    tells_by_what_is_left = row.channels is not OPS[op_type].channels
    expected = map(left, right(op_type)) if tells_by_what_is_left else repeat(None)
    monkeypatch.setattr(engine, "rules", lambda: rules((*TABLE, row)))
    for model, was in zip(graphs_of(op_type), expected, strict=False):
        try:
            result = fold_model(model)
            assert_same_function(result, sizes=(2,))
        except Exception:
            return
        if tells_by_what_is_left and left(result) != was:
            return
    pytest.fail("no graph tells")


@pytest.mark.parametrize(("op_type", "row"), broken(tightened))
def test_a_cell_that_says_too_much_is_noticed(
    op_type: str, row: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [left(result) for result in right(op_type)]
    monkeypatch.setattr(engine, "rules", lambda: rules((*TABLE, row)))
    found = (left(fold_model(model)) for model in graphs_of(op_type))
    assert any(now != was for now, was in zip(found, expected, strict=True))


@cache
def right(op_type: str) -> tuple[Result, ...]:
    return tuple(map(fold_model, graphs_of(op_type)))


def left(result: Result) -> list[bool]:
    return [site.folded for site in result.sites]
