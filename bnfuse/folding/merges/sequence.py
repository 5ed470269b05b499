"""Linear maps with nothing between them are one linear map.

``W₂ · (W₁ · x + b₁) + b₂ = (W₂ · W₁) · x + (W₂ · b₁ + b₂)``, for convolutions tap by tap (see
:mod:`bnfuse.folding.merges.links` for when zero padding lets it be exact) and for products by
constant matrices, from the right and from the left, as convolutions without positions.

One map is not always cheaper than two: a bottleneck 1024 → 16 → 1024 is two maps in order to be
cheap. They merge only where neither the FLOPs nor the stored bytes grow.

A Pad with zeros before convolutions is their own padding: ``W * pad₀(x)`` reads the same zeros as
a Conv that pads by itself; paddings add up. It takes every reader of the Pad: then the Pad is gone.
"""

from __future__ import annotations

__all__ = ["find_padding", "find_sequence"]

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from bnfuse.folding.merges.links import Chain, read_link, read_map
from bnfuse.folding.merges.merge import Cost, Merge, MergeRefusal, Rewrite, bytes_of
from bnfuse.folding.merges.merged import agree, merged_conv, merged_product, misfit
from bnfuse.graph.access import graph_of, is_op
from bnfuse.lifting.nodes import hold, linear_at, linear_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bnfuse.folding.merges.geometry import Footprint
    from bnfuse.folding.merges.links import Link
    from bnfuse.folding.merges.merge import Storage
    from bnfuse.graph.constants import ConstantEvaluator
    from bnfuse.lifting.linear import LinearMap


def find_padding(node: ir.Node, constants: ConstantEvaluator, storage: Storage) -> Rewrite | None:
    """What becomes of a Pad, if all that read it are Convs."""
    pad, padded = read_link(node, constants) if is_op(node, "Pad") else None, node.outputs[0]
    if pad is None or padded.is_graph_output():
        return None
    readers = [_reader(use.node, use.idx, node) for use in padded.uses()]
    links = [link for link in readers if link is not None]
    if not links or len(links) < len(readers):
        return None
    convs: list[tuple[ir.Node, Footprint]] = []
    merges: list[Merge] = []
    for link in links:
        joined = Chain((pad, link)).footprint
        if isinstance(joined, str):
            return None
        convs.append((link.node, joined))
        linear = linear_at(link.node)
        cost = Cost(link.flops, storage.freed([linear]))
        merges.append(Merge("padding", (pad.label, link.label), linear.title, cost, cost))
    return Rewrite(tuple(merges), lambda _: _pad_in(node, convs))


def _reader(node: ir.Node, position: int, pad: ir.Node) -> Link | None:
    link = read_map(node) if position == 0 and node.graph is pad.graph else None
    return link if link is not None and link.footprint.axes else None


def _pad_in(pad: ir.Node, convs: Iterable[tuple[ir.Node, Footprint]]) -> None:
    """Give each Conv the Pad's input and its zeros."""
    for node, footprint in convs:
        linear = linear_at(node)
        frame = ir.Node("", "Conv", [], attributes=footprint.attributes())
        hold(node, replace(linear, source=replace(linear.source, frame=frame)))
        node.replace_input_with(0, pad.inputs[0])
    graph_of(pad).remove(pad, safe=True)


def find_sequence(
    second: ir.Node, constants: ConstantEvaluator, storage: Storage
) -> Rewrite | MergeRefusal | None:
    """What becomes of a map and the one before it; ``None`` where there are no such two.

    No weight is read before it is known that they are cheaper as one.
    """
    links = _two_maps(second)
    if links is None:
        return None
    chain, first = Chain(links), links[0].node
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
    agree((chain,), kernel, last.name)
    merge = Merge("sequence", parts, linear.title, was, now)
    return Rewrite((merge,), lambda _: _join(first, second, linear))


def _join(first: ir.Node, second: ir.Node, linear: LinearMap) -> None:
    """Make the second what they are together."""
    hold(second, linear)
    second.replace_input_with(0, first.inputs[0])
    graph_of(first).remove(first, safe=True)


def _two_maps(second: ir.Node) -> tuple[Link, Link] | None:
    """A map and what feeds it and nothing else: two convolutions, or two products along one axis.

    A constant on the left mixes another axis than one on the right: then there is no one product.
    """
    last = linear_of(second)
    h = second.inputs[0] if last is not None else None
    if h is None or h.is_graph_output() or len(h.uses()) != 1:
        return None
    first = h.producer()
    before = linear_of(first)
    if first is None or before is None or last is None or first.graph is not second.graph:
        return None
    if before.output_axis != last.input_axis:
        return None
    one, two = read_map(first), read_map(second)
    if one is None or two is None or bool(one.footprint.axes) != bool(two.footprint.axes):
        return None
    return one, two


def _dearer(before: Cost, after: Cost) -> str | None:
    if after.flops <= before.flops and after.bytes <= before.bytes:
        return None
    return (
        f"one map would cost more: FLOPs {before.flops:,} → {after.flops:,}, "
        f"bytes {before.bytes:,} → {after.bytes:,}"
    )
