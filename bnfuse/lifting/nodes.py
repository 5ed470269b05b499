"""The two internal ops that the graph holds between lifting and lowering.

``Affine(x)`` and ``Linear(x)`` have one input and one output; what they compute lies beside the
node as a :class:`LiftedAffine` or a :class:`LinearMap`. They live in a private domain and never
in a saved file.
"""

from __future__ import annotations

__all__ = [
    "DOMAIN",
    "LiftedAffine",
    "Origin",
    "affine_of",
    "composed",
    "linear_of",
    "new_affine",
    "new_linear",
    "origins_of",
    "set_affine",
    "set_linear",
]

from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx_ir as ir

from bnfuse.graph.affine import ChannelAffine
from bnfuse.graph.source import Source
from bnfuse.lifting.linear import LinearMap

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bnfuse.lifting.moments import Moments
    from bnfuse.lifting.sites import Site

DOMAIN = "bnfuse.internal"
_PAYLOAD = "bnfuse"


@dataclass(frozen=True, eq=False)
class Origin:
    """One node of the model that an Affine stands for.

    Attributes:
        source: The node as it stood.
        position: Which of its inputs is the run-time one.
        output: The name of the value that it computes.
        type: That value's type.
    """

    source: Source
    position: int
    output: str
    type: ir.TypeProtocol | None

    @classmethod
    def of(cls, node: ir.Node, position: int = 0) -> Origin:
        """A node of the model, before it is lifted."""
        output = node.outputs[0]
        return cls(Source.of(node), position, output.name or "", output.type)


@dataclass(frozen=True, eq=False)
class LiftedAffine:
    """What an Affine node computes and where it came from.

    Attributes:
        affine: The map.
        sites: The norms, scales and shifts of the model that it stands for.
        origins: The nodes that compute exactly this in the model, in order; empty once the map
            is another one than the model's.
        anchor: Why it must stay where it stands, as the Mul and Add that it is, though it may
            take others in; empty where it may move.
        is_fixed: Whether it may not take others in either.
        taken: Further sites, whose own op is gone since this one computes their part too.
        moments: The mean and deviation of its input, where it begins with a norm.
    """

    affine: ChannelAffine
    sites: tuple[Site, ...]
    origins: tuple[Origin, ...] = ()
    anchor: str = ""
    is_fixed: bool = False
    taken: tuple[Site, ...] = ()
    moments: Moments | None = None

    @property
    def all_sites(self) -> tuple[Site, ...]:
        """Every site whose constants are in the map."""
        return (*self.sites, *self.taken)


def new_affine(x: ir.Value, output: ir.Value, lifted: LiftedAffine, name: str) -> ir.Node:
    """An Affine node that computes ``output`` from ``x``."""
    node = ir.Node(DOMAIN, "Affine", [x], outputs=[output], name=name)
    node.meta[_PAYLOAD] = lifted
    return node


def new_linear(x: ir.Value, output: ir.Value, linear: LinearMap) -> ir.Node:
    """A Linear node that computes ``output`` from ``x``."""
    node = ir.Node(DOMAIN, "Linear", [x], outputs=[output], name=linear.name)
    node.meta[_PAYLOAD] = linear
    return node


def affine_of(node: ir.Node | None) -> LiftedAffine | None:
    """What an Affine node holds; ``None`` for any other node."""
    payload = None if node is None else node.meta.get(_PAYLOAD)
    return payload if isinstance(payload, LiftedAffine) else None


def composed(nodes: Iterable[ir.Node]) -> ChannelAffine:
    """What Affine nodes that follow one another compute together."""
    affine = ChannelAffine.of(None)
    for node in nodes:
        lifted = affine_of(node)
        assert lifted is not None
        affine = affine.then(lifted.affine)
    return affine


def origins_of(nodes: Iterable[ir.Node]) -> tuple[Origin, ...]:
    """The model's nodes that Affine nodes stand for; none if one stands for no one node."""
    lifted = [part for node in nodes if (part := affine_of(node)) is not None]
    known = all(part.origins for part in lifted)
    return tuple(origin for part in lifted for origin in part.origins) if known else ()


def linear_of(node: ir.Node | None) -> LinearMap | None:
    """What a Linear node holds; ``None`` for any other node."""
    payload = None if node is None else node.meta.get(_PAYLOAD)
    return payload if isinstance(payload, LinearMap) else None


def set_affine(node: ir.Node, lifted: LiftedAffine) -> None:
    """Replace what an Affine node holds."""
    node.meta[_PAYLOAD] = lifted


def set_linear(node: ir.Node, linear: LinearMap) -> None:
    """Replace what a Linear node holds."""
    node.meta[_PAYLOAD] = linear
