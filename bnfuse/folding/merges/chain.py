"""Links one after another, from one input to one output: together they are one convolution.

Exact where the second link pads only what the first would have made zero by itself: with zeros at
its border the first must add nothing, and past its ends see nothing but its own padding. So a k×k
before any unpadded map, and a 1×1 without a bias before any map.
"""

from __future__ import annotations

__all__ = ["Chain"]

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx_ir as ir

    from bnfuse.folding.merges.geometry import Footprint
    from bnfuse.folding.merges.kernel import Kernel
    from bnfuse.folding.merges.links import Link
    from bnfuse.lifting.linear import LinearMap
    from bnfuse.lifting.sites import Site


@dataclass(frozen=True, eq=False)
class Chain:
    """Links in the order of the data flow; none of them is the identity.

    Attributes:
        links: The links, at least one.
    """

    links: tuple[Link, ...]

    @property
    def linears(self) -> tuple[LinearMap, ...]:
        """The convolutions among the links."""
        return tuple(link.linear for link in self.links if link.linear is not None)

    @property
    def nodes(self) -> tuple[ir.Node, ...]:
        """The links' nodes, the last one first: nothing reads a node that follows it."""
        return tuple(link.node for link in reversed(self.links))

    @property
    def sites(self) -> tuple[Site, ...]:
        """The norms among the links."""
        return tuple(site for link in self.links for site in link.sites)

    @cached_property
    def footprint(self) -> Footprint | str:
        """Where the taps of all links together lie; or why they are no one convolution."""
        joined, has_offset = self.links[0].footprint, self.links[0].has_offset
        for link in self.links[1:]:
            own = link.footprint
            if own.pads and has_offset:
                return f"{link.label} pads with zeros, which the bias before it must not reach"
            if not all(a.pads_as(b) for a, b in zip(own.axes, joined.axes, strict=True)):
                return f"{link.label} pads with zeros where what is before it is none"
            joined = own.after(joined)
            has_offset = has_offset or link.has_offset
        return joined

    @cached_property
    def flops(self) -> int:
        """What all links cost for each position of the last one's output."""
        return sum(
            round(link.flops * _positions_of(self.links[i:])) for i, link in enumerate(self.links)
        )

    def kernel(self) -> Kernel:
        """The one convolution with its numbers."""
        joined = self.links[0].kernel()
        for link in self.links[1:]:
            joined = link.kernel().after(joined)
        return joined


def _positions_of(links: tuple[Link, ...]) -> float:
    """How many positions the first link's output has for each of the last one's.

    Where a size is known only at run time, as many as the strides skip.
    """
    if not links[0].footprint.axes:
        return 1
    first, last = (_positions(link.node.outputs[0]) for link in (links[0], links[-1]))
    if first is not None and last:
        return first / last
    return math.prod(axis.stride for link in links[1:] for axis in link.footprint.axes)


def _positions(value: ir.Value) -> int | None:
    if value.shape is None:
        return None
    sizes = [n for n in value.shape[2:] if isinstance(n, int)]
    return math.prod(sizes) if len(sizes) == len(value.shape) - 2 else None
