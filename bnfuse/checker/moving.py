"""Ops that pick elements along one axis and put them together: which, their own run tells."""

from __future__ import annotations

__all__ = ["MOVES", "moved", "operands"]

import operator
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bnfuse.checker.forms import Form
from bnfuse.checker.graph import Graph
from bnfuse.checker.maps import LARGEST
from bnfuse.checker.nodes import Node, NotProved, need
from bnfuse.checker.sizes import Shape, is_told
from bnfuse.checker.told import uncut

MOVES: dict[str, tuple[int, ...]] = {
    "Concat": (),
    "Gather": (0,),
    "ScatterElements": (0, 2),
    "Slice": (0,),
    "Split": (0,),
    "Where": (1, 2),
}
"""Of each op the inputs whose elements it moves; of a Concat, all."""


def operands(node: Node) -> tuple[int, ...]:
    """The places of the inputs whose elements a node moves."""
    return MOVES[node.op] or tuple(range(len(node.inputs)))


def moved(graph: Graph, node: Node, forms: dict[str, Form]) -> list[Form]:
    """The forms of what a node puts together.

    The elements along the axis are numbered, all other axes have size 1, and the op's reference
    implementation is run on the numbers. What it makes has size 1 along the other axes as well, so
    along them it leaves every element where it is.

    Args:
        graph: Where the node is.
        node: Of an op in :data:`MOVES`.
        forms: Of its operands.

    Raises:
        NotProved: It moves elements along several axes, or in a way that is told at run time.
    """
    places = operands(node)
    names = list(dict.fromkeys(node.inputs[place] for place in places))
    need(all(name in forms for name in names), f"{node.op} of what has no form")
    shapes = [graph.shape(name) for name in names]
    rank = len(shapes[0])
    axis = _axis(graph, node, rank)
    around = {(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}
    if node.op == "Concat":
        # Its parts have one size where it can be run at all: none is told that is another.
        same = all(len({*filter(is_told, sizes)}) <= 1 for sizes in zip(*around, strict=True))
    else:
        same = len(around) == 1 and None not in (*around,)[0]
    need(len(names) == 1 or same, f"{node.op} of values of different sizes")
    counts: list[Any] = [shape[axis] for shape in shapes]
    need(all(isinstance(count, int) for count in counts), "elements that are not counted")
    ends = np.cumsum(counts)
    numbers = dict(zip(names, np.split(np.arange(ends[-1]), ends[:-1]), strict=True))
    feeds = {node.proto.input[p]: _line(numbers[node.inputs[p]], axis, rank) for p in places}
    for place, name in enumerate(node.inputs):
        if name and place not in places:
            feeds[node.proto.input[place]] = _told(graph, node, place, axis)
    need(all(node.outputs), "a part that is left out")
    return [_put_together(axis, shapes[0], forms, numbers, made) for made in graph.run(node, feeds)]


def _put_together(
    axis: int,
    shape: Shape,
    forms: dict[str, Form],
    numbers: dict[str, NDArray[Any]],
    made: NDArray[Any],
) -> Form:
    rank = len(shape)
    dropped = made.shape == (1,) * (rank - 1)
    plain = dropped or made.shape == _line(made, axis, rank).shape
    need(plain and made.size, "elements are moved along several axes")
    rows = made.reshape(-1)
    size = sum(m.c[0].size for name in numbers for m in forms[name].maps.values())
    need(rows.size * size <= LARGEST, "a form of what was moved would be too large")
    parts = []
    for name, own in numbers.items():
        if own.size:
            here = (rows >= own[0]) & (rows <= own[-1])
            parts.append(forms[name].picked(axis, own.size, np.where(here, rows - own[0], -1)))
    total = reduce(operator.add, parts)
    before, after = shape[:axis], shape[axis + 1 :]
    return total.viewed((*before, 1, *after), (*before, *after)) if dropped else total


def _line(array: NDArray[Any], axis: int, rank: int) -> NDArray[Any]:
    return array.reshape([-1 if i == axis else 1 for i in range(rank)])


def _axis(graph: Graph, node: Node, rank: int) -> int:
    """The axis that the op moves elements along."""
    axes: set[int]
    if node.op == "Slice":
        axes = {*range(rank)} - uncut(graph, node)
    elif node.op == "Where":
        mask = graph.constant(node.inputs[0])
        sizes = () if mask is None else mask.shape
        axes = {i + rank - len(sizes) for i, size in enumerate(sizes) if size != 1}
    else:
        axes = {int(node.attributes["axis"]) % rank}
    need(len(axes) == 1, f"{node.op} along several axes, or told at run time")
    axis = axes.pop()
    need(axis >= 0, "more axes than there are")
    return axis


def _told(graph: Graph, node: Node, place: int, axis: int) -> NDArray[Any]:
    """The constant at a place that tells what is moved."""
    if node.op == "ScatterElements":
        return _written(graph, node, axis)
    array = graph.constant(node.inputs[place])
    if array is None:
        raise NotProved(f"{node.op} is told at run time what to move")
    return array


def _written(graph: Graph, node: Node, axis: int) -> NDArray[Any]:
    """The indices of a ScatterElements along the axis, which are the same along all others."""
    need(node.attributes.get("reduction") in (None, "none"), "what is there counts")
    data, name, updates = node.inputs
    shape: Any = graph.shape(name)
    count: Any = graph.shape(data)[axis]
    need(shape == graph.shape(updates) and None not in shape, "other indices")
    made, _ = graph.producers.get(name, (None, 0))
    array = graph.constant(made.inputs[0] if made is not None and made.op == "Expand" else name)
    if array is None:
        raise NotProved("ScatterElements is told at run time where to write")
    along = array.ndim - len(shape) + axis
    first = array[tuple(slice(None) if i == along else slice(1) for i in range(array.ndim))]
    need(np.all(array == first), "indices that differ along another axis")
    need(np.all((-count <= first) & (first < count)), "indices of no elements")
    line = np.broadcast_to(first.reshape(-1), shape[axis])
    need(len(np.unique(line % count)) == line.size, "elements that are written twice")
    return _line(line, axis, len(shape))
