"""Two affines in a row along one axis are one: ``s₂ · (s₁ · x + t₁) + t₂``."""

from __future__ import annotations

__all__ = ["ComposeAffines"]

from typing import TYPE_CHECKING

from bnfuse.folding.fitting import refuse_affine
from bnfuse.folding.plan import Answer, Compose, Response

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
        refusal = refuse_affine(node, [("after", affine)])
        return refusal or Answer((Compose(node, "after", affine),))

    def forward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """The other affine preceded this one."""
        del index, constants
        return refuse_affine(node, [("before", affine)]) or Answer(
            (Compose(node, "before", affine),)
        )
