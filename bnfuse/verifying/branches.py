"""How often each side of Relu, Clip, Where, Max and their kin was taken."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from bnfuse.verifying.result import BranchCount
from bnfuse.verifying.truth import NoTruthError, OnnxTruth

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import onnx

    from bnfuse.verifying.models import OnnxSource
    from bnfuse.verifying.samples import Sample

__all__ = ["BranchCounter", "added_branches", "untaken_warnings"]

Array = np.ndarray[Any, Any]

_SIGNED = frozenset({"Relu", "LeakyRelu", "PRelu", "Elu", "Selu", "Celu"})
_BENT = _SIGNED | {"Clip", "HardSigmoid", "HardSwish", "Max", "Min", "Where"}
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


def added_branches(
    original: OnnxSource,
    candidate: OnnxSource,
    samples: Iterable[Sample],
    budget: float | None,
) -> list[str]:
    """Return one sentence for each piecewise op that the candidate adds and no input bends.

    A bound that the original has not, and that no input reaches, shows in no comparison.
    """
    before, after = (_kinds(source.graph) for source in (original, candidate))
    added = {op for op in after if after[op] > before[op]}
    if not added:
        return []
    counter = BranchCounter()
    truth = OnnxTruth(candidate, budget, counter)
    seen: set[str] = set()
    try:
        for sample in samples:
            if sample.regime not in seen:
                seen.add(sample.regime)
                truth.outputs(sample.feeds)
    except NoTruthError:
        return []
    return [
        f"the candidate has more {op} than the original, and {node!r} is never "
        f"{' nor '.join(untaken)} on these inputs"
        for op, node, untaken in (
            (item.op, item.node, item.untaken) for item in counter.counts() if item.op in added
        )
        if untaken
    ][:_SHOWN]


def _kinds(proto: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in proto.graph.node if node.op_type in _BENT)


def _attribute(node: onnx.NodeProto, name: str, default: float | None = None) -> Any:
    return next((item.f for item in node.attribute if item.name == name), default)
