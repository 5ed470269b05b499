"""What a normaliser's own scale and shift become where everything that follows can take them.

They cost nothing where they are, so they only go where they cost nothing either: into weights and
biases that are there anyway, whole, and into every consumer. A Mul or Add that would have to be
added, or that stays in any case, is no place for them; nor is a weight in half precision, which
would be rounded a second time.
"""

from __future__ import annotations

__all__ = ["plan_to_give"]

from typing import TYPE_CHECKING

import numpy as np

from bnfuse.folding.plan import Absorb, Compose, Edit, Plan, Refusal, Rescale, target
from bnfuse.graph.affine import ChannelAffine
from bnfuse.lifting.nodes import linear_of

if TYPE_CHECKING:
    import onnx_ir as ir

    from bnfuse.folding.search import Search

_FULL_PRECISION = 4
"""Bytes of a number whose rounding does not show beside that of the net itself."""


def plan_to_give(y: ir.Value, affine: ChannelAffine, search: Search) -> Plan:
    """Let all consumers of a normaliser's output make up for the ``affine`` that it ends with.

    Raises:
        Refusal: They cannot, or not for nothing.
    """
    plan = search.plan(y, ChannelAffine.of(None), y, affine)
    for reason in map(_costs, plan.edits):
        if reason:
            raise Refusal(reason)
    return plan


def _costs(edit: Edit) -> str:
    """Why an edit is no free place; empty when it is one."""
    if isinstance(edit, Compose | Rescale):
        return f"{target(edit)} stays in any case"
    if not isinstance(edit, Absorb):
        return ""
    linear, x = linear_of(edit.node), edit.node.inputs[0]
    assert linear is not None
    dtype = linear.weight.constant.dtype
    if dtype.itemsize < _FULL_PRECISION:
        return f"the weight of {linear.label!r} would be rounded to {dtype.name.lower()} once more"
    if not edit.affine.has_shift:
        return ""
    if linear.op_type != "MatMul" or linear.bias is not None or np.any(linear.offset != 0.0):
        return ""
    is_matrix = x is not None and x.shape is not None and len(x.shape) == 2
    if is_matrix and not linear.constant_on_left:
        # Lowered to a Gemm, which has a bias for nothing.
        return ""
    return f"MatMul {linear.label!r} has no bias, so the shift would cost an Add"
