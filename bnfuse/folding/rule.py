"""What every rule answers."""

from __future__ import annotations

__all__ = ["Join", "Rule"]

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx_ir as ir

    from bnfuse.affine import ChannelAffine
    from bnfuse.folding.plan import Response
    from bnfuse.lifting.constants import ConstantEvaluator


class Rule(Protocol):
    """One exact identity, for the ops it is about."""

    @property
    def op_types(self) -> Sequence[str]:
        """The ops it is about, internal ones included."""

    def backward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """``affine`` stands after output ``index``: what must happen for it to go."""

    def forward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """``affine`` stood before input ``index`` and is gone: what makes up for it."""


@runtime_checkable
class Join(Protocol):
    """A rule of ops that join several run-time values."""

    def join(
        self,
        node: ir.Node,
        lost: Mapping[int, ChannelAffine],
        constants: ConstantEvaluator,
    ) -> Response:
        """These affines stood before the inputs at these places: what makes up for them all."""
