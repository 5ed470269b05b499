"""Outputs that are the same on all inputs prove nothing: which are, and inputs that stir them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bnfuse.verifying.runtime.floats import is_float
from bnfuse.verifying.runtime.sessions import RunError
from bnfuse.verifying.samples.drawing import Draw, Sample
from bnfuse.verifying.truth.double import node_uses

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import onnx

    from bnfuse.verifying.original.runs import Original
    from bnfuse.verifying.samples.drawing import Draft
    from bnfuse.verifying.samples.sizes import Sizes

__all__ = ["Liveness", "driven_outputs", "stirring"]

Array = np.ndarray[Any, Any]

# What these make of a value does not depend on the numbers in it.
_SHAPES = frozenset({"Shape", "Size"})
# Units of single precision within which numbers count as the same.
_SAME = 8 * 2.0**-24
# Scales and offsets of further inputs.
_TRIED = ((3, 0), (30, 0), (1, 3), (1, -3), (10, 30), (10, -30), (100, 0), (1e3, 0), (1e-2, 0))


class Liveness:
    """Notes, sample by sample, which outputs ever change."""

    def __init__(self) -> None:
        self._first: dict[tuple[int, tuple[int, ...]], Array] = {}
        self._seen: dict[int, bool] = {}

    def note(self, values: Sequence[Array]) -> None:
        """Note the outputs of one sample; those of one shape are compared."""
        for position, value in enumerate(values):
            if value.dtype.kind not in "fiub" or not np.isfinite(value).any():
                continue
            key = position, value.shape
            first = self._first.setdefault(key, value)
            if first is not value:
                self._seen[position] = self._seen.get(position, False) or not _same(first, value)

    def still(self) -> list[int]:
        """Return the positions of outputs that were the same on several samples, all of them."""
        return [position for position, changed in self._seen.items() if not changed]


def driven_outputs(proto: onnx.ModelProto) -> list[bool]:
    """Return of each output whether the numbers of an input reach it at all."""
    constants = {item.name for item in proto.graph.initializer}
    driven = {item.name for item in proto.graph.input} - constants
    for node in proto.graph.node:
        if node.op_type not in _SHAPES and driven.intersection(node_uses(node)):
            driven.update(node.output)
    return [item.name in driven for item in proto.graph.output]


def stirring(original: Original, draft: Draft, sizes: Sizes, still: Iterable[int]) -> list[Sample]:
    """Return inputs on which outputs change that the others left as they were.

    Args:
        original: What is run.
        draft: What the others were drawn from.
        sizes: Which they had.
        still: The positions of those outputs.
    """
    base = draft.draw(Draw("signed", sizes, block=0))
    wanted = set(still)
    found: list[Sample] = []
    try:
        before = next(iter(original.run(base.feeds).values()))
        for number, (scale, offset) in enumerate(_TRIED):
            if not wanted:
                break
            drawn = draft.draw(Draw("signed", sizes, f"stirring {number}"))
            feeds = {
                name: _moved(value, scale, offset) if name not in draft.ranges else value
                for name, value in drawn.feeds.items()
            }
            after = next(iter(original.run(feeds).values()))
            stirred = {n for n in wanted if _finite(after[n]) and not _same(before[n], after[n])}
            if stirred:
                found.append(Sample("found", feeds))
                wanted -= stirred
    except RunError:
        return found
    return found


def _moved(value: Array, scale: float, offset: float) -> Array:
    return (value * scale + offset).astype(value.dtype) if is_float(value.dtype) else value


def _finite(value: Array) -> bool:
    return not is_float(value.dtype) or bool(np.isfinite(value).all())


def _same(one: Array, two: Array) -> bool:
    if one.shape != two.shape:
        return False
    if one.dtype.kind != "f":
        return bool(np.array_equal(one, two))
    with np.errstate(invalid="ignore"):
        apart = np.abs(np.asarray(one, np.float64) - two)
    room = _SAME * float(np.abs(one[np.isfinite(one)]).max(initial=0.0))
    return bool((~(apart > room)).all() and np.array_equal(np.isnan(one), np.isnan(two)))
