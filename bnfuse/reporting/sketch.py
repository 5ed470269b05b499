"""A graph without its numbers: which node reads what, as data that can be drawn."""

from __future__ import annotations

__all__ = ["Sketch", "SketchNode"]

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from bnfuse.graph.source import module_path

if TYPE_CHECKING:
    from collections.abc import Iterable

    import onnx_ir as ir


@dataclass(frozen=True)
class SketchNode:
    """One node.

    Attributes:
        name: Its name, or that of its first output.
        op: The operator, with its domain where that is not the standard's.
        module: The dotted path of the module it came from, or the empty string.
        inputs: The values that it reads and that other nodes or the caller compute.
        outputs: The values that it computes.
    """

    name: str
    op: str
    module: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Sketch:
    """A graph, constants and the bodies of its nodes left out.

    Attributes:
        inputs: The values that a caller gives.
        outputs: The values that the caller is given.
        nodes: The nodes, in the graph's order.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[SketchNode, ...]

    @classmethod
    def of(cls, graph: ir.Graph) -> Sketch:
        """What the graph is now; nothing of it is kept."""
        constants = set(graph.initializers)
        nodes = []
        for node in graph:
            reads = _names(node.inputs)
            if all(name in constants for name in reads) and (reads or node.op_type == "Constant"):
                # What only constants go into is one.
                constants.update(_names(node.outputs))
                continue
            nodes.append(
                SketchNode(
                    node.name or (node.outputs[0].name or ""),
                    f"{node.domain}::{node.op_type}" if node.domain else node.op_type,
                    module_path(node),
                    tuple(name for name in dict.fromkeys(reads) if name not in constants),
                    tuple(_names(node.outputs)),
                )
            )
        given = tuple(name for name in _names(graph.inputs) if name not in constants)
        return cls(given, tuple(_names(graph.outputs)), tuple(nodes))

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "inputs": list(self.inputs),
            "outputs": list(self.outputs),
            "nodes": [
                {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(node).items()}
                for node in self.nodes
            ],
        }


def _names(values: Iterable[ir.Value | None]) -> list[str]:
    return [value.name for value in values if value is not None and value.name]
