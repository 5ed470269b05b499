"""What a rule answers: the edits to make, what they demand of the neighbours, or a refusal."""

from __future__ import annotations

__all__ = [
    "Absorb",
    "Answer",
    "Compose",
    "Edit",
    "Plan",
    "Rebound",
    "Recompute",
    "Refusal",
    "Rescale",
    "Response",
]

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bnfuse.lifting.nodes import affine_of, linear_of
from bnfuse.lifting.normalizer import normalizer_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    import onnx_ir as ir

    from bnfuse.graph.affine import ChannelAffine


class Refusal(Exception):  # noqa: N818  (it is an answer, not an error)
    """Why an affine stays where it is.

    Attributes:
        reason: One clause, as in ``"Conv 'conv1' also feeds Add 'add_3'"``.
        lasts: Whether it holds whichever way led there.
        pins: Whether it holds for every scale but 1.
    """

    def __init__(self, reason: str, *, lasts: bool = True, pins: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.lasts = lasts
        self.pins = pins


@dataclass(frozen=True, eq=False)
class Absorb:
    """A Linear node takes an affine that stands ``after`` or ``before`` it."""

    node: ir.Node
    side: Literal["after", "before"]
    affine: ChannelAffine
    rule: str


@dataclass(frozen=True, eq=False)
class Compose:
    """An Affine node takes another affine that stands ``after`` or ``before`` it."""

    node: ir.Node
    side: Literal["after", "before"]
    affine: ChannelAffine


@dataclass(frozen=True, eq=False)
class Rescale:
    """A normaliser's own scale and shift take an affine that stands after it."""

    node: ir.Node
    affine: ChannelAffine


@dataclass(frozen=True, eq=False)
class Recompute:
    """A node's constant input is replaced by ``affine`` of it; other uses keep the old one."""

    node: ir.Node
    position: int
    affine: ChannelAffine


@dataclass(frozen=True, eq=False)
class Rebound:
    """The number that a node has as its input at ``position`` becomes another one."""

    node: ir.Node
    position: int
    value: float


Edit = Absorb | Compose | Rebound | Recompute | Rescale


@dataclass(frozen=True, eq=False)
class Answer:
    """A rule's word on one node: edit it, and ask this of the values around it.

    Attributes:
        edits: What changes at the node itself.
        pull: Inputs whose producers must apply an affine to them.
        push: Outputs, now lacking an affine, whose consumers must apply it.
        passed: Further nodes that were passed in one go, each with one output.
    """

    edits: tuple[Edit, ...] = ()
    pull: tuple[tuple[ir.Value, ChannelAffine], ...] = ()
    push: tuple[tuple[ir.Value, ChannelAffine], ...] = ()
    passed: tuple[ir.Node, ...] = ()


Response = Answer | tuple[Answer, ...]
"""An answer, or several of which any will do, the best first."""


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything that one affine's disappearance takes: all of it happens, or none.

    Attributes:
        edits: The edits, in an order that is valid.
        through: The op types that the affine passes through.
        changed: The values that mean something else afterwards and so need new names.
        corrections: Those of the edits that undo, for other readers, what a value gains.
    """

    edits: tuple[Edit, ...] = ()
    through: tuple[str, ...] = ()
    changed: tuple[ir.Value, ...] = ()
    corrections: frozenset[Edit] = frozenset()

    def __add__(self, other: Plan) -> Plan:
        """Both plans."""
        return Plan(
            self.edits + other.edits,
            self.through + other.through,
            self.changed + other.changed,
            self.corrections | other.corrections,
        )

    def as_correction(self) -> Plan:
        """The same edits, made for the sake of other readers."""
        return Plan(self.edits, (), self.changed, frozenset(self.edits))

    @property
    def targets(self) -> tuple[str, ...]:
        """What takes the affine, each once, as a person calls it."""
        return _names(edit for edit in self.edits if edit not in self.corrections)

    @property
    def rules(self) -> tuple[str, ...]:
        """What the edits do, each once, as in ``absorb after``."""
        return tuple(dict.fromkeys(map(_rule, self.edits)))

    @property
    def corrected(self) -> tuple[str, ...]:
        """What makes up for it where others read a value that gained it."""
        return _names(edit for edit in self.edits if edit in self.corrections)


def _names(edits: Iterable[Edit]) -> tuple[str, ...]:
    names = (target(edit) for edit in edits if not isinstance(edit, Rebound))
    return tuple(dict.fromkeys(names))


def target(edit: Absorb | Compose | Recompute | Rescale) -> str:
    """What an edit changes, as in ``Conv features.0``."""
    if isinstance(edit, Recompute):
        constant = edit.node.inputs[edit.position]
        return f"constant {constant.name if constant is not None else edit.node.name}"
    linear, lifted = linear_of(edit.node), affine_of(edit.node)
    normalizer = normalizer_of(edit.node)
    if normalizer is not None:
        return normalizer.title
    if linear is not None:
        return f"{linear.op_type} {linear.label}"
    assert lifted is not None
    return lifted.sites[0].label


def _rule(edit: Edit) -> str:
    if isinstance(edit, Absorb):
        return f"{edit.rule} {edit.side}"
    if isinstance(edit, Compose):
        return f"compose {edit.side}"
    return type(edit).__name__.lower()
