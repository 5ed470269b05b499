"""Where nodes stand: data flows down, nothing covers anything, a chain is a straight line."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnfuse.page.layout import laid_out


def graph(*reads: list[int]) -> dict[str, Any]:
    """Node ``n`` computes value ``n`` of the values listed; -1 is the graph's input."""
    nodes = [
        {"name": str(n), "op": "Op", "module": "", "inputs": [str(i) for i in found],
         "outputs": [str(n)]}
        for n, found in enumerate(reads)
    ]  # fmt: skip
    return {"inputs": ["-1"], "outputs": [str(len(reads) - 1)], "nodes": nodes}


def chain(length: int) -> list[list[int]]:
    return [[n - 1] for n in range(length)]


def test_a_chain_stands_in_one_column_however_long_it_is() -> None:
    placed = laid_out(graph(*chain(3000)))
    assert set(placed.columns) == {0}
    assert placed.rows == tuple(range(3002))
    assert placed.width == 1
    assert all(lane == -1 for _, _, lane in placed.edges)


def test_a_skip_has_a_lane_of_its_own_beside_the_way_that_is_longer() -> None:
    placed = laid_out(graph([-1], [0], [1], [2, 0]))
    assert set(placed.columns) == {1}
    assert (1, 4, 0) in placed.edges
    assert placed.width == 2


def test_what_nothing_feeds_stands_beside_its_reader() -> None:
    placed = laid_out(graph([-1], [0], [], [1, 2]))
    boxes = {box.name: place for place, box in enumerate(placed.boxes)}
    assert placed.rows[boxes["2"]] == placed.rows[boxes["1"]]
    assert placed.columns[boxes["2"]] != placed.columns[boxes["1"]]


def test_a_graph_out_of_order_misses_edges_and_is_drawn() -> None:
    placed = laid_out(graph([1], [0]))
    assert (1, 2, -1) in placed.edges
    assert len(placed.edges) == 2


@given(st.lists(st.lists(st.integers(-1, 30), max_size=4), min_size=1, max_size=30))
def test_nothing_covers_anything_and_data_flows_down(found: list[list[int]]) -> None:
    reads = [[i for i in inputs if i < n] for n, inputs in enumerate(found)]
    placed = laid_out(graph(*reads))
    places = set(zip(placed.columns, placed.rows, strict=True))
    assert len(places) == len(placed.boxes)
    lanes: dict[tuple[int, int], int] = {}
    for writer, reader, lane in placed.edges:
        assert placed.rows[writer] < placed.rows[reader]
        for row in range(placed.rows[writer] + 1, placed.rows[reader]):
            assert (lane, row) not in places
            assert lanes.setdefault((lane, row), writer) == writer


@pytest.mark.parametrize("name", ["Conv", "net::Custom"])
def test_a_box_is_called_as_a_report_calls_it(name: str) -> None:
    data = graph([-1])
    data["nodes"][0] |= {"op": name, "module": "stem.conv"}
    assert laid_out(data).boxes[1].title == f"{name} stem.conv"
