"""Where the nodes of a graph stand, in time linear in its size for a net that is long and thin.

A node's row is the longest way to it. Its column is that of the node before it where that is free,
as in the graphs of version control: the longest way down keeps its column. A value that is read
further down too holds a lane until then, left of all nodes, so lanes stay narrow and near to the
main way. No pass is made to lessen crossings: in nets
of a few branches there are few, and what a person follows is the straight line.
"""

from __future__ import annotations

__all__ = ["Box", "Layout", "laid_out"]

from collections import defaultdict
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Box:
    """One node, or an input or output of the graph, whose ``op`` is ``input`` or ``output``.

    Attributes:
        name: Its name.
        op: Its operator.
        module: Its module's dotted path, or the empty string.
        inputs: The values that it reads.
        outputs: The values that it computes.
    """

    name: str
    op: str
    module: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def title(self) -> str:
        """What a report calls it."""
        return f"{self.op} {self.module or self.name}"


@dataclass(frozen=True)
class Layout:
    """A graph that can be drawn.

    Attributes:
        boxes: In an order in which data flows.
        columns: Of each box, from 0.
        rows: Likewise; data flows to higher rows.
        edges: Pairs of boxes, each with the column in which it passes the rows between; -1 where
            there are none.
        width: How many columns there are.
    """

    boxes: tuple[Box, ...]
    columns: tuple[int, ...]
    rows: tuple[int, ...]
    edges: tuple[tuple[int, int, int], ...]
    width: int


def laid_out(graph: dict[str, Any]) -> Layout:
    """Place the nodes of a graph of the JSON report; one that is out of order misses edges."""
    boxes = _boxes(graph)
    made: dict[str, int] = {}
    readers: list[list[int]] = [[] for _ in boxes]
    writers: list[list[int]] = []
    for place, box in enumerate(boxes):
        found = list(dict.fromkeys(made[name] for name in box.inputs if name in made))
        writers.append(found)
        for writer in found:
            readers[writer].append(place)
        made.update(dict.fromkeys(box.outputs, place))
    rows = _rows(writers, readers)
    columns, lanes = _columns(rows, writers, readers)
    edges = tuple(
        (writer, reader, lanes[writer] if rows[reader] - rows[writer] > 1 else -1)
        for writer, found in enumerate(readers)
        for reader in found
    )
    width = 1 + max((*columns, *lanes), default=0)
    return Layout(boxes, tuple(columns), tuple(rows), edges, width)


def _boxes(graph: dict[str, Any]) -> tuple[Box, ...]:
    first = [Box(name, "input", "", (), (name,)) for name in graph["inputs"]]
    nodes = [
        Box(n["name"], n["op"], n["module"], tuple(n["inputs"]), tuple(n["outputs"]))
        for n in graph["nodes"]
    ]
    last = [Box(name, "output", "", (name,), ()) for name in graph["outputs"]]
    return (*first, *nodes, *last)


def _rows(writers: list[list[int]], readers: list[list[int]]) -> list[int]:
    rows: list[int] = []
    for found in writers:
        rows.append(1 + max((rows[writer] for writer in found), default=-1))
    # What nothing feeds stands beside its first reader, not at the top.
    for place, found in enumerate(writers):
        if not found and readers[place]:
            rows[place] = min(rows[reader] for reader in readers[place]) - 1
    return rows


def _heights(readers: list[list[int]]) -> list[int]:
    """The longest way down from each box."""
    heights = [0] * len(readers)
    for place in reversed(range(len(readers))):
        heights[place] = 1 + max((heights[reader] for reader in readers[place]), default=0)
    return heights


def _columns(
    rows: list[int], writers: list[list[int]], readers: list[list[int]]
) -> tuple[list[int], list[int]]:
    """The column of each box, and that in which its value passes further rows."""
    heights = _heights(readers)
    columns, lanes, heirs = ([-1] * len(rows) for _ in range(3))
    free: list[int] = []
    passing: list[int] = []
    by_row: dict[int, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        by_row[row].append(place)
    for row in sorted(by_row):
        for place in sorted(by_row[row], key=lambda place: -heights[place]):
            above = [columns[w] for w in writers[place]]
            inherited = [columns[w] for w in writers[place] if heirs[w] == place]
            column = _free_near(free, min(inherited or above or [0]), row)
            columns[place], free[column] = column, row + 1
            if not readers[place]:
                continue
            following = [reader for reader in readers[place] if rows[reader] == row + 1]
            last = max(rows[reader] for reader in readers[place])
            if following:
                heirs[place] = max(following, key=lambda reader: heights[reader])
            if last <= row + 1:
                continue
            if following:
                # Whoever stands right below takes the column; lanes are numbered from there on.
                lane = _free_near(passing, 0, row + 1)
                lanes[place], passing[lane] = -2 - lane, last
            else:
                lanes[place], free[column] = column, last
    # The first lane lies next to the first column of nodes.
    shift = len(passing)
    lanes = [lane + shift if lane >= 0 else lane + shift + 1 if lane < -1 else -1 for lane in lanes]
    return [column + shift for column in columns], lanes


def _free_near(free: list[int], wanted: int, row: int) -> int:
    """The column nearest to ``wanted`` that is free from ``row`` on; a new one if none is."""
    fits = (c for c in range(len(free)) if free[c] <= row)
    column = min(fits, key=lambda c: (abs(c - wanted), -c), default=len(free))
    if column == len(free) or abs(column - wanted) > len(free) - wanted:
        column = len(free)
        free.append(0)
    return column
