"""A Pad with zeros before convolutions is their own padding.

``W * pad₀(x)`` reads the same zeros as a Conv that pads by itself; paddings add up. It takes every
reader of the Pad, so that the Pad is gone.
"""

from __future__ import annotations

__all__ = ["PaddingRewrite", "find_padding"]

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import onnx_ir as ir

from bnfuse.folding.merges.chain import Chain
from bnfuse.folding.merges.links import read_link, read_map
from bnfuse.folding.merges.merge import Cost, Merge
from bnfuse.graph.access import graph_of, is_op
from bnfuse.lifting.nodes import hold, linear_at

if TYPE_CHECKING:
    from bnfuse.folding.merges.geometry import Footprint
    from bnfuse.folding.merges.links import Link
    from bnfuse.folding.merges.merge import Storage
    from bnfuse.graph.constants import ConstantEvaluator
    from bnfuse.graph.initializers import FreshNames


@dataclass(frozen=True, eq=False)
class PaddingRewrite:
    """A Pad goes into the Convs that read it.

    Attributes:
        pad: The Pad.
        convs: Each reader, and its geometry with the Pad.
        merges: What the report says.
    """

    pad: ir.Node
    convs: tuple[tuple[ir.Node, Footprint], ...]
    merges: tuple[Merge, ...]

    def apply(self, _: FreshNames) -> None:
        """Give each Conv the Pad's input and its zeros."""
        for node, footprint in self.convs:
            linear = linear_at(node)
            frame = ir.Node("", "Conv", [], attributes=footprint.attributes())
            hold(node, replace(linear, source=replace(linear.source, frame=frame)))
            node.replace_input_with(0, self.pad.inputs[0])
        graph_of(self.pad).remove(self.pad, safe=True)


def find_padding(
    node: ir.Node, constants: ConstantEvaluator, storage: Storage
) -> PaddingRewrite | None:
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
        parts = (pad.label, link.label)
        merges.append(Merge("padding", parts, linear.title, cost, cost))
    return PaddingRewrite(node, tuple(convs), tuple(merges))


def _reader(node: ir.Node, position: int, pad: ir.Node) -> Link | None:
    link = read_map(node) if position == 0 and node.graph is pad.graph else None
    return link if link is not None and link.footprint.axes else None
