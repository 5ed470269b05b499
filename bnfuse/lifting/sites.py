"""Where the model has a norm, and how it is spelt there.

A hand-written norm is a run of elementwise ops. Runs are cut into sites by the module that the
ops came from and by the order a norm has: an optional shift, scales, an optional shift.
"""

from __future__ import annotations

__all__ = ["Kind", "Site", "Step", "cut_into_sites"]

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bnfuse.graph.source import Source

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir


class Kind(enum.Enum):
    """What a site is."""

    NORM = "norm"
    """A scale and a shift per channel: a BatchNormalization, or a chain that has both."""
    SCALE = "scale"
    """A scale per channel alone, as LayerScale is."""
    SHIFT = "shift"
    """A shift per channel alone: a bias."""
    AFFINE = "affine"
    """The scale and shift of a normaliser that takes its statistics from its input, such as
    LayerNormalization: these can go, the normaliser itself stays."""
    SCALAR = "scalar"
    """The same number for every channel: part of an activation, an attention's 1/sqrt(d)."""


@dataclass(frozen=True, eq=False)
class Step:
    """One node of the model that an Affine stands for.

    Attributes:
        source: The node as it stood.
        output: The name of the value that it computes.
        type: That value's type.
        position: Which of its inputs is the run-time one.
        scales: Whether the op multiplies.
        shifts: Whether the op adds.
        per_channel: Whether its constant has a dimension: not a Python number.
        spelling: The operators of a map that is put together from pieces, of which the node is the
            last; empty where the node is the map.
    """

    source: Source
    output: str
    type: ir.TypeProtocol | None
    position: int = 0
    scales: bool = False
    shifts: bool = False
    per_channel: bool = False
    spelling: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        node: ir.Node,
        position: int = 0,
        *,
        scales: bool = False,
        shifts: bool = False,
        per_channel: bool = False,
    ) -> Step:
        """A node of the model, before it is lifted."""
        y = node.outputs[0]
        return cls(Source.of(node), y.name or "", y.type, position, scales, shifts, per_channel)


@dataclass(frozen=True)
class Site:
    """One norm, scale or shift of the model.

    Attributes:
        name: The name of the value that it computes in the model.
        module: The dotted path of the module it came from, or the empty string.
        spelling: Its ops in order, as in ``("Sub", "Div", "Mul", "Add")``.
        nodes: Their names.
        kind: What it is.
    """

    name: str
    module: str
    spelling: tuple[str, ...]
    nodes: tuple[str, ...]
    kind: Kind

    @property
    def label(self) -> str:
        """What to call it in a sentence."""
        return self.module or self.name

    @classmethod
    def of(cls, steps: Sequence[Step], kind: Kind | None = None) -> Site:
        """The site that these steps are, in order; of the kind that they look like or are told."""
        return cls(
            name=steps[-1].output,
            module=steps[-1].source.module,
            spelling=tuple(op for step in steps for op in step.spelling or (step.source.op_type,)),
            nodes=tuple(step.source.name for step in steps),
            kind=kind or _kind(steps),
        )


def cut_into_sites(steps: Sequence[Step]) -> list[list[Step]]:
    """Cut a run of steps into norms, each a list of the steps it is made of."""
    groups: list[list[Step]] = []
    for step in steps:
        if groups and _belongs(groups[-1], step):
            groups[-1].append(step)
        else:
            groups.append([step])
    return groups


def _belongs(group: Sequence[Step], step: Step) -> bool:
    last = group[-1]
    if last.source.module != step.source.module or _is_whole(last) or _is_whole(step):
        return False
    scaled = any(s.scales for s in group)
    if step.scales:
        # After `scale, shift` the norm is over: a further scale starts the next one.
        return not (scaled and last.shifts)
    return scaled and last.scales


def _is_whole(step: Step) -> bool:
    return step.scales and step.shifts


def _kind(steps: Sequence[Step]) -> Kind:
    if not any(step.per_channel for step in steps):
        return Kind.SCALAR
    scales, shifts = any(s.scales for s in steps), any(s.shifts for s in steps)
    if scales and shifts:
        return Kind.NORM
    return Kind.SCALE if scales else Kind.SHIFT
