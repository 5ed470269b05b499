"""Where the channels of a value go when an op moves its elements."""

from __future__ import annotations

__all__ = ["carried", "count", "reshaped"]

import math
from collections import Counter
from typing import Any

import numpy as np

from bnfuse.checker.forms import Relation
from bnfuse.checker.nodes import NotProved, need
from bnfuse.checker.step import Step
from bnfuse.checker.values import Array, Shape

_OPEN = 24
"""The size that stands for one that is not declared, where the channels are not."""

_MOST = 1 << 24
"""Elements that are followed."""


def carried(step: Step, r: Relation) -> Relation | list[Relation]:
    """The channels go where the op's reference implementation takes their numbers.

    The other axes have their declared sizes, or one in the place of a size that is not declared:
    the op does along each axis what it does, whatever the sizes of the others.
    """
    if r.axis is None:
        return r
    node, graph = step.a, step.original
    need(step.shape(0)[r.axis] == r.scale.size, "channels that are not counted")
    sizes = tuple(size if isinstance(size, int) else _OPEN for size in step.shape(0))
    need(math.prod(sizes) <= _MOST, "too many elements to follow")
    feeds = {node.proto.input[0]: _channels(r, r.axis, sizes)}
    for place, name in enumerate(node.inputs[1:], 1):
        given = graph.constant(name) if name else None
        if given is None and node.op == "Gather":
            need(r.axis != step.axis(), "the channels are chosen at run time")
            given = np.zeros((1,) * len(step.shape(1)), np.int64)
        elif given is None and node.op == "Expand":
            given = np.array([n if isinstance(n, int) else 1 for n in step.result()], np.int64)
        need(given is not None or not name, f"{node.op} is told at run time what to move")
        if given is not None:
            feeds[node.proto.input[place]] = given
    try:
        return [_where(r, moved) for moved in graph.run(node, feeds)]
    except NotProved:
        raise
    except Exception as error:
        raise NotProved(f"{node.op} cannot be followed: {error}") from error


def _channels(r: Relation, axis: int, sizes: tuple[int, ...]) -> Array:
    """Of each element of such a size, the number of its channel."""
    shape = [-1 if i == axis else 1 for i in range(len(sizes))]
    return np.broadcast_to(np.arange(r.scale.size).reshape(shape), sizes)


def _where(r: Relation, channels: Array, first: int = 0) -> Relation:
    """The relation of elements of these channels, the axes counted from ``first``."""
    axes = [i for i in range(channels.ndim) if _varies(channels, i)]
    numbers = [p[channels[_only(axes, channels.ndim)]] for p in r.parts]
    varying = [k for k in range(len(axes)) if any(_varies(p, k) for p in numbers)]
    need(len(varying) <= 1, "the channels are spread over several axes")
    axis = axes[varying[0]] + first if varying else None
    return Relation.of(axis, *(p[_only(varying, len(axes))] for p in numbers))


def _varies(array: Array, axis: int) -> bool:
    return bool(np.any(array != np.take(array, [0], axis=axis)))


def _only(axes: list[int], rank: int) -> Any:
    return tuple(slice(None) if i in axes else 0 for i in range(rank))


def reshaped(r: Relation, before: Shape, after: Shape) -> Relation:
    """A relation's channels after a change of shape that keeps the row-major order.

    Raises:
        NotProved: They are spread over several axes, or where they go cannot be told.
    """
    if r.axis is None:
        return r
    after = _solved(before, after)
    for place, size in enumerate(after):
        # The channels whole, and before or behind them as many elements.
        same = count(after[place + 1 :]) == count(before[r.axis + 1 :])
        if size == r.scale.size and (same or count(after[:place]) == count(before[: r.axis])):
            return r.along(place)
    head = tail = 0
    while head < min(r.axis, len(after)) and before[head] == after[head] is not None:
        head += 1
    most = min(len(before) - r.axis - 1, len(after) - head)
    while tail < most and before[-1 - tail] == after[-1 - tail] is not None:
        tail += 1
    old, new = before[head : len(before) - tail], after[head : len(after) - tail]
    need(all(isinstance(size, int) for size in (*old, *new)), "sizes that are not known")
    sizes: Any = old, new
    counts = [math.prod(each) for each in sizes]
    need(counts[0] == counts[1] <= _MOST, "a block of another or too large a size")
    return _where(r, _channels(r, r.axis - head, sizes[0]).reshape(sizes[1]), head)


def _solved(before: Shape, after: Shape) -> Shape:
    """With the one size that is not known, if it follows from the count of all elements."""
    unknown = [i for i, n in enumerate(after) if n is None or (type(n) is str and n not in before)]
    known = tuple(size for i, size in enumerate(after) if i not in unknown)
    if len(unknown) != 1 or None in before:
        return after
    (whole, names), (part, others) = _factors(before), _factors(known)
    left = names - others
    if others - names or left.total() > 1 or not part or whole % part or (left and whole != part):
        return after
    size = next(iter(left), whole // part)
    return (*after[: unknown[0]], size, *after[unknown[0] + 1 :])


def _factors(sizes: Shape) -> tuple[int, Counter[str]]:
    numbers = math.prod(size for size in sizes if isinstance(size, int))
    return numbers, Counter(size for size in sizes if isinstance(size, str))


def count(sizes: Shape) -> object:
    """How many elements sizes come to: a number and symbols; equal to nothing if not known."""
    return object() if None in sizes else _factors(sizes)
