"""What a rule answers: edits, what they demand of the neighbours, or a refusal; and how they go."""

from __future__ import annotations

__all__ = [
    "Answer",
    "Edit",
    "Editor",
    "Plan",
    "Rebound",
    "Recompute",
    "Refusal",
    "Response",
    "Take",
    "once",
]

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bnfuse.graph.access import given, input_of
from bnfuse.lifting.linear import LinearMap
from bnfuse.lifting.nodes import affine_of, held_by, hold
from bnfuse.lifting.normalizer import Normalizer

if TYPE_CHECKING:
    import onnx_ir as ir
    from numpy.typing import NDArray

    from bnfuse.graph.affine import ChannelAffine
    from bnfuse.graph.constants import ConstantEvaluator
    from bnfuse.graph.initializers import Initializers
    from bnfuse.lifting.linear import Side
    from bnfuse.lifting.nodes import Held
    from bnfuse.lifting.sites import Site


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
class Take:
    """A linear map, a normaliser or an affine takes an affine that stands after or before it."""

    node: ir.Node
    side: Side
    affine: ChannelAffine

    @property
    def taker(self) -> Held:
        """What takes it."""
        held = held_by(self.node)
        if held is None:
            raise TypeError(f"{self.node.op_type} {self.node.name!r} takes nothing")
        return held

    @property
    def target(self) -> str:
        """What changes, as in ``Conv features.0``."""
        return self.taker.title

    @property
    def rule(self) -> str:
        """What is done to it."""
        if isinstance(self.taker, Normalizer):
            return "rescale"
        return f"{'absorb' if isinstance(self.taker, LinearMap) else 'compose'} {self.side}"


@dataclass(frozen=True, eq=False)
class Recompute:
    """A node's constant input is replaced by ``affine`` of it; other uses keep the old one."""

    node: ir.Node
    position: int
    affine: ChannelAffine
    rule = "recompute"

    @property
    def target(self) -> str:
        """The constant that is replaced."""
        return f"constant {input_of(self.node, self.position).name}"


@dataclass(frozen=True, eq=False)
class Rebound:
    """The number that a node has as its input at ``position`` becomes another one."""

    node: ir.Node
    position: int
    value: float
    rule = "rebound"
    target = ""


Edit = Take | Rebound | Recompute


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
        return once(*(edit.target for edit in self.edits if edit not in self.corrections))

    @property
    def rules(self) -> tuple[str, ...]:
        """What the edits do, each once, as in ``absorb after``."""
        return once(*(edit.rule for edit in self.edits))

    @property
    def corrected(self) -> tuple[str, ...]:
        """What makes up for it where others read a value that gained it."""
        return once(*(edit.target for edit in self.edits if edit in self.corrections))


def once(*names: str) -> tuple[str, ...]:
    """Those that there are, each once."""
    return tuple(dict.fromkeys(filter(None, names)))


@dataclass(frozen=True, eq=False)
class Editor:
    """Edits the nodes of one graph."""

    constants: ConstantEvaluator
    initializers: Initializers

    def carry_out(self, plan: Plan, sites: tuple[Site, ...]) -> tuple[ir.Node, ...]:
        """Edit the nodes as ``plan`` says and rename what means something else afterwards.

        Args:
            plan: The plan.
            sites: What it is for: those are part of whatever takes them.

        Returns:
            The Affine nodes that took a part.
        """
        takers = []
        for edit in plan.edits:
            if isinstance(edit, Rebound):
                self._rebind(edit)
            elif isinstance(edit, Recompute):
                self._recompute(edit)
            else:
                own = () if edit in plan.corrections else sites
                hold(edit.node, edit.taker.taking(edit.side, edit.affine, own))
                if affine_of(edit.node) is not None:
                    takers.append(edit.node)
        self.initializers.names.rename(plan.changed)
        return tuple(takers)

    def _recompute(self, edit: Recompute) -> None:
        # Read anew: an edit before this one may have replaced it.
        constant = self.constants.constant(edit.node.inputs[edit.position])
        assert constant is not None
        new = edit.affine(constant.array())
        self._replace(edit, new, constant.dtype, constant.name)

    def _rebind(self, edit: Rebound) -> None:
        old, dtype = given(edit.node, edit.position), input_of(edit.node).dtype
        assert dtype is not None
        edit.node.resize_inputs(max(len(edit.node.inputs), edit.position + 1))
        name = (None if old is None else old.name) or f"{edit.node.name}.{edit.position}"
        self._replace(edit, np.asarray(edit.value), dtype, name)

    def _replace(
        self, edit: Rebound | Recompute, array: NDArray[np.float64], dtype: ir.DataType, after: str
    ) -> None:
        new = self.initializers.add(array, dtype, after=after)
        self.constants.remember(new, array)
        edit.node.replace_input_with(edit.position, new)
