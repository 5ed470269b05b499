"""Carry out a plan: what each of its edits does to its node."""

from __future__ import annotations

__all__ = ["Editor"]

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bnfuse.folding.plan import Absorb, Compose, Plan, Rebound, Recompute, Rescale
from bnfuse.lifting.nodes import LiftedAffine, affine_of, linear_of, set_affine, set_linear
from bnfuse.lifting.normalizer import normalizer_of, set_normalizer

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx_ir as ir

    from bnfuse.graph.constants import ConstantEvaluator
    from bnfuse.graph.initializers import Initializers
    from bnfuse.graph.names import FreshNames
    from bnfuse.lifting.sites import Site


@dataclass(frozen=True, eq=False)
class Editor:
    """Edits the nodes of one graph."""

    constants: ConstantEvaluator
    initializers: Initializers
    names: FreshNames

    def carry_out(self, plan: Plan, sites: tuple[Site, ...]) -> tuple[ir.Node, ...]:
        """Edit the nodes as ``plan`` says and rename what means something else afterwards.

        Args:
            plan: The plan.
            sites: What it is for: those are part of whatever affine takes them.

        Returns:
            The Affine nodes that took a part.
        """
        takers = tuple(self._edit(plan, sites))
        self.names.rename(plan.changed)
        return takers

    def _edit(self, plan: Plan, sites: tuple[Site, ...]) -> Iterator[ir.Node]:
        for edit in plan.edits:
            if isinstance(edit, Absorb):
                linear = linear_of(edit.node)
                assert linear is not None
                take = linear.after if edit.side == "after" else linear.before
                set_linear(edit.node, take(edit.affine, edit.rule))
            elif isinstance(edit, Rebound):
                self._rebind(edit)
            elif isinstance(edit, Recompute):
                self._recompute(edit)
            elif isinstance(edit, Rescale):
                normalizer = normalizer_of(edit.node)
                assert normalizer is not None
                taken = () if edit in plan.corrections else sites
                set_normalizer(edit.node, normalizer.then(edit.affine, taken))
            else:
                _compose(edit, () if edit in plan.corrections else sites)
                yield edit.node

    def _recompute(self, edit: Recompute) -> None:
        # Read anew: an edit before this one may have replaced it.
        constant = self.constants.constant(edit.node.inputs[edit.position])
        assert constant is not None
        array = edit.affine(constant.array())
        new = self.initializers.add(array, constant.dtype, after=constant.name)
        self.constants.remember(new, array)
        edit.node.replace_input_with(edit.position, new)

    def _rebind(self, edit: Rebound) -> None:
        node, x = edit.node, edit.node.inputs[0]
        assert x is not None
        assert x.dtype is not None
        value = np.asarray(edit.value)
        node.resize_inputs(max(len(node.inputs), edit.position + 1))
        old = node.inputs[edit.position]
        name = (old.name if old is not None else None) or f"{node.name}.{edit.position}"
        new = self.initializers.add(value, x.dtype, after=name)
        self.constants.remember(new, value)
        node.replace_input_with(edit.position, new)


def _compose(edit: Compose, sites: tuple[Site, ...]) -> None:
    lifted = affine_of(edit.node)
    assert lifted is not None
    first, second = lifted.affine, edit.affine
    if edit.side == "before":
        first, second = second, first
    taken = (*lifted.taken, *sites)
    moments = lifted.moments
    if moments is not None and edit.side == "before":
        moments = moments.after(edit.affine)
    joined = LiftedAffine(
        first.then(second), lifted.sites, taken=taken, anchor=lifted.anchor, moments=moments
    )
    set_affine(edit.node, joined)
