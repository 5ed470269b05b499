"""Carry out a plan: what each of its edits does to its node."""

from __future__ import annotations

__all__ = ["Editor"]

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bnfuse.folding.plan import Plan, Rebound, Recompute
from bnfuse.graph.access import given, input_of
from bnfuse.lifting.nodes import affine_of, hold

if TYPE_CHECKING:
    import onnx_ir as ir
    from numpy.typing import NDArray

    from bnfuse.graph.constants import ConstantEvaluator
    from bnfuse.graph.initializers import Initializers
    from bnfuse.lifting.sites import Site


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
