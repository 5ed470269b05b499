"""Where a candidate is the original but for one stored constant: which one, and both numbers.

A search that failed is made again as if one relation, at most half of whose channels are not as
they should be, held. If everything else is then proved, that relation is where the two models part.
"""

from __future__ import annotations

__all__ = ["Difference", "difference"]

from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from bnfuse.checker.check import unbelieving
from bnfuse.checker.forms import Form
from bnfuse.checker.linear import expand
from bnfuse.checker.maps import alike
from bnfuse.checker.nodes import NotProved
from bnfuse.checker.relations import IDENTITY, Relation
from bnfuse.proving.search import Search

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bnfuse.checker.check import Cut
    from bnfuse.checker.graph import Graph
    from bnfuse.checker.values import Array

BEYOND = 64.0
"""Rounding units that no way of rounding explains."""

_SUSPECTS = 4


@dataclass(frozen=True)
class Difference:
    """A constant that is another one than it should be.

    Attributes:
        value: The candidate's value that it makes wrong.
        tensor: The candidate's constant.
        index: Where in it; where it was composed with others, where in their composition.
        channel: The channel of ``value``; ``None`` where it belongs to all.
        original: The number that the original has there, as the candidate should have it.
        candidate: The number that the candidate has.
        units: How far they are apart, in rounding units of the terms of the first.
    """

    value: str
    tensor: str
    index: tuple[int, ...]
    channel: int | None
    original: float
    candidate: float
    units: float

    def __str__(self) -> str:
        """One sentence."""
        place = f"[{', '.join(map(str, self.index))}]" if self.index else ""
        channel = "" if self.channel is None else f", channel {self.channel} of {self.value!r}"
        return (
            f"{self.tensor}{place}{channel}: the original has {self.original:.9g}, "
            f"the candidate {self.candidate:.9g}, {self.units:,.0f} rounding units apart"
        )


def difference(failed: Search) -> Difference | None:
    """What a search that failed failed by, if it is one constant and nothing else."""
    try:
        with unbelieving():
            return _difference(failed)
    except NotProved:
        return None


def _difference(failed: Search) -> Difference | None:
    for pair, relation in islice(_suspects(failed), _SUSPECTS):
        again = Search(failed.proving.original, failed.proving.candidate, {pair: relation})
        try:
            with unbelieving():
                again.run()
                found = _of_form(again, *pair) if pair in again.assumed else _of_op(failed, *pair)
        except NotProved:
            continue
        if found is not None and found.units >= BEYOND:
            return found
    return None


def _suspects(failed: Search) -> Iterator[tuple[tuple[str, str], Relation]]:
    """The relations that may be the only wrong ones, put right."""
    seen = set()
    known = failed.proving.known
    for cut in sorted(failed.tried, key=lambda cut: cut.law):
        pairs = list(cut.over)
        if cut.law == "linear":
            relation = _righted(failed, cut)
            if relation is not None:
                yield (cut.a, cut.b), relation
        else:
            node, other = (
                graph.producers[name][0]
                for graph, name in (
                    (failed.proving.original, cut.a),
                    (failed.proving.candidate, cut.b),
                )
            )
            pairs = list(zip(node.inputs, other.inputs, strict=False))
            if all(known[pair].is_identity for pair in pairs if pair in known):
                yield (cut.a, cut.b), IDENTITY
        for pair in pairs:
            if pair in known and pair not in seen and not known[pair].is_identity:
                seen.add(pair)
                relation = _cleaned(known[pair])
                if relation is not None:
                    yield pair, relation


def _cleaned(relation: Relation) -> Relation | None:
    """Without the scales and shifts that only some of the channels have."""
    scale, shift = relation.scale, relation.shift
    odd = scale != 1.0
    scale = np.where(odd, 1.0, scale) if 0 < odd.sum() * 2 < odd.size else scale
    shift = np.zeros_like(shift) if 0 < np.sum(shift != 0.0) * 2 <= max(shift.size, 2) else shift
    if np.array_equal(scale, relation.scale) and np.array_equal(shift, relation.shift):
        return None
    return replace(Relation.of(relation.axis, scale, shift), order=relation.order)


