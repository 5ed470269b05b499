"""Outputs that are the same on all inputs prove nothing: which are, and inputs that stir them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bnfuse.verifying.ops import Fact, has
from bnfuse.verifying.runtime.floats import is_finite, is_float, is_same
from bnfuse.verifying.runtime.onnx_models import node_uses
from bnfuse.verifying.runtime.sessions import RunError
from bnfuse.verifying.samples.drawing import Draw, Sample

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import onnx

    from bnfuse.verifying.original.runs import Original
    from bnfuse.verifying.samples.drawing import Draft, Sizes

__all__ = ["Liveness", "driven_outputs", "stirring"]

Array = np.ndarray[Any, Any]

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
                self._seen[position] = self._seen.get(position, False) or not is_same(
                    first, value, _SAME
                )

    def still(self) -> list[int]:
        """Return the positions of outputs that were the same on several samples, all of them."""
        return [position for position, changed in self._seen.items() if not changed]


def driven_outputs(proto: onnx.ModelProto) -> list[bool]:
    """Return of each output whether the numbers of an input reach it at all."""
    constants = {item.name for item in proto.graph.initializer}
    driven = {item.name for item in proto.graph.input} - constants
    for node in proto.graph.node:
        if not has(node.op_type, Fact.SIZES) and driven.intersection(node_uses(node)):
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
            stirred = {
                n for n in wanted if is_finite(after[n]) and not is_same(before[n], after[n], _SAME)
            }
            if stirred:
                found.append(Sample("found", feeds))
                wanted -= stirred
    except RunError:
        return found
    return found


def _moved(value: Array, scale: float, offset: float) -> Array:
    return (value * scale + offset).astype(value.dtype) if is_float(value.dtype) else value
