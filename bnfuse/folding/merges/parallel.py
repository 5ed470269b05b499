"""Parallel branches of one input that meet in an Add are one convolution.

``Σₖ (Wₖ * x + bₖ) = (Σₖ Wₖ) * x + Σₖ bₖ`` once every kernel is written on one grid of taps: a 1×1
kernel is one tap of a 3×3, an identity or a norm of x itself is one tap on the diagonal (RepVGG,
Ding et al. 2021, §3.3; ACNet, Ding et al. 2019, §3.2). Exact for equal strides, dilations and
output sizes; zero padding is the same zero for every branch.

A merge happens only where it costs no more multiplications than the branches did.
"""

from __future__ import annotations

__all__ = ["Merge", "find_parallel", "replace_sum"]

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from bnfuse.errors import FoldError
from bnfuse.folding.merges.kernel import (
    Geometry,
    Taps,
    convolve,
    identity_taps,
    kernel_of,
    taps_of,
)
from bnfuse.lifting.limits import Limits
from bnfuse.lifting.linear import LinearMap, merged_conv
from bnfuse.lifting.nodes import affine_of, linear_of, new_linear
from bnfuse.lifting.rewire import output_like, substitute_sequence

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bnfuse.folding.names import FreshNames
    from bnfuse.lifting.constants import ConstantEvaluator
    from bnfuse.lifting.sites import Site

Array = NDArray[np.float64]
_TOLERANCE = 1e-12


@dataclass(frozen=True, eq=False)
class Merge:
    """Branches that become one convolution.

    Attributes:
        root: The Add that the branches meet in.
        adds: All Adds between the branches, the root among them.
        x: The input of the branches.
        linear: What they are together.
        branches: The nodes that disappear.
        rest: Other terms of the sum, which stay.
        sites: The norms of x itself that disappear in the merge.
        shape: The shape of each branch.
    """

    root: ir.Node
    adds: tuple[ir.Node, ...]
    x: ir.Value
    linear: LinearMap
    branches: tuple[ir.Node, ...]
    rest: tuple[ir.Value, ...]
    sites: tuple[Site, ...]
    shape: ir.Shape | None

    @property
    def labels(self) -> tuple[str, ...]:
        """The branches as a person calls them."""
        maps = (linear_of(node) for node in self.branches)
        return tuple(f"{m.op_type} {m.label}" for m in maps if m is not None)


@dataclass(frozen=True, eq=False)
class _Term:
    """One summand ``M * x + b`` of the sum."""

    x: ir.Value
    taps: Taps
    offset: Array
    magnitude: Array
    node: ir.Node | None
    sites: tuple[Site, ...] = ()

    @property
    def cost(self) -> int:
        """Multiplications and additions for each position of the output."""
        outputs, inputs = self.taps.channels
        if self.node is None:
            return outputs
        return len(self.taps.matrices) * outputs * inputs // self.taps.group + outputs


def find_parallel(root: ir.Node, constants: ConstantEvaluator) -> Merge | None:
    """The merge that an Add is the root of, if there is one."""
    if not _is_add(root) or _is_inner(root):
        return None
    adds, leaves = _sum_of(root)
    for x in dict.fromkeys(_inputs_of(leaves)):
        terms = {leaf: term for leaf in leaves if (term := _term(leaf, x)) is not None}
        if sum(t.node is not None and linear_of(t.node) is not None for t in terms.values()) < 1:
            continue
        if len([leaf for leaf in leaves if leaf in terms]) < 2:
            continue
        merge = _merge(root, adds, leaves, x, terms, constants)
        if merge is not None:
            return merge
    return None


def replace_sum(merge: Merge, names: FreshNames) -> None:
    """Put the one convolution in the place of the branches and of the Adds between them."""
    graph = merge.root.graph
    assert graph is not None
    y = merge.root.outputs[0]
    nodes: list[ir.Node] = []
    value: ir.Value | None = None
    for position in range(len(merge.rest) + 1):
        last = position == len(merge.rest)
        output = output_like(y)
        if not last:
            # The other terms of the sum may broadcast it: its own shape is smaller than y's.
            output.name = names.after(y.name or "sum")
            output.shape = merge.shape if position == 0 else None
        if value is None:
            node = new_linear(merge.x, output, merge.linear)
        else:
            node = ir.Node("", "Add", [value, merge.rest[position - 1]], outputs=[output])
            node.name = f"{merge.root.name}.rest{position}"
        nodes.append(node)
        value = node.outputs[0]
    substitute_sequence(merge.root, nodes)
    for node in (*merge.adds[1:], *merge.branches):
        graph.remove(node, safe=True)


