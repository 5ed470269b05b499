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
from bnfuse.folding.merges.geometry import Footprint
from bnfuse.folding.merges.links import Link, read_link
from bnfuse.folding.merges.merge import Cost, Merge
from bnfuse.lifting.nodes import linear_of, set_linear

if TYPE_CHECKING:
    from bnfuse.folding.merges.storage import Storage
    from bnfuse.graph.constants import ConstantEvaluator
    from bnfuse.graph.names import FreshNames


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

    def apply(self, names: FreshNames) -> None:
        """Give each Conv the Pad's input and its zeros."""
        del names
        x, graph = self.pad.inputs[0], self.pad.graph
        assert graph is not None
        for node, footprint in self.convs:
            linear = linear_of(node)
            assert linear is not None
            frame = ir.Node("", "Conv", [], attributes=footprint.attributes())
            set_linear(node, replace(linear, source=replace(linear.source, frame=frame)))
            node.replace_input_with(0, x)
        graph.remove(self.pad, safe=True)


def find_padding(
    node: ir.Node, constants: ConstantEvaluator, storage: Storage
) -> PaddingRewrite | None:
    """What becomes of a Pad, if all that read it are Convs."""
    if node.op_type != "Pad" or linear_of(node) is not None:
        return None
    padded = node.outputs[0]
    pad = read_link(node, constants)
    if pad is None or padded.is_graph_output():
        return None
    readers = [_reader(use.node, use.idx, node, constants) for use in padded.uses()]
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
        linear = link.linear
        assert linear is not None
        cost = Cost(link.flops, storage.freed([linear]))
        parts = (pad.label, link.label)
        merges.append(Merge("padding", parts, f"Conv {linear.label}", cost, cost))
    return PaddingRewrite(node, tuple(convs), tuple(merges))


def _reader(
    node: ir.Node, position: int, pad: ir.Node, constants: ConstantEvaluator
) -> Link | None:
    if position != 0 or node.graph is not pad.graph:
        return None
    link = read_link(node, constants)
    return link if link is not None and link.linear is not None else None
