"""Where the channels of a value go when an op moves its elements."""

from __future__ import annotations

__all__ = ["carried"]

import math

import numpy as np

from bnfuse.checker.nodes import need
from bnfuse.checker.relations import MOST, Relation, channels_of, relation_at
from bnfuse.checker.step import Step

_OPEN = 24
"""The size that stands for one that is not declared, where the channels are not."""


def carried(step: Step, r: Relation) -> list[Relation]:
    """The channels go where the op's reference implementation takes their numbers.

    The other axes have their declared sizes, or one in the place of a size that is not declared:
    the op does along each axis what it does, whatever the sizes of the others.
    """
    node, graph = step.a, step.original
    if r.axis is None:
        return [r] * len(node.outputs)
    need(step.shape(0)[r.axis] == r.scale.size, "channels that are not counted")
    sizes = tuple(size if isinstance(size, int) else _OPEN for size in step.shape(0))
    need(math.prod(sizes) <= MOST, "too many elements to follow")
    feeds = {node.proto.input[0]: channels_of(r, r.axis, sizes)}
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
    return [relation_at(r, moved) for moved in graph.run(node, feeds)]