def _merge(
    root: ir.Node,
    adds: tuple[ir.Node, ...],
    leaves: Sequence[ir.Value],
    x: ir.Value,
    terms: dict[ir.Value, _Term],
    constants: ConstantEvaluator,
) -> Merge | None:
    summands = [terms[leaf] for leaf in leaves if leaf in terms]
    found = kernel_of([term.taps for term in summands])
    if isinstance(found, str):
        return None
    geometry, weight = found
    group, out, inner, taps = weight.shape
    if taps * group * out * inner + group * out > sum(term.cost for term in summands):
        return None
    largest = _largest(summands)
    offset = np.sum([term.offset for term in summands], axis=0)
    magnitude = np.sum([term.magnitude for term in summands], axis=0)
    linear = merged_conv(
        largest,
        weight,
        geometry.attributes(group),
        offset,
        magnitude,
        constants,
        name=root.outputs[0].name or "merged",
    )
    limits = Limits.of(largest.weight.constant.dtype)
    if limits.overflows(weight) or limits.overflows(offset):
        return None
    _check(summands, geometry, weight, linear)
    nodes = [term.node for term in summands if term.node is not None]
    return Merge(
        root,
        adds,
        x,
        linear,
        tuple(dict.fromkeys(nodes)),
        tuple(leaf for leaf in leaves if leaf not in terms),
        tuple(site for term in summands for site in term.sites),
        next((leaf.shape for leaf in leaves if leaf in terms and leaf is not x), None),
    )


def _sum_of(root: ir.Node) -> tuple[tuple[ir.Node, ...], tuple[ir.Value, ...]]:
    """The Adds below ``root`` that only feed each other, and what they add."""
    adds: list[ir.Node] = []
    leaves: list[ir.Value] = []
    pending = [root]
    while pending:
        node = pending.pop()
        adds.append(node)
        for value in node.inputs:
            assert value is not None
            producer = value.producer()
            if producer is not None and _is_add(producer) and _is_inner(producer):
                pending.append(producer)
            else:
                leaves.append(value)
    return tuple(adds), tuple(leaves)


def _inputs_of(leaves: Sequence[ir.Value]) -> Iterator[ir.Value]:
    for leaf in leaves:
        node = leaf.producer()
        linear = linear_of(node)
        if node is not None and linear is not None and linear.op_type == "Conv":
            assert node.inputs[0] is not None
            yield node.inputs[0]


def _term(leaf: ir.Value, x: ir.Value) -> _Term | None:
    """``leaf`` as a convolution of ``x``, if it is one and nothing else needs it."""
    channels = x.shape[1] if x.shape is not None and len(x.shape) > 2 else None
    if leaf is x:
        if not isinstance(channels, int) or x.shape is None:
            return None
        taps = identity_taps(np.ones(channels), len(x.shape) - 2)
        return _Term(x, taps, np.zeros(channels), np.zeros(channels), None)
    node = leaf.producer()
    if node is None or node.inputs[0] is not x or len(leaf.uses()) != 1 or leaf.is_graph_output():
        return None
    linear, lifted = linear_of(node), affine_of(node)
    if linear is not None and linear.op_type == "Conv":
        conv = taps_of(linear)
        if conv is None:
            return None
        return _Term(x, conv, linear.offset, linear.offset_magnitude, node)
    if lifted is not None and isinstance(channels, int) and x.shape is not None:
        if lifted.affine.axis not in (None, 1):
            return None
        scale, shift, magnitude = lifted.affine.expanded(channels)
        taps = identity_taps(scale, len(x.shape) - 2)
        return _Term(x, taps, shift, magnitude, node, lifted.all_sites)
    return None


def _largest(terms: Sequence[_Term]) -> LinearMap:
    maps = [linear for term in terms if (linear := linear_of(term.node)) is not None]
    return max(maps, key=lambda linear: linear.layout.taps)


def _check(terms: Sequence[_Term], geometry: Geometry, weight: Array, linear: LinearMap) -> None:
    """Convolve a random image by each branch and by the merged kernel.

    Raises:
        FoldError: The two differ.
    """
    rng = np.random.default_rng(0)
    size = [
        s + d * k
        for s, d, k in zip(geometry.strides, geometry.dilations, geometry.kernel, strict=True)
    ]
    x = rng.standard_normal((terms[0].taps.channels[1], *size))
    merged = convolve(x, weight, geometry)
    apart = np.sum([_apply(term, x) for term in terms], axis=0)
    scale = np.max(np.abs(apart), initial=1e-300)
    if merged.shape != apart.shape or np.max(np.abs(merged - apart)) > _TOLERANCE * scale:
        raise FoldError(
            f"the branches that meet in {linear.name!r} differ from the kernel they merge into.",
            "This is a bug in bnfuse: please report it with the model.",
        )


def _apply(term: _Term, x: Array) -> Array:
    linear = linear_of(term.node)
    if linear is None:
        diagonal = next(iter(term.taps.matrices.values())).reshape(-1)
        scaled: Array = diagonal.reshape(-1, *(1,) * (x.ndim - 1)) * x
        return scaled
    geometry = Geometry.of(linear)
    assert geometry is not None
    return convolve(x, linear.exact_weight(), geometry)


def _is_add(node: ir.Node) -> bool:
    return (
        node.op_type in ("Add", "Sum")
        and node.domain in ("", "ai.onnx")
        and len(node.inputs) > 1
        and all(value is not None for value in node.inputs)
    )


def _is_inner(node: ir.Node) -> bool:
    """Whether the node only feeds another Add of the same sum."""
    value = node.outputs[0]
    uses = tuple(value.uses())
    if len(uses) != 1 or value.is_graph_output() or uses[0].node.graph is not node.graph:
        return False
    return _is_add(uses[0].node)
