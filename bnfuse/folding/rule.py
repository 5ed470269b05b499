"""What every rule is asked about one node, and what it says of it."""

from __future__ import annotations

__all__ = ["Crossing", "Rule", "comes_back", "is_ours", "no_rule", "title", "two_ways"]

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from bnfuse.folding.plan import Refusal
from bnfuse.graph.access import given, input_of
from bnfuse.lifting.nodes import DOMAIN, affine_of, linear_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import onnx_ir as ir
    from numpy.typing import NDArray

    from bnfuse.folding.plan import Response
    from bnfuse.graph.affine import ChannelAffine
    from bnfuse.graph.constants import ConstantEvaluator

_LINEAR = ("Conv", "ConvTranspose", "Gemm")


@dataclass(frozen=True, eq=False)
class Crossing:
    """An affine's way through one node: in at one place, out at one output."""

    node: ir.Node
    constants: ConstantEvaluator
    place: int = 0
    output: int = 0

    @property
    def x(self) -> ir.Value:
        """The input."""
        return input_of(self.node, self.place)

    @property
    def y(self) -> ir.Value:
        """The output."""
        return self.node.outputs[self.output]

    def refusal(self, before: str, after: str = "") -> Refusal:
        """A reason with the node's name in the middle, as in ``it steers Pad 'border'``."""
        node = self.node
        return Refusal(f"{before} {node.op_type} {node.name or ''!r}{after}".strip())

    def array(self, place: int) -> NDArray[np.float64] | None:
        """What the input at a place is; ``None`` if there is none or it is no constant."""
        return self.constants.array(given(self.node, place))


class Rule(Protocol):
    """What may be done to an op beside an affine; it raises a ``Refusal`` where that is nothing."""

    @property
    def joins(self) -> bool:
        """Whether it can make up for affines that several inputs have lost."""

    def backward(self, at: Crossing, affine: ChannelAffine) -> Response:
        """``affine`` stands after the output: what must happen for it to go.

        Raises:
            Refusal: Nothing can.
        """

    def forward(self, at: Crossing, lost: Mapping[int, ChannelAffine]) -> Response:
        """These affines stood before the inputs at these places: what makes up for them all.

        Raises:
            Refusal: Nothing does.
        """


def title(node: ir.Node) -> str:
    """A node in a sentence, as in ``Conv 'features.0'``, internal ops by what they stand for."""
    linear, lifted = linear_of(node), affine_of(node)
    if linear is not None:
        return f"{linear.op_type} {linear.label!r}"
    if lifted is not None:
        return f"the norm {lifted.title!r}"
    return f"{node.op_type} {node.name or ''!r}"


def is_ours(node: ir.Node) -> bool:
    """Whether it is an op of the standard or an internal one."""
    return node.domain in ("", DOMAIN)


def no_rule(node: ir.Node, way: str) -> Refusal:
    """Nothing is known of the op, or of this one's weight."""
    if node.op_type in _LINEAR and is_ours(node):
        return Refusal(f"the weight of {title(node)} is no stored float constant", pins=True)
    return Refusal(f"no exact rule moves it {way} through {title(node)}", pins=True)


def comes_back(node: ir.Node) -> Refusal:
    """The node that is to go, or one that is being followed, would take a part of it."""
    return Refusal(f"a part of {title(node)} would come back to it", lasts=False)


def two_ways(node: ir.Node) -> Refusal:
    """It would gain or lose something by several of its values, and not the same."""
    return Refusal(f"two ways lead to {title(node)}", lasts=False)
