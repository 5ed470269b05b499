"""An affine's way through one node, as every rule is asked about it."""

from __future__ import annotations

__all__ = ["Crossing"]

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bnfuse.folding.plan import Refusal

if TYPE_CHECKING:
    import numpy as np
    import onnx_ir as ir
    from numpy.typing import NDArray

    from bnfuse.graph.constants import ConstantEvaluator


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
        x = self.node.inputs[self.place]
        assert x is not None
        return x

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
        given = self.node.inputs[place] if len(self.node.inputs) > place else None
        return None if given is None else self.constants.array(given)
