"""What a node of a lifted graph holds beside its inputs and outputs.

``Affine(x)`` and ``Linear(x)`` are internal ops with one input and one output; what they compute
is held as a :class:`LiftedAffine` or a :class:`LinearMap`. They live in a private domain and never
in a saved file. A normaliser is an op of the model and holds a :class:`Normalizer`.
"""

from __future__ import annotations

__all__ = [
    "DOMAIN",
    "Held",
    "LiftedAffine",
    "Moments",
    "affine_at",
    "affine_of",
    "composed",
    "drop_dead",
    "held_by",
    "hold",
    "linear_at",
    "linear_of",
    "new_affine",
    "new_linear",
    "normalizer_of",
    "release",
]

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from bnfuse.graph.affine import ChannelAffine
from bnfuse.lifting.linear import LinearMap
from bnfuse.lifting.normalizer import Normalizer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bnfuse.graph.source import Source
    from bnfuse.lifting.linear import Side
    from bnfuse.lifting.sites import Site, Step

DOMAIN = "bnfuse.internal"
_PAYLOAD = "bnfuse"


@dataclass(frozen=True, eq=False)
class Moments:
    """The mean and deviation of what a norm reads, per channel, as its statistics have them.

    A value is rounded relative to its size. One with mean ``m`` and deviation ``d`` is of size
    ``sqrt(1 + (m / d)²)`` in deviations, so a fold that moves it away from 0 makes each of its
    rounding errors that many times larger, for all that read it.

    Attributes:
        stored: What makes mean 0 and deviation 1 of the norm's input in the model.
        now: The same for its input as it is now.
    """

    stored: ChannelAffine
    now: ChannelAffine

    def after(self, before: ChannelAffine) -> Moments:
        """The moments of an input that ``before`` makes today's of."""
        return replace(self, now=before.then(self.now))

    def growth(self) -> NDArray[np.float64]:
        """How many times larger than in the model a rounding error is, shape (C,) or ()."""
        growth: NDArray[np.float64] = np.hypot(1.0, self.now.shift) / np.hypot(
            1.0, self.stored.shift
        )
        return growth

    def largest(self) -> float:
        """The largest number that the input must be able to hold: 16 deviations off its mean."""
        size, scale = np.abs(self.now.shift) + 16.0, np.abs(self.now.scale)
        return float(np.max(size / np.where(scale == 0.0, np.inf, scale)))


@dataclass(frozen=True, eq=False)
class LiftedAffine:
    """What an Affine node computes and where it came from.

    Attributes:
        affine: The map.
        own_sites: The norms, scales and shifts of the model that it stands for.
        origins: The nodes that compute exactly this in the model, in order; empty once the map
            is another one than the model's.
        anchor: Why it must stay where it stands, as the Mul and Add that it is, though it may
            take others in; empty where it may move.
        is_fixed: Whether it may not take others in either.
        taken: Further sites, whose own op is gone since this one computes their part too.
        moments: The mean and deviation of its input, where it begins with a norm.
    """

    affine: ChannelAffine
    own_sites: tuple[Site, ...]
    origins: tuple[Step, ...] = ()
    anchor: str = ""
    is_fixed: bool = False
    taken: tuple[Site, ...] = ()
    moments: Moments | None = None

    @property
    def title(self) -> str:
        """What a person calls it."""
        return self.own_sites[0].label

    @property
    def all_sites(self) -> tuple[Site, ...]:
        """Every site whose constants are in the map."""
        return (*self.own_sites, *self.taken)

    def taking(self, side: Side, affine: ChannelAffine, sites: tuple[Site, ...]) -> LiftedAffine:
        """The same with an affine of these sites after or before it."""
        is_after, moments = side == "after", self.moments
        return replace(
            self,
            affine=self.affine.then(affine) if is_after else affine.then(self.affine),
            origins=(),
            taken=(*self.taken, *sites),
            moments=moments if is_after or moments is None else moments.after(affine),
        )


