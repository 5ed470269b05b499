"""How a node is called in a reason, and the reasons that any op may give."""

from __future__ import annotations

__all__ = ["comes_back", "is_ours", "no_rule", "title", "two_ways"]

from typing import TYPE_CHECKING

from bnfuse.folding.plan import Refusal
from bnfuse.lifting.nodes import DOMAIN, affine_of, linear_of

if TYPE_CHECKING:
    import onnx_ir as ir

_LINEAR = ("Conv", "ConvTranspose", "Gemm")


def title(node: ir.Node) -> str:
    """A node in a sentence, as in ``Conv 'features.0'``, internal ops by what they stand for."""
    linear, lifted = linear_of(node), affine_of(node)
    if linear is not None:
        return f"{linear.op_type} {linear.label!r}"
    if lifted is not None:
        return f"the norm {lifted.sites[0].label!r}"
    return f"{node.op_type} {node.name or ''!r}"


def is_ours(node: ir.Node) -> bool:
    """Whether it is an op of the standard or an internal one."""
    return node.domain in ("", "ai.onnx", DOMAIN)


def no_rule(node: ir.Node, way: str) -> Refusal:
    """Nothing is known of the op, or of this one's weight."""
    if node.op_type in _LINEAR and is_ours(node):
        return Refusal(f"the weight of {title(node)} is no stored float constant", pins=True)
    return Refusal(f"no exact rule moves it {way} through {title(node)}", pins=True)


def comes_back(node: ir.Node) -> Refusal:
    """The node that is to go, or one that is being followed, would take a part of it."""
    reason = f"a part of {title(node)} would come back to it"
    return Refusal(reason, lasts=False)


def two_ways(node: ir.Node) -> Refusal:
    """It would gain or lose something by several of its values, and not the same."""
    return Refusal(f"two ways lead to {title(node)}", lasts=False)
