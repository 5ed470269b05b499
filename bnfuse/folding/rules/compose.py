"""Two affines in a row along one axis are one: ``s₂ · (s₁ · x + t₁) + t₂``."""

from __future__ import annotations

__all__ = ["ComposeAffines"]

from typing import TYPE_CHECKING, Literal

from bnfuse.folding.plan import Answer, Compose, Refusal, Response
from bnfuse.lifting.limits import fits
from bnfuse.lifting.nodes import affine_of

if TYPE_CHECKING:
    import onnx_ir as ir

    from bnfuse.affine import ChannelAffine
    from bnfuse.lifting.constants import ConstantEvaluator


class ComposeAffines:
    """An Affine node takes another: one op instead of two."""

    op_types = ("Affine",)

    def backward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """The other affine follows this one."""
        del index, constants
        return _refusal(node, affine, "after") or Answer((Compose(node, "after", affine),))

    def forward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """The other affine preceded this one."""
        del index, constants
        return _refusal(node, affine, "before") or Answer((Compose(node, "before", affine),))


def _refusal(
    node: ir.Node, other: ChannelAffine, side: Literal["after", "before"]
) -> Refusal | None:
    lifted = affine_of(node)
    assert lifted is not None
    label = lifted.sites[0].label
    if lifted.is_fixed:
        return Refusal(f"{label!r} beside it keeps its number: {lifted.anchor}", node.name or "")
    if not lifted.affine.composes_with(other):
        return Refusal(f"{label!r} beside it runs along another axis", node.name or "")
    joined = lifted.affine.then(other) if side == "after" else other.then(lifted.affine)
    if not fits(joined, node.outputs[0].dtype):
        return Refusal(f"joined with {label!r} its constants would not fit", node.name or "")
    return None