Held = LiftedAffine | LinearMap | Normalizer
_Kind = TypeVar("_Kind", LiftedAffine, LinearMap, Normalizer)


def new_affine(x: ir.Value, output: ir.Value, lifted: LiftedAffine, name: str) -> ir.Node:
    """An Affine node that computes ``output`` from ``x``."""
    node = ir.Node(DOMAIN, "Affine", [x], outputs=[output], name=name)
    hold(node, lifted)
    return node


def new_linear(x: ir.Value, output: ir.Value, linear: LinearMap) -> ir.Node:
    """A Linear node that computes ``output`` from ``x``."""
    node = ir.Node(DOMAIN, "Linear", [x], outputs=[output], name=linear.name)
    hold(node, linear)
    return node


def hold(node: ir.Node, held: Held) -> None:
    """Say what a node computes; a normaliser's constants follow when the model is lowered."""
    node.meta[_PAYLOAD] = held


def release(node: ir.Node) -> None:
    """Leave nothing of ours at a node."""
    node.meta.pop(_PAYLOAD, None)


def held_by(node: ir.Node | None) -> Held | None:
    """What a node holds; ``None`` for an op of the model that is no normaliser."""
    held: Held | None = None if node is None else node.meta.get(_PAYLOAD)
    return held


def affine_of(node: ir.Node | None) -> LiftedAffine | None:
    """What an Affine node holds; ``None`` for any other node."""
    return _of_kind(node, LiftedAffine)


def linear_of(node: ir.Node | None) -> LinearMap | None:
    """What a Linear node holds; ``None`` for any other node."""
    return _of_kind(node, LinearMap)


def normalizer_of(node: ir.Node | None) -> Normalizer | None:
    """What a normaliser ends with; ``None`` for any other node, or where it is no constant."""
    return _of_kind(node, Normalizer)


def affine_at(node: ir.Node) -> LiftedAffine:
    """What a node that is an Affine holds.

    Raises:
        TypeError: It is none.
    """
    return _expected(node, affine_of(node))


def linear_at(node: ir.Node) -> LinearMap:
    """What a node that is a Linear holds.

    Raises:
        TypeError: It is none.
    """
    return _expected(node, linear_of(node))


def composed(nodes: Iterable[ir.Node]) -> ChannelAffine:
    """What Affine nodes that follow one another compute together."""
    affine = ChannelAffine.of(None)
    for node in nodes:
        affine = affine.then(affine_at(node).affine)
    return affine


def _of_kind(node: ir.Node | None, kind: type[_Kind]) -> _Kind | None:
    held = held_by(node)
    return held if isinstance(held, kind) else None


def _expected(node: ir.Node, held: _Kind | None) -> _Kind:
    if held is None:
        raise TypeError(f"{node.op_type} {node.name!r} is another op")
    return held


def drop_dead(graph: ir.Graph) -> None:
    """Remove the nodes of a lifted graph that no output and no detached node depends on.

    A lifted node no longer stands in the graph, and what it read, such as a constant expanded to a
    run-time shape, would count as unused; but as long as the node may be put back as it was, it is
    needed. So what the detached nodes read counts as used.
    """
    lent: set[ir.Value] = set()
    for node in reversed(tuple(graph)):
        if any(v.uses() or v.is_graph_output() or v in lent for v in node.outputs):
            lent.update(_lent(node))
        else:
            graph.remove(node, safe=True)


def _lent(node: ir.Node) -> Iterator[ir.Value]:
    linear, lifted = linear_of(node), affine_of(node)
    if linear is not None:
        yield from _others(linear.source, int(linear.constant_on_left))
        if linear.bias is not None:
            yield linear.bias.value
    if lifted is not None:
        for step in lifted.origins:
            if step.spelling:
                continue
            yield from _others(step.source, step.position)


def _others(source: Source, run_time: int) -> Iterator[ir.Value]:
    """What a detached node reads beside the value that flows through it."""
    for position, value in enumerate(source.inputs):
        if value is not None and position != run_time:
            yield value
