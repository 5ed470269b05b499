"""How often each side of Relu, Clip, Where, Max and their kin was taken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bnfuse.verifying.result import BranchCount

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx

__all__ = ["BranchCounter", "untaken_warnings"]

Array = np.ndarray[Any, Any]

_SIGNED = frozenset({"Relu", "LeakyRelu", "PRelu", "Elu", "Selu", "Celu"})
_SHOWN = 5


class BranchCounter:
    """Counts sides over all samples; it is what a float64 run calls after each node."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], dict[str, int]] = {}

    def visit(self, node: onnx.NodeProto, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        """Count one ONNX node."""
        name = node.name or (node.output[0] if node.output else "")
        if node.op_type in _SIGNED:
            self.signed(name, node.op_type, inputs[0])
        elif node.op_type == "Clip":
            low = inputs[1] if len(inputs) > 1 else _attribute(node, "min")
            high = inputs[2] if len(inputs) > 2 else _attribute(node, "max")
            self.clipped(name, node.op_type, inputs[0], low, high)
        elif node.op_type == "HardSigmoid":
            slope, offset = _attribute(node, "alpha", 0.2), _attribute(node, "beta", 0.5)
            self.clipped(name, node.op_type, slope * inputs[0] + offset, 0.0, 1.0)
        elif node.op_type == "HardSwish":
            self.clipped(name, node.op_type, inputs[0], -3.0, 3.0)
        elif node.op_type == "Where":
            self.chosen(name, node.op_type, inputs[0])
        elif node.op_type in {"Max", "Min"} and len(inputs) > 1:
            self.extreme(name, node.op_type, inputs, outputs[0])

    def signed(self, name: str, op: str, x: Array) -> None:
        """Count both sides of an op that bends at zero."""
        self.add(name, op, {"negative": int((x < 0).sum()), "positive": int((x > 0).sum())})

    def clipped(self, name: str, op: str, x: Array, low: Any, high: Any) -> None:
        """Count what lies under, inside and over the bounds that exist."""
        sides = {}
        inside = np.isfinite(x)
        for side, bound, outside in (("below", low, np.less), ("above", high, np.greater)):
            if bound is not None and np.all(np.isfinite(bound)) and np.all(abs(bound) < 1e30):
                beyond = outside(x, bound)
                sides[side] = int(beyond.sum())
                inside = inside & ~beyond
        self.add(name, op, {**sides, "inside": int(inside.sum())})

    def chosen(self, name: str, op: str, condition: Array) -> None:
        """Count a condition's two values."""
        truths = int(np.count_nonzero(condition))
        self.add(name, op, {"true": truths, "false": int(condition.size) - truths})

    def extreme(self, name: str, op: str, inputs: Sequence[Array], output: Array) -> None:
        """Count which input gave the result."""
        self.add(
            name,
            op,
            {f"input {i}": int((value == output).sum()) for i, value in enumerate(inputs)},
        )

    def add(self, name: str, op: str, sides: dict[str, int]) -> None:
        """Add one execution's counts."""
        known = self._counts.setdefault((name, op), dict.fromkeys(sides, 0))
        for side, count in sides.items():
            known[side] = known.get(side, 0) + count

    def counts(self) -> tuple[BranchCount, ...]:
        """Return what was counted, in the order of first execution."""
        return tuple(BranchCount(name, op, sides) for (name, op), sides in self._counts.items())


def untaken_warnings(counts: Sequence[BranchCount]) -> list[str]:
    """Return one sentence for each of the first few nodes with a side that no input took."""
    # A condition or a bound that is constant by construction is one node with one side; what
    # matters is that a reader sees where the comparison was blind.
    blind = [item for item in counts if item.untaken]
    told = [
        f"{item.op} {item.node!r}: never {' nor '.join(item.untaken)} on these inputs"
        for item in blind[:_SHOWN]
    ]
    if len(blind) > _SHOWN:
        told.append(f"{len(blind) - _SHOWN} more ops have a side that was never taken")
    return told


def _attribute(node: onnx.NodeProto, name: str, default: float | None = None) -> Any:
    return next((item.f for item in node.attribute if item.name == name), default)
