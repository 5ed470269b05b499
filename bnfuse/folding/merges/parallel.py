"""Parallel branches of one input that meet in an Add are one convolution.

``Σₖ (Wₖ * x + bₖ) = (Σₖ Wₖ) * x + Σₖ bₖ`` once every kernel is written on one grid of taps: a 1×1
kernel is one tap of a 3×3, an identity or a norm of x itself is one tap on the diagonal (RepVGG,
Ding et al. 2021, §3.3; ACNet, Ding et al. 2019, §3.2). A branch may be a chain of convolutions and
average pools (DBB, Ding et al. 2021, §3.2). Exact for equal strides and output sizes; zero padding
is the same zero for every branch.

A branch joins a kernel only where the kernel then costs no more than the two of them and the Add.
"""

from __future__ import annotations

__all__ = ["find_parallel"]

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bnfuse.folding.merges.geometry import Footprint
from bnfuse.folding.merges.links import Chain, Link, read_link
from bnfuse.folding.merges.merge import Cost, Merge, MergeRefusal, Rewrite, bytes_of
from bnfuse.folding.merges.merged import agree, merged_conv, misfit
from bnfuse.folding.merges.sums import Sum, Together, rewrite_sum, sum_at
from bnfuse.graph.access import input_of

if TYPE_CHECKING:
    import onnx_ir as ir

    from bnfuse.folding.merges.merge import Storage
    from bnfuse.graph.constants import ConstantEvaluator


@dataclass(eq=False)
class _Group:
    """Terms of a sum that are one kernel together, by their places in it."""

    footprint: Footprint
    flops: int
    branches: dict[int, Chain]

    def joined_by(self, place: int, chain: Chain, footprint: Footprint) -> str | None:
        """Take a branch in; or say why not."""
        union = self.footprint.union(footprint)
        if isinstance(union, str):
            return union
        before = self.flops + chain.flops + union.outputs
        if 2 * union.weights > before:
            return f"one kernel would cost more: FLOPs {before:,} → {2 * union.weights:,}"
        self.footprint, self.flops = union, 2 * union.weights
        self.branches[place] = chain
        return None


def find_parallel(
    root: ir.Node, constants: ConstantEvaluator, storage: Storage
) -> Iterator[Rewrite | MergeRefusal]:
    """The one rewrite of the sum that ``root`` gives, if any, and what it leaves with its reasons.

    No weight is read before it is known that a merge will happen.
    """
    whole = sum_at(root)
    if whole is None:
        return
    together: list[Together] = []
    merges: list[Merge] = []
    taken: set[int] = set()
    for x, chains in _by_input(whole, constants).items():
        groups, refusals = _grouped(whole, x, chains)
        yield from refusals
        for group in groups:
            made = _merged(group, x, whole, constants, storage)
            if isinstance(made, MergeRefusal):
                yield made
                continue
            together.append(made[0])
            merges.append(made[1])
            taken.update(group.branches)
    if together:
        rest = tuple(leaf for place, leaf in enumerate(whole.leaves) if place not in taken)
        yield Rewrite(tuple(merges), lambda names: rewrite_sum(whole, together, rest, names))


def _by_input(whole: Sum, constants: ConstantEvaluator) -> dict[ir.Value, list[tuple[int, Chain]]]:
    """The terms that are chains, by what feeds them.

    A chain goes up as far as nothing else reads what lies on it, so no two chains share a node
    and two terms of one input find it at their ends.
    """
    found: dict[ir.Value, list[tuple[int, Chain]]] = {}
    for place, leaf in enumerate(whole.leaves):
        x, links = leaf, list[Link]()
        while (link := _link_of(x, whole.root, constants)) is not None:
            links.insert(0, link)
            x = input_of(link.node)
        if links:
            found.setdefault(x, []).append((place, Chain(tuple(links))))
    return found


def _link_of(value: ir.Value, root: ir.Node, constants: ConstantEvaluator) -> Link | None:
    node = value.producer()
    if node is None or node.graph is not root.graph:
        return None
    if len(value.uses()) != 1 or value.is_graph_output():
        return None
    return read_link(node, constants)


def _grouped(
    whole: Sum, x: ir.Value, chains: list[tuple[int, Chain]]
) -> tuple[list[_Group], list[MergeRefusal]]:
    """The branches of one input in groups of two or more with a convolution among them."""
    own = Footprint.identity(x.shape)
    identities = [place for place, leaf in enumerate(whole.leaves) if leaf is x]
    if len(chains) + len(identities) < 2 or not any(chain.linears for _, chain in chains):
        return [], []
    refusals: list[MergeRefusal] = []
    branches: list[tuple[int, Chain, Footprint]] = []
    for place, chain in chains:
        if not isinstance(chain.footprint, str):
            branches.append((place, chain, chain.footprint))
        elif len(chain.links) > 1:
            labels = tuple(link.label for link in chain.links)
            refusals.append(MergeRefusal(labels, chain.footprint))
    if own is not None:
        branches += [(place, Chain((), own), own) for place in identities]
    # The widest first: what is narrower fits into it.
    branches.sort(key=lambda branch: (not branch[1].linears, -branch[2].weights))
    groups: list[_Group] = []
    for place, chain, footprint in branches:
        reasons = []
        for group in groups:
            reason = group.joined_by(place, chain, footprint)
            if reason is None:
                break
            first = next(iter(group.branches.values()))
            reasons.append(MergeRefusal((first.label, chain.label), reason))
        else:
            refusals += reasons[:1]
            if chain.linears:
                groups.append(_Group(footprint, chain.flops, {place: chain}))
    return [group for group in groups if len(group.branches) > 1], refusals


def _merged(
    group: _Group, x: ir.Value, whole: Sum, constants: ConstantEvaluator, storage: Storage
) -> tuple[Together, Merge] | MergeRefusal:
    chains = tuple(group.branches.values())
    linears = [linear for chain in chains for linear in chain.linears]
    # The identity, of which there may be several, last: sums are rounded.
    first, *others = (chain.kernel() for chain in sorted(chains, key=lambda c: not c.links))
    kernel = first.added(others, group.footprint)
    heir = max(linears, key=lambda linear: linear.layout.taps)
    linear = merged_conv(kernel, heir, constants)
    parts = tuple(chain.label for chain in chains)
    reason = misfit(linear)
    if reason is not None:
        return MergeRefusal(parts, reason)
    agree(chains, kernel, heir.name)
    weights, outputs = group.footprint.weights, group.footprint.outputs
    numbers = weights + (outputs if np.any(kernel.offset != 0.0) else 0)
    flops = sum(chain.flops for chain in chains) + outputs * (len(chains) - 1)
    merge = Merge(
        kind="parallel",
        parts=parts,
        into=linear.title,
        before=Cost(flops, storage.freed(linears)),
        after=Cost(2 * weights, bytes_of(numbers, linear)),
        sites=tuple(site for chain in chains for site in chain.sites),
    )
    shape = whole.leaves[next(iter(group.branches))].shape
    nodes = tuple(node for chain in chains for node in chain.nodes)
    return Together(x, linear, shape, nodes), merge
