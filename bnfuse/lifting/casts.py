"""A norm computed in a wider type: Cast up, the norm, Cast down, as mixed precision has it.

In exact arithmetic both casts are identities. Folded into the narrow linear map before it, the
result is rounded once where the model rounds twice, so the fold is no less precise. The casts
belong to the norm only as a pair: alone, a Cast rounds a value that something else reads.
"""

from __future__ import annotations

__all__ = ["Casts", "casts_around"]

from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx_ir as ir

from bnfuse.graph.rewire import output_like, substitute
from bnfuse.lifting.nodes import LiftedAffine, Origin, new_affine, origins_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bnfuse.graph.affine import ChannelAffine
    from bnfuse.lifting.moments import Moments
    from bnfuse.lifting.sites import Site


@dataclass(frozen=True, eq=False)
class Casts:
    """The Cast before a run and the Cast after it."""

    up: ir.Node
    down: ir.Node

    def replace(
        self,
        members: Sequence[ir.Node],
        affine: ChannelAffine,
        sites: Sequence[Site],
        moments: Moments | None,
    ) -> None:
        """Make one Affine of the run and its casts."""
        graph, x = self.down.graph, self.up.inputs[0]
        assert graph is not None
        assert x is not None
        inner = origins_of(members)
        origins = (Origin.of(self.up), *inner, Origin.of(self.down)) if inner else ()
        node = new_affine(
            x,
            output_like(self.down.outputs[0]),
            LiftedAffine(affine, tuple(sites), origins, moments=moments),
            members[-1].name or "",
        )
        substitute(self.down, node)
        graph.remove([self.up, *members], safe=True)


def casts_around(members: Sequence[ir.Node]) -> Casts | None:
    """The pair of casts around a run, if nothing else reads what lies between."""
    if not members:
        return None
    x, y = members[0].inputs[0], members[-1].outputs[0]
    if x is None or any(len(v.uses()) != 1 or v.is_graph_output() for v in (x, y)):
        return None
    up, down = x.producer(), next(iter(y.uses())).node
    if up is None or not _is_cast(up) or not _is_cast(down) or down.graph is not up.graph:
        return None
    source = up.inputs[0]
    narrow = None if source is None else source.dtype
    wide = ir.DataType(up.attributes["to"].as_int())
    if narrow is None or not narrow.is_floating_point() or narrow.itemsize >= wide.itemsize:
        return None
    if ir.DataType(down.attributes["to"].as_int()) != narrow or down.outputs[0].dtype != narrow:
        return None
    return Casts(up, down)


def _is_cast(node: ir.Node) -> bool:
    return node.op_type == "Cast" and node.domain in ("", "ai.onnx")
