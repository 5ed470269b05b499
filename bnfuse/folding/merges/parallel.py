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

from bnfuse.folding.merges.chain import Chain
from bnfuse.folding.merges.geometry import Footprint
from bnfuse.folding.merges.kernel import Kernel
from bnfuse.folding.merges.links import Link, read_link
from bnfuse.folding.merges.merge import Cost, Merge, MergeRefusal, bytes_of
from bnfuse.folding.merges.merged import agree, merged_conv, misfit
from bnfuse.folding.merges.sums import Sum, SumRewrite, Together, sum_at
from bnfuse.graph.access import input_of

if TYPE_CHECKING:
    import onnx_ir as ir

    from bnfuse.folding.merges.merge import Storage
    from bnfuse.graph.constants import ConstantEvaluator
    from bnfuse.lifting.linear import LinearMap


@dataclass(frozen=True, eq=False)
class _Branch:
    """One term of a sum as a convolution of ``x``; without a chain it is ``x`` itself."""

    place: int
    chain: Chain | None
    footprint: Footprint

    @property
    def flops(self) -> int:
        return 0 if self.chain is None else self.chain.flops

    @property
    def label(self) -> str:
        if self.chain is None:
            return "the identity"
        return " then ".join(link.label for link in self.chain.links)


@dataclass(eq=False)
class _Group:
    """Branches that are one kernel together."""

    footprint: Footprint
    flops: int
    branches: list[_Branch]

    def joined_by(self, branch: _Branch) -> str | None:
        """Take a branch in; or say why not."""
        union = self.footprint.union(branch.footprint)
        if isinstance(union, str):
            return union
        before = self.flops + branch.flops + union.outputs
        if 2 * union.weights > before:
            return f"one kernel would cost more: FLOPs {before:,} → {2 * union.weights:,}"
        self.footprint, self.flops = union, 2 * union.weights
        self.branches.append(branch)
        return None

    @property
    def chains(self) -> tuple[Chain, ...]:
        return tuple(b.chain for b in self.branches if b.chain is not None)

    @property
    def linears(self) -> tuple[LinearMap, ...]:
        return tuple(linear for chain in self.chains for linear in chain.linears)


def find_parallel(
    root: ir.Node, constants: ConstantEvaluator, storage: Storage
) -> Iterator[SumRewrite | MergeRefusal]:
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
            taken.update(branch.place for branch in group.branches)
    if together:
        rest = tuple(leaf for place, leaf in enumerate(whole.leaves) if place not in taken)
        yield SumRewrite(whole, tuple(together), rest, tuple(merges))


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
    identities = [place for place, leaf in enumerate(whole.leaves) if leaf is x]
    if len(chains) + len(identities) < 2 or not any(chain.linears for _, chain in chains):
        return [], []
    refusals: list[MergeRefusal] = []
    branches: list[_Branch] = []
    for place, chain in chains:
        if isinstance(chain.footprint, str):
            if len(chain.links) > 1:
                refusals.append(MergeRefusal(_labels(chain), chain.footprint))
            continue
        branches.append(_Branch(place, chain, chain.footprint))
    own = Footprint.identity(x.shape)
    branches += [_Branch(place, None, own) for place in identities if own is not None]
    # The widest first: what is narrower fits into it.
    branches.sort(key=lambda b: (b.chain is None or not b.chain.linears, -b.footprint.weights))
    groups: list[_Group] = []
    for branch in branches:
        reasons = []
        for group in groups:
            reason = group.joined_by(branch)
            if reason is None:
                break
            reasons.append(MergeRefusal((group.branches[0].label, branch.label), reason))
        else:
            refusals += reasons[:1]
            if branch.chain is not None and branch.chain.linears:
                groups.append(_Group(branch.footprint, branch.flops, [branch]))
    return [group for group in groups if len(group.branches) > 1], refusals


def _merged(
    group: _Group, x: ir.Value, whole: Sum, constants: ConstantEvaluator, storage: Storage
) -> tuple[Together, Merge] | MergeRefusal:
    identities = len(group.branches) - len(group.chains)
    kernels = [chain.kernel() for chain in group.chains]
    kernels += [Kernel.of(b.footprint, 1.0) for b in group.branches if b.chain is None]
    kernel = kernels[0].added(kernels[1:], group.footprint)
    heir = max(group.linears, key=lambda linear: linear.layout.taps)
    linear = merged_conv(kernel, heir, constants)
    parts = tuple(branch.label for branch in group.branches)
    reason = misfit(linear)
    if reason is not None:
        return MergeRefusal(parts, reason)
    agree(group.chains, identities, kernel, heir.name)
    weights, outputs = group.footprint.weights, group.footprint.outputs
    numbers = weights + (outputs if np.any(kernel.offset != 0.0) else 0)
    flops = sum(branch.flops for branch in group.branches) + outputs * (len(group.branches) - 1)
    merge = Merge(
        kind="parallel",
        parts=parts,
        into=linear.title,
        before=Cost(flops, storage.freed(group.linears)),
        after=Cost(2 * weights, bytes_of(numbers, linear)),
        sites=tuple(site for chain in group.chains for site in chain.sites),
    )
    shape = whole.leaves[group.branches[0].place].shape
    nodes = tuple(node for chain in group.chains for node in chain.nodes)
    return Together(x, linear, shape, nodes), merge


def _labels(chain: Chain) -> tuple[str, ...]:
    return tuple(link.label for link in chain.links)
