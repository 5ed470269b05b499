"""Linear maps with nothing between them are one linear map.

``W₂ · (W₁ · x + b₁) + b₂ = (W₂ · W₁) · x + (W₂ · b₁ + b₂)``, for convolutions tap by tap (see
:mod:`bnfuse.folding.merges.chain` for when zero padding lets it be exact) and for matrix products
whose channels run along the same axis.

One map is not always cheaper than two: a bottleneck 1024 → 16 → 1024 is two maps in order to be
cheap. They merge only where neither the FLOPs nor the stored bytes grow.
"""

from __future__ import annotations

__all__ = ["SequenceRewrite", "find_sequence"]

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bnfuse.folding.merges.chain import Chain
from bnfuse.folding.merges.links import read_link
from bnfuse.folding.merges.matrices import follows, product_flops, product_of
from bnfuse.folding.merges.merge import Cost, Merge, MergeRefusal
from bnfuse.folding.merges.merged import agree, merged_conv, misfit
from bnfuse.folding.merges.storage import Storage, bytes_of
from bnfuse.lifting.nodes import linear_of, set_linear

if TYPE_CHECKING:
    import onnx_ir as ir

    from bnfuse.graph.constants import ConstantEvaluator
    from bnfuse.graph.names import FreshNames
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

    def apply(self, names: FreshNames) -> None:
        """Make the second what they are together."""
        del names
        graph = self.first.graph
        assert graph is not None
        set_linear(self.second, self.linear)
        self.second.replace_input_with(0, self.first.inputs[0])
        graph.remove(self.first, safe=True)


def find_sequence(
    second: ir.Node, constants: ConstantEvaluator, storage: Storage
) -> SequenceRewrite | MergeRefusal | None:
    """What becomes of a map and the one before it; ``None`` where there are no such two.

    No weight is read before it is known that they are cheaper as one.
    """
    last, first = linear_of(second), _before(second)
    before = linear_of(first)
    if last is None or first is None or before is None:
        return None
    if last.op_type == before.op_type == "Conv":
        return _convs(first, second, constants, storage)
    if follows(before, last):
        return _matrices(first, second, constants, storage)
    return None


def _convs(
    first: ir.Node, second: ir.Node, constants: ConstantEvaluator, storage: Storage
) -> SequenceRewrite | MergeRefusal | None:
    links = read_link(first, constants), read_link(second, constants)
    if links[0] is None or links[1] is None:
        return None
    chain = Chain((links[0], links[1]))
    parts = (links[0].label, links[1].label)
    footprint = chain.footprint
    if isinstance(footprint, str):
        return MergeRefusal(parts, footprint)
    costs = _costs(chain.flops, 2 * footprint.weights, footprint.weights, chain.linears, storage)
    refusal = _dearer(*costs)
    if refusal is not None:
        return MergeRefusal(parts, refusal)
    kernel, last = chain.kernel(), chain.linears[1]
    linear = merged_conv(kernel, last, constants)
    refusal = misfit(linear, last)
    if refusal is not None:
        return MergeRefusal(parts, refusal)
    agree((chain,), 0, kernel, last.name)
    return _rewrite(first, second, linear, parts, costs)


def _matrices(
    first: ir.Node, second: ir.Node, constants: ConstantEvaluator, storage: Storage
) -> SequenceRewrite | MergeRefusal:
    before, last = linear_of(first), linear_of(second)
    assert before is not None
    assert last is not None
    parts = tuple(f"{m.op_type} {m.label}" for m in (before, last))
    weights = before.layout.inputs * last.layout.outputs
    flops = product_flops(before) + product_flops(last)
    costs = _costs(flops, 2 * weights, weights, (before, last), storage)
    refusal = _dearer(*costs)
    if refusal is not None:
        return MergeRefusal(parts, refusal)
    linear = product_of(before, last, constants)
    refusal = misfit(linear, last)
    if refusal is not None:
        return MergeRefusal(parts, refusal)
    return _rewrite(first, second, linear, parts, costs)


def _before(second: ir.Node) -> ir.Node | None:
    """What feeds a map and nothing else."""
    h = second.inputs[0] if linear_of(second) is not None else None
    if h is None or h.is_graph_output() or len(h.uses()) != 1:
        return None
    first = h.producer()
    return first if first is not None and first.graph is second.graph else None


def _costs(
    flops: int, merged: int, weights: int, linears: tuple[LinearMap, ...], storage: Storage
) -> tuple[Cost, Cost]:
    before = Cost(flops, storage.freed(linears))
    has_bias = any(np.any(linear.offset != 0.0) for linear in linears)
    numbers = weights + (linears[-1].layout.outputs if has_bias else 0)
    return before, Cost(merged, bytes_of(numbers, linears[-1]))


def _dearer(before: Cost, after: Cost) -> str | None:
    if after.flops <= before.flops and after.bytes <= before.bytes:
        return None
    return (
        f"one map would cost more: FLOPs {before.flops:,} → {after.flops:,}, "
        f"bytes {before.bytes:,} → {after.bytes:,}"
    )


def _rewrite(
    first: ir.Node,
    second: ir.Node,
    linear: LinearMap,
    parts: tuple[str, ...],
    costs: tuple[Cost, Cost],
) -> SequenceRewrite:
    into = f"{linear.op_type} {linear.label}"
    merge = Merge("sequence", parts, into, *costs)
    return SequenceRewrite(first, second, linear, (merge,))
