"""The bends next to a value: what they hold flat hides a mistake there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bnfuse.verifying.ops import Fact, has
from bnfuse.verifying.runtime.onnx_models import node_uses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import onnx

__all__ = ["nearest_bends"]

# Bends on either side of a value: beside the skips of a residual net lie those of all its blocks.
_MOST = 4


def nearest_bends(proto: onnx.ModelProto, value: str) -> frozenset[str]:
    """Return what the nearest piecewise ops before and behind a value make, its own included.

    Args:
        proto: The model.
        value: The name of a value of its main graph; another has no bends.
    """
    makers = {name: node for node in proto.graph.node for name in node.output if name}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in proto.graph.node:
        for name in dict.fromkeys(node_uses(node)):
            readers.setdefault(name, []).append(node)

    def before(name: str) -> Iterable[tuple[onnx.NodeProto, Iterable[str]]]:
        return [(makers[name], node_uses(makers[name]))] if name in makers else []

    def behind(name: str) -> Iterable[tuple[onnx.NodeProto, Iterable[str]]]:
        return [(node, node.output) for node in readers.get(name, ())]

    return frozenset(_met(value, before) | _met(value, behind))


def _met(
    value: str, step: Callable[[str], Iterable[tuple[onnx.NodeProto, Iterable[str]]]]
) -> set[str]:
    """Return the outputs of the first bends of a walk, the nearest first."""
    found: set[str] = set()
    queue, seen = [value], {value}
    for name in queue:
        for node, further in step(name):
            if has(node.op_type, Fact.BENT):
                found.add(node.output[0])
                if len(found) == _MOST:
                    return found
                continue
            fresh = [other for other in further if other not in seen]
            seen.update(fresh)
            queue += fresh
    return found
