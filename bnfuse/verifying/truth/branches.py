"""How often each side of Relu, Clip, Where, Max and their kin was taken."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto
from onnx.external_data_helper import uses_external_data

from bnfuse.verifying.ops import Fact, has
from bnfuse.verifying.runtime.onnx_models import constant_tensors
from bnfuse.verifying.truth.jitter import reach
from bnfuse.verifying.verdicts.result import BranchCount

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx

    from bnfuse.verifying.runtime.onnx_models import OnnxSource

__all__ = [
    "OVERFLOW",
    "BranchCounter",
    "Target",
    "added_kinds",
    "added_warnings",
    "bend_count",
    "bent_sides",
    "bounds",
    "dormant_warning",
    "has_extremes",
    "untaken_warnings",
]

Array = np.ndarray[Any, Any]

OVERFLOW = "overflowing"
"""The side that is beyond the largest number."""
# The part of the largest number from which on inputs may be found that overflow.
_NEAR = 2.0**-24
_EXTREME = 1e12
# A bound of this size is none.
_UNBOUNDED = 1e30
# Numbers of a constant up to which it is read from beside the model's file to look for such.
_READ = 1 << 16
_SHOWN = 5


@dataclass(frozen=True)
class Target:
    """A side that no number of a node took, or that some channels never took.

    Attributes:
        node: What to call the node.
        output: The name of what it makes.
        axis: Of the channels; -1 where the whole node is meant.
        channels: Which they are.
    """

    node: str
    side: str
    output: str = ""
    axis: int = -1
    channels: tuple[int, ...] = ()


class BranchCounter:
    """Counts sides over all samples; it is what a float64 run calls after each node.

    A side is counted in total, and for each channel whether any number took it: of axis 1, and of
    the last axis of what is no map, where their size is the same in all samples.

    Attributes:
        work: Products in all samples together.
        largest: If given, what comes near it is counted too: it overflows beyond.
    """

    def __init__(self) -> None:
        self.work = 0
        self.largest = math.inf
        self._counts: dict[tuple[str, str], dict[str, int]] = {}
        self._taken: dict[tuple[str, str], dict[int, dict[str, Array] | None]] = {}
        self._compared: set[str] = set()
        self._outputs: dict[str, str] = {}

    def visit(self, node: onnx.NodeProto, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        """Count one ONNX node."""
        name = self._label(node)
        op = node.op_type
        self.work += sum(np.size(value) for value in outputs) * (reach(op, inputs) or 1)
        if has(op, Fact.COMPARES) and inputs[0].dtype == np.float64:
            self._compared.add(node.output[0])
        ends = bounds(node, inputs) if has(op, Fact.BOUNDED) else (None, None)
        sides = bent_sides(op, inputs, outputs, ends)
        if not sides and self.largest < math.inf:
            sides = self._overflowing(outputs)
        if sides:
            floats = op != "Where" or node.input[0] in self._compared
            self.add(name, op, sides, channels=floats and op != "If" and OVERFLOW not in sides)

    def _label(self, node: onnx.NodeProto) -> str:
        """Return a node's name, or its output's where it has none or shares it."""
        output = node.output[0] if node.output else ""
        label = node.name or output
        if self._outputs.setdefault(label, output) != output:
            label = output
            self._outputs[label] = output
        return label

    def _overflowing(self, outputs: Sequence[Any]) -> dict[str, Array]:
        value = outputs[0] if outputs else None
        if not isinstance(value, np.ndarray) or value.dtype != np.float64:
            return {}
        size = np.abs(value)
        near = size.max(initial=0.0, where=np.isfinite(size)) > self.largest * _NEAR
        return {OVERFLOW: size > self.largest} if near else {}

    def add(self, name: str, op: str, sides: dict[str, Array], channels: bool = True) -> None:
        """Add one execution, with the numbers that take each side."""
        known = self._counts.setdefault((name, op), dict.fromkeys(sides, 0))
        for side, mask in sides.items():
            known[side] = known.get(side, 0) + int(np.count_nonzero(mask))
        first = next(iter(sides.values()))
        if not channels or first.ndim < 2:
            return
        axes = self._taken.setdefault((name, op), {})
        # The last axis of a map is its width.
        for axis in {1, first.ndim - 1} if first.ndim < 4 else {1}:
            over = tuple(place for place in range(first.ndim) if place != axis)
            fresh = {side: np.asarray(mask.any(axis=over)) for side, mask in sides.items()}
            # A side that takes no part in a sample was taken by none of its channels.
            before = axes.setdefault(axis, fresh)
            if before is None or len(next(iter(before.values()))) != first.shape[axis]:
                axes[axis] = None
            elif before is not fresh:
                axes[axis] = {side: before[side] | fresh[side] for side in fresh}

    def counts(self) -> tuple[BranchCount, ...]:
        """Return what was counted, in the order of first execution."""
        dormant: dict[str, dict[str, list[int]]] = {}
        for item in self.targets():
            if item.channels:
                dormant.setdefault(item.node, {}).setdefault(item.side, list(item.channels))
        return tuple(
            BranchCount(name, op, sides, dormant.get(name, {}))
            for (name, op), sides in self._counts.items()
        )

    def targets(self) -> list[Target]:
        """Return the sides that no number took, and the channels that never took one."""
        found = []
        for (name, op), sides in self._counts.items():
            for side, count in sides.items():
                if not count:
                    found.append(Target(name, side, self._outputs.get(name, "")))
                    continue
                for axis, taken in self._taken.get((name, op), {}).items():
                    if taken is not None and not taken[side].all():
                        channels = tuple(np.flatnonzero(~taken[side]).tolist())
                        output = self._outputs.get(name, "")
                        found.append(Target(name, side, output, axis, channels))
        return found


def bent_sides(
    op: str, inputs: Sequence[Any], outputs: Sequence[Any], ends: tuple[Any, Any] = (None, None)
) -> dict[str, Array]:
    """Return for each side of a piecewise op which numbers take it; nothing for other ops.

    Args:
        op: Its name in ONNX.
        inputs: What it read.
        outputs: What it made.
        ends: The numbers below and above which it is flat, if it is bounded.
    """
    if has(op, Fact.SIGNED):
        return {"negative": inputs[0] < 0, "positive": inputs[0] > 0}
    if has(op, Fact.BOUNDED):
        sides, inside = {}, np.isfinite(inputs[0])
        for side, bound, outside in zip(
            ("below", "above"), ends, (np.less, np.greater), strict=True
        ):
            if bound is not None and np.all(np.abs(bound) < _UNBOUNDED):
                sides[side] = outside(inputs[0], bound)
                inside = inside & ~sides[side]
        return {**sides, "inside": inside}
    if has(op, Fact.CONDITIONAL):
        truths = np.asarray(inputs[0]) != 0
        return {"true": truths, "false": ~truths}
    if has(op, Fact.EXTREME) and len(inputs) > 1:
        return {
            f"input {i}": np.broadcast_to(value == outputs[0], outputs[0].shape)
            for i, value in enumerate(inputs)
        }
    return {}


def bounds(node: onnx.NodeProto, inputs: Sequence[Any]) -> tuple[Array, Array]:
    """Return the numbers below and above which an op is flat, infinite ones where it is not."""
    if node.op_type == "HardSwish":
        return np.asarray(-3.0), np.asarray(3.0)
    if node.op_type == "HardSigmoid":
        slope, offset = _attribute(node, "alpha", 0.2), _attribute(node, "beta", 0.5)
        return np.asarray(-offset / slope), np.asarray((1.0 - offset) / slope)
    ends = zip((1, 2), ("min", "max"), (-np.inf, np.inf), strict=True)
    low, high = (
        _attribute(node, name, far)
        if len(inputs) <= place or inputs[place] is None
        else inputs[place]
        for place, name, far in ends
    )
    return np.asarray(low), np.asarray(high)


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


def dormant_warning(counts: Sequence[BranchCount]) -> list[str]:
    """Return one sentence on the channels that never took a side, if there are any."""
    found = [
        f"{len(channels)} {'channel' if len(channels) == 1 else 'channels'} of {item.op} "
        f"{item.node!r} never {side} ({_some(channels)})"
        for item in counts
        for side, channels in item.dormant.items()
    ]
    if not found:
        return []
    rest = f", and {len(found) - _SHOWN} more such sides" if len(found) > _SHOWN else ""
    return [
        f"{', '.join(found[:_SHOWN])}{rest}: what they hide does not show; give data that reach "
        "them with --inputs"
    ]


def added_kinds(original: OnnxSource, candidate: OnnxSource) -> frozenset[str]:
    """Return the piecewise ops of which the candidate has more than the original."""
    before, after = (_kinds(source.graph) for source in (original, candidate))
    return frozenset(op for op in after if after[op] > before[op])


def has_extremes(original: OnnxSource, candidate: OnnxSource) -> bool:
    """Return whether a candidate has huge or tiny numbers in float32 that the original has not."""
    before, after = (_extremes(source) for source in (original, candidate))
    return not after <= before


def _extremes(source: OnnxSource) -> set[float]:
    found: set[float] = set()
    for tensor in constant_tensors(source.graph).values():
        beside = uses_external_data(tensor) and math.prod(tensor.dims) > _READ
        value = None if tensor.data_type != TensorProto.FLOAT or beside else source.value(tensor)
        if value is not None:
            size = np.abs(value)
            far = (size > _EXTREME) | ((size < 1 / _EXTREME) & (size > 0))
            found.update(np.unique(size[far]).tolist())
    return found


def added_warnings(counts: Sequence[BranchCount]) -> list[str]:
    """Return one sentence for each of the first few nodes of a candidate's own that no input bends.

    A bound that the original has not, and that no input reaches, shows in no comparison.
    """
    return [
        f"{item.op} {item.node!r} of the candidate comes near the largest float32, beyond which "
        "no input was found; keep its inputs small"
        if OVERFLOW in item.sides
        else f"the candidate has more {item.op} than the original, and {item.node!r} is never "
        f"{' nor '.join(item.untaken)} on these inputs"
        for item in counts
        if item.untaken
    ][:_SHOWN]


def _some(channels: Sequence[int]) -> str:
    return ", ".join(map(str, channels[:3])) + (", …" if len(channels) > 3 else "")


def bend_count(source: OnnxSource) -> int:
    """Return how many piecewise ops a model has."""
    return sum(_kinds(source.graph).values())


def _kinds(proto: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in proto.graph.node if has(node.op_type, Fact.BENT))


def _attribute(node: onnx.NodeProto, name: str, default: float | None = None) -> Any:
    """Return a node's float attribute."""
    return next((item.f for item in node.attribute if item.name == name), default)
