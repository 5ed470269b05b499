"""What every rule answers."""

from __future__ import annotations

__all__ = ["Rule"]

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx_ir as ir

    from bnfuse.folding.plan import Response
    from bnfuse.graph.affine import ChannelAffine
    from bnfuse.graph.constants import ConstantEvaluator


class Rule(Protocol):
    """What may be done to an op beside an affine; it raises a ``Refusal`` where that is nothing."""

    @property
    def joins(self) -> bool:
        """Whether it can make up for affines that several inputs have lost."""

    def backward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """``affine`` stands after output ``index``: what must happen for it to go.

        Raises:
            Refusal: Nothing can.
        """

    def forward(
        self, node: ir.Node, lost: Mapping[int, ChannelAffine], constants: ConstantEvaluator
    ) -> Response:
        """These affines stood before the inputs at these places: what makes up for them all.

        Raises:
            Refusal: Nothing does.
        """
