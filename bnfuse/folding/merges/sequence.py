"""Linear maps with nothing between them are one linear map.

``W₂ · (W₁ · x + b₁) + b₂ = (W₂ · W₁) · x + (W₂ · b₁ + b₂)``, for convolutions tap by tap (see
:mod:`bnfuse.folding.merges.chain` for when zero padding lets it be exact) and for products by
constant matrices, from the right and from the left, as convolutions without positions.

One map is not always cheaper than two: a bottleneck 1024 → 16 → 1024 is two maps in order to be
cheap. They merge only where neither the FLOPs nor the stored bytes grow.
"""

from __future__ import annotations

__all__ = ["SequenceRewrite", "find_sequence"]

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bnfuse.folding.merges.chain import Chain
from bnfuse.folding.merges.links import read_map
from bnfuse.folding.merges.merge import Cost, Merge, MergeRefusal, bytes_of
from bnfuse.folding.merges.merged import agree, merged_conv, merged_product, misfit
from bnfuse.graph.access import graph_of
from bnfuse.lifting.nodes import hold, linear_at, linear_of

if TYPE_CHECKING:
    import onnx_ir as ir

    from bnfuse.folding.merges.links import Link
    from bnfuse.folding.merges.merge import Storage
    from bnfuse.graph.constants import ConstantEvaluator
    from bnfuse.graph.initializers import FreshNames
    from bnfuse.lifting.linear import LinearMap


@dataclass(frozen=True, eq=False)
class SequenceRewrite:
    """Two maps, one after the other, become one.

    Attributes:
        first: The node that disappears.
        second: The node that becomes both.
        linear: What they are together.
        merges: What the report says.
    """

    first: ir.Node
    second: ir.Node
    linear: LinearMap
    merges: tuple[Merge, ...]

    def apply(self, _: FreshNames) -> None:
        """Make the second what they are together."""
        hold(self.second, self.linear)
        self.second.replace_input_with(0, self.first.inputs[0])
        graph_of(self.first).remove(self.first, safe=True)


def find_sequence(
    second: ir.Node, constants: ConstantEvaluator, storage: Storage
) -> SequenceRewrite | MergeRefusal | None:
    """What becomes of a map and the one before it; ``None`` where there are no such two.

    No weight is read before it is known that they are cheaper as one.
    """
    first = _before(second)
    links = None if first is None else _links(first, second)
    if first is None or links is None:
        return None
    chain = Chain(links)
    parts, footprint = tuple(link.label for link in links), chain.footprint
    if isinstance(footprint, str):
        return MergeRefusal(parts, footprint)
    before, last = chain.linears
    outputs = last.layout.outputs if any(np.any(m.offset != 0.0) for m in chain.linears) else 0
    was = Cost(chain.flops, storage.freed(chain.linears))
    now = Cost(2 * footprint.weights, bytes_of(footprint.weights + outputs, last))
    if (refusal := _dearer(was, now)) is not None:
        return MergeRefusal(parts, refusal)
    kernel = chain.kernel()
    if footprint.axes:
        linear = merged_conv(kernel, last, constants)
    else:
        linear = merged_product(kernel, before, last, constants)
    if (refusal := misfit(linear, last)) is not None:
        return MergeRefusal(parts, refusal)
    agree((chain,), 0, kernel, last.name)
    merge = Merge("sequence", parts, linear.title, was, now)
    return SequenceRewrite(first, second, linear, (merge,))


def _links(first: ir.Node, second: ir.Node) -> tuple[Link, Link] | None:
    """Both as convolutions, or both as matrix products along the same axis.

    A constant on the left mixes another axis than one on the right: then there is no one product.
    """
    one, two = read_map(first), read_map(second)
    if one is None or two is None or bool(one.footprint.axes) != bool(two.footprint.axes):
        return None
    return (one, two) if linear_at(first).output_axis == linear_at(second).input_axis else None


def _before(second: ir.Node) -> ir.Node | None:
    """What feeds a map and nothing else."""
    h = second.inputs[0] if linear_of(second) is not None else None
    if h is None or h.is_graph_output() or len(h.uses()) != 1:
        return None
    first = h.producer()
    return first if first is not None and first.graph is second.graph else None


def _dearer(before: Cost, after: Cost) -> str | None:
    if after.flops <= before.flops and after.bytes <= before.bytes:
        return None
    return (
        f"one map would cost more: FLOPs {before.flops:,} → {after.flops:,}, "
        f"bytes {before.bytes:,} → {after.bytes:,}"
    )
