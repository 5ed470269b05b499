"""What a search that failed tells the next ones: which values' scales cannot change.

The values that a search leads through have scales that must be equal. Where one of them cannot be
turned, or can have none but 1, that holds for all, and no other search need find it out again: of
a stream of n norms each would walk through the n others.
"""

from __future__ import annotations

__all__ = ["Ties"]

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx_ir as ir

    from bnfuse.folding.plan import Refusal
    from bnfuse.graph.affine import ChannelAffine


class Ties:
    """The way that a search has taken, and what the ways before it ended at."""

    def __init__(self) -> None:
        self._trail: list[tuple[ir.Value, ChannelAffine]] = []
        self._fixed: dict[ir.Value, Refusal] = {}

    def begin(self) -> None:
        """Another way begins: it is not tied to the one before."""
        self._trail.clear()

    def forget(self) -> None:
        """The graph is another one: a merge may have taken away what tied its values."""
        self._fixed.clear()

    def follow(self, value: ir.Value, affine: ChannelAffine) -> Refusal | None:
        """A search asks this of a value; why it cannot be, if that is known."""
        self._trail.append((value, affine))
        found = self._fixed.get(value)
        pinned = found is not None and found.pins and affine.has_scale
        return found if pinned or np.any(affine.scale < 0.0) else None

    def remember(self, refusal: Refusal) -> None:
        """The last value that was asked refused: all that have its channels would."""
        if not self._trail or not refusal.lasts:
            return
        _, last = self._trail[-1]
        if last.has_shift or not (refusal.pins or np.all(np.abs(last.scale) == 1.0)):
            return
        for value, affine in self._trail:
            # Of several parts that are joined one may be fixed and another free.
            if affine.has_scale and affine.channels == last.channels:
                self._fixed[value] = refusal
