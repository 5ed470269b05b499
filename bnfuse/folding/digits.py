"""Whether a value that gains a shift keeps the digits that its other readers need of it.

They take the shift away again, and the rounding of the larger value stays behind. What a norm's
running statistics tell of its input is what the size is held to.
"""

from __future__ import annotations

__all__ = ["check_gain", "check_growth"]

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from bnfuse.folding.plan import Compose, Plan, Refusal
from bnfuse.graph.limits import Limits
from bnfuse.lifting.nodes import affine_of

if TYPE_CHECKING:
    from bnfuse.graph.affine import ChannelAffine

_GROWTH = {
    ir.DataType.DOUBLE: (1e4, 1e5),
    ir.DataType.FLOAT: (3.0, 30.0),
    ir.DataType.FLOAT16: (2.0, 8.0),
    ir.DataType.BFLOAT16: (2.0, 8.0),
}
"""How many times larger than in the model a value's rounding errors may become: the root of the
mean square over its channels, and the worst channel. Half precision rounds the value itself coarser
than what is summed to it; in float32 it is the sums that most of the error comes from."""


def check_growth(plan: Plan) -> None:
    """Refuse what moves values so far from 0 that the digits their other readers need are lost."""
    before: dict[ir.Node, ChannelAffine] = {}
    for edit in plan.edits:
        if isinstance(edit, Compose) and edit.side == "before" and edit in plan.corrections:
            first = before.get(edit.node)
            before[edit.node] = edit.affine if first is None else edit.affine.then(first)
    for node, affine in before.items():
        check_gain(node, affine)


def check_gain(node: ir.Node, before: ChannelAffine) -> None:
    """Refuse an input of an Affine from which ``before`` makes what it reads now, as above."""
    lifted, x = affine_of(node), node.inputs[0]
    if lifted is None or lifted.moments is None or x is None or x.dtype is None:
        return
    moments = lifted.moments.after(before)
    growth, what = moments.growth(), x.dtype.name.lower()
    mean, largest = float(np.sqrt(np.mean(growth**2))), float(np.max(growth))
    allowed_mean, allowed = _GROWTH.get(x.dtype, (np.inf, np.inf))
    if mean > allowed_mean or largest > allowed:
        raise Refusal(
            f"a channel of {x.name!r} would be {largest:.2g} times as large as "
            f"{lifted.sites[0].label!r} knows it, by a shift that its other readers take away "
            f"again, and {what} has not the digits for that"
        )
    if moments.largest() > Limits.of(x.dtype).largest:
        raise Refusal(f"{x.name!r} might overflow {what}")
