"""Ops that an affine passes unchanged: ``A(op(x)) = op(A(x))``, unless something refuses."""

from __future__ import annotations

__all__ = ["CommutingRule"]

from abc import ABC, abstractmethod

import onnx_ir as ir

from bnfuse.affine import ChannelAffine
from bnfuse.folding.plan import Answer, Refusal, Response
from bnfuse.lifting.constants import ConstantEvaluator


class CommutingRule(ABC):
    """A rule that moves the same constants from one side of an op to the other."""

    op_types: tuple[str, ...] = ()

    @abstractmethod
    def refusal(
        self, node: ir.Node, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Refusal | None:
        """Why ``node`` does not commute with ``affine``; ``None`` when it does."""

    def backward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """The same constants before the op."""
        x = node.inputs[0]
        assert x is not None
        if index != 0:
            return Refusal(f"it is a further output of {node.op_type} {node.name!r}", _name(node))
        return self.refusal(node, affine, constants) or Answer(pull=((x, affine),))

    def forward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """The same constants after the op."""
        if index != 0:
            return Refusal(f"it steers {node.op_type} {node.name!r}", _name(node))
        refusal = self.refusal(node, affine, constants)
        return refusal or Answer(push=((node.outputs[0], affine),))


def _name(node: ir.Node) -> str:
    return node.name or ""