def _righted(failed: Search, cut: Cut) -> Relation | None:
    """With the scales that most coefficients of a channel agree on."""
    try:
        a, b, *_ = failed.proving.forms(cut.a, cut.b, cut.over)
        ratios = []
        for name, mine in a.maps.items():
            pair = alike(mine, b.maps[name])
            x, y = (m.c.reshape(len(m.c), -1) for m in pair)
            with np.errstate(all="ignore"):
                ratios.append(np.where(x == 0.0, np.nan, y / x))
        whole = np.concatenate(ratios, axis=1)
        with np.errstate(all="ignore"):
            scale = np.nanmedian(np.where(np.isfinite(whole), whole, np.nan), axis=1)
    except (NotProved, ValueError):
        return None
    usable = np.isfinite(scale) & (scale != 0.0) & (np.abs(scale - 1.0) > 1e-5)
    shift = cut.relation.shift
    return Relation.of(cut.relation.axis or 1, np.where(usable, scale, 1.0), 0.0 * shift)


def _of_form(search: Search, a: str, b: str) -> Difference | None:
    """The coefficient in which two forms differ the most."""
    cut = search.assumed[a, b]
    forms = search.proving.forms(a, b, cut.over)
    _, theirs, unit, _ = forms
    mine = forms.measured(cut.relation)
    constants = tuple(expand(search.proving.candidate, b, [y for _, y in cut.over]).constants)
    return _largest(search.proving.candidate, b, mine, theirs, unit, constants)


def _largest(
    graph: Graph, b: str, mine: Form, theirs: Form, unit: float, constants: tuple[str, ...]
) -> Difference | None:
    shift = mine.constant
    tables = [(shift.shift, theirs.constant.shift, shift.magnitude)]
    for name, m in mine.maps.items():
        one, other = alike(m, theirs.maps[name])
        tables.append((one.c, other.c, one.size))
    found: Difference | None = None
    for numbers in tables:
        x, y, size = np.broadcast_arrays(*numbers)
        units, index = _worst(x, y, size, unit)
        if units > (found.units if found else 0.0):
            channel = index[0] if index else None
            item = Difference(b, "", index, channel, float(x[index]), float(y[index]), units)
            found = _named(graph, item, x.shape, constants)
    return found


def _worst(x: Array, y: Array, size: Array, unit: float) -> tuple[float, tuple[int, ...]]:
    if not x.size:
        return 0.0, ()
    with np.errstate(all="ignore"):
        units = np.nan_to_num(np.abs(x - y) / (unit * np.abs(size)), nan=0.0, posinf=1e30)
    index = tuple(int(i) for i in np.unravel_index(int(np.argmax(units)), units.shape))
    return float(units[index]), index


def _named(
    graph: Graph, found: Difference, shape: tuple[int, ...], constants: tuple[str, ...]
) -> Difference:
    """With the tensor's name, and the index as it is in the tensor where it is one's own."""
    arrays = {name: graph.constant(name) for name in constants}
    sizes = {name: array.shape for name, array in arrays.items() if array is not None}
    named = [name for name, size in sizes.items() if size == shape]
    if named:
        return replace(found, tensor=named[-1])
    turned = [name for name, size in sizes.items() if size == shape[::-1]]
    if turned:
        return replace(found, tensor=turned[-1], index=found.index[::-1])
    count = int(np.prod(shape))
    alike = [name for name, size in sizes.items() if np.prod(size) == count]
    return replace(found, tensor=(alike or list(constants) or [found.value])[-1])


def _of_op(search: Search, a: str, b: str) -> Difference | None:
    """The number in which the constants of two nodes of one op differ the most."""
    graphs = search.proving.original, search.proving.candidate
    nodes = [g.producers[name][0] for g, name in zip(graphs, (a, b), strict=True)]
    unit = graphs[1].unit(b)
    found = None
    for mine, theirs in zip(nodes[0].inputs, nodes[1].inputs, strict=False):
        if not mine or not theirs:
            continue
        x, y = graphs[0].constant(mine), graphs[1].constant(theirs)
        if x is None or y is None or x.shape != y.shape or x.dtype.kind != "f":
            continue
        units, index = _worst(x, y, x, unit)
        if units > (found.units if found else 0.0):
            found = Difference(b, theirs, index, None, float(x[index]), float(y[index]), units)
    return found
