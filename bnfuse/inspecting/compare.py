"""Two graphs side by side: what became of each node of the first.

Nodes are matched by what they have in common, the surest first: the name of the value that they
compute, their own name, their stored constants, and then, in order, their op type and what they
read. No name or number of this comparison is a verdict: whether the two compute the same is for
``bnfuse verify`` and ``bnfuse prove``.
"""

from __future__ import annotations

__all__ = ["Comparison", "Fate", "NodeFate", "compare"]

import enum
import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from bnfuse.graph.source import module_path

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence


_DISTINCT = 16
"""Numbers that are enough for a constant to be told from another by them."""


class Fate(enum.Enum):
    """What became of a node."""

    KEPT = "kept"
    """It is there by its name, with the same constants."""
    CHANGED = "changed"
    """It is there, with other constants."""
    RENAMED = "renamed"
    """It is there with the same constants, and computes a value of another name."""
    REPLACED = "replaced"
    """It is gone, and an op of another type computes the value that it led to."""
    ABSORBED = "absorbed"
    """It is gone, and the node with constants next to it has other ones now."""
    GONE = "gone"
    """It is gone, and no such node changed."""
    NEW = "new"
    """It is in the second graph alone."""


@dataclass(frozen=True)
class NodeFate:
    """One node.

    Attributes:
        op: Its op type.
        name: Its module's path, its own name or that of the value that it computes.
        fate: What became of it.
        into: The node of the second graph that it is or that absorbed it, by op type and name.
    """

    op: str
    name: str
    fate: Fate
    into: str = ""


@dataclass(frozen=True)
class Comparison:
    """Every node of both graphs: those of the first in order, then what is new."""

    nodes: tuple[NodeFate, ...]

    @property
    def counts(self) -> Counter[Fate]:
        """How many nodes had each fate."""
        return Counter(node.fate for node in self.nodes)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        counts = self.counts
        return {
            "counts": {fate.value: counts[fate] for fate in Fate},
            "nodes": [
                {"op": n.op, "name": n.name, "fate": n.fate.value, "into": n.into or None}
                for n in self.nodes
            ],
        }


def compare(before: ir.Model, after: ir.Model) -> Comparison:
    """Match the nodes of two models' main graphs; both are left as they are."""
    return _Matching(_Side(before), _Side(after)).result()


class _Side:
    """A graph's nodes, and what is constant in it."""

    def __init__(self, model: ir.Model) -> None:
        self.nodes = [node for node in model.graph if node.op_type != "Constant"]
        self._digests: dict[int, str] = {}
        self.fixed: set[ir.Node] = set()
        for node in self.nodes:
            if node.inputs and all(v is None or self.is_constant(v) for v in node.inputs):
                self.fixed.add(node)

    def is_constant(self, value: ir.Value) -> bool:
        """Whether a value is stored, or computed from what is stored alone."""
        return self.tensor(value) is not None or value.producer() in self.fixed

    @staticmethod
    def tensor(value: ir.Value | None) -> ir.TensorProtocol | None:
        """What is stored for a value, if it is stored."""
        if value is None or (value.is_graph_input() and not value.is_initializer()):
            return None
        return ir.convenience.get_const_tensor(value)

    def tensors(self, node: ir.Node) -> list[ir.TensorProtocol]:
        """The stored constants that a node reads, in order."""
        found = (self.tensor(value) for value in node.inputs)
        return [tensor for tensor in found if tensor is not None]

    def digest(self, node: ir.Node) -> tuple[str, ...]:
        """The node's stored constants by their SHA-256."""
        return tuple(self._digest(tensor) for tensor in self.tensors(node))

    def _digest(self, tensor: ir.TensorProtocol) -> str:
        if id(tensor) not in self._digests:
            head = f"{tensor.dtype.name}{tuple(tensor.shape)}".encode()
            is_text = tensor.dtype is ir.DataType.STRING
            numbers = repr(tensor.numpy().tolist()).encode() if is_text else tensor.tobytes()
            self._digests[id(tensor)] = hashlib.sha256(head + numbers).hexdigest()
        return self._digests[id(tensor)]

    def sources(self, node: ir.Node) -> list[ir.Node | str]:
        """What a node reads at run time: the nodes, or the names of the graph's inputs."""
        return [
            value.producer() or value.name or ""
            for value in node.inputs
            if value is not None and not self.is_constant(value)
        ]


class _Matching:
    def __init__(self, before: _Side, after: _Side) -> None:
        self._before, self._after = before, after
        self._match: dict[ir.Node, ir.Node] = {}
        self._taken: set[ir.Node] = set()
        self._replaced: dict[ir.Node, ir.Node] = {}
        self._by(lambda _, node: node.outputs[0].name if node.outputs else None)
        self._by(lambda _, node: node.name)
        self._by(lambda side, node: side.digest(node) if _is_distinct(side, node) else None)
        self._find_replaced()
        self._follow()
        self._same = {
            node: before.digest(node) == after.digest(match) for node, match in self._match.items()
        }

    def _by(self, key: Callable[[_Side, ir.Node], Hashable]) -> None:
        """Match what is not matched yet by a key, where it is one node's alone on each side."""
        found: list[dict[Hashable, list[ir.Node]]] = []
        for side, done in ((self._before, self._match), (self._after, self._taken)):
            by_key: dict[Hashable, list[ir.Node]] = defaultdict(list)
            for node in side.nodes:
                if node not in done and (one := key(side, node)):
                    by_key[node.domain, node.op_type, one].append(node)
            found.append(by_key)
        for one, nodes in found[0].items():
            others = found[1].get(one, [])
            if len(nodes) == len(others) == 1:
                self._pair(nodes[0], others[0])

    def _find_replaced(self) -> None:
        """Match what computes a value of one name by another op."""
        by_value = {
            node.outputs[0].name: node
            for node in self._after.nodes
            if node.outputs and node not in self._taken
        }
        for node in self._before.nodes:
            other = by_value.get(node.outputs[0].name) if node.outputs else None
            if node not in self._match and other is not None:
                self._replaced[node] = other
                self._taken.add(other)

    def _follow(self) -> None:
        """Match in order what reads the same, a node that is gone counting as what it read."""
        waiting: dict[Hashable, list[ir.Node]] = defaultdict(list)
        for node in reversed(self._after.nodes):
            if node not in self._taken:
                key = (node.domain, node.op_type, tuple(self._after.sources(node)))
                waiting[key].append(node)
        stands_for: dict[ir.Node, Hashable] = {}
        for node in self._before.nodes:
            read = tuple(
                stands_for.get(source) if isinstance(source, ir.Node) else source
                for source in self._before.sources(node)
            )
            own = self._match.get(node) or self._replaced.get(node)
            if own is None and waiting.get((node.domain, node.op_type, read)):
                own = waiting[node.domain, node.op_type, read].pop()
                self._pair(node, own)
            stands_for[node] = own or (read[0] if read else None)

    def _pair(self, node: ir.Node, other: ir.Node) -> None:
        self._match[node] = other
        self._taken.add(other)

    def result(self) -> Comparison:
        """What became of each."""
        up = self._nearest(self._before.nodes, self._before.sources)
        readers = {
            node: [use.node for value in node.outputs for use in value.uses()]
            for node in self._before.nodes
        }
        down = self._nearest(self._before.nodes[::-1], readers.__getitem__)
        fates: dict[ir.Node, NodeFate] = {}
        for node in reversed(self._before.nodes):
            reader = next((r for r in readers[node] if r in fates), None)
            if node in self._match:
                fates[node] = self._kept(node)
            elif node in self._replaced:
                fates[node] = _fated(node, Fate.REPLACED, self._replaced[node])
            elif reader is not None and fates[reader].fate is Fate.REPLACED:
                # It led to that value, and to no other that is still there.
                fates[node] = replace(fates[reader], op=_op(node), name=label(node))
            elif node in self._before.fixed and reader is not None:
                # What is computed of constants goes where its reader goes.
                into = fates[reader].into
                fate = fates[reader].fate if reader not in self._match else Fate.ABSORBED
                fates[node] = NodeFate(_op(node), label(node), fate, into)
            else:
                fates[node] = self._gone(node, (up.get(node), down.get(node)))
        new = (_fated(node, Fate.NEW) for node in self._after.nodes if node not in self._taken)
        return Comparison((*(fates[node] for node in self._before.nodes), *new))

    def _kept(self, node: ir.Node) -> NodeFate:
        other = self._match[node]
        fate = Fate.CHANGED
        if self._same[node]:
            names = [node.outputs[0].name, other.outputs[0].name] if node.outputs else [""]
            fate = Fate.KEPT if names[0] == names[-1] else Fate.RENAMED
        return _fated(node, fate, other)

    def _gone(self, node: ir.Node, near: Sequence[ir.Node | None]) -> NodeFate:
        for holder in near:
            if holder is not None and not self._same[holder]:
                return _fated(node, Fate.ABSORBED, self._match[holder])
        return _fated(node, Fate.GONE)

    def _nearest(
        self, nodes: Sequence[ir.Node], neighbours: Callable[[ir.Node], Sequence[ir.Node | str]]
    ) -> dict[ir.Node, ir.Node | None]:
        """For each node the next that is matched and holds constants, one way through the graph."""
        found: dict[ir.Node, ir.Node | None] = {}
        for node in nodes:
            first = next((n for n in neighbours(node) if isinstance(n, ir.Node)), None)
            holds = first in self._match and self._before.tensors(first) if first else False
            found[node] = first if holds else found.get(first) if first else None
        return found


def _fated(node: ir.Node, fate: Fate, other: ir.Node | None = None) -> NodeFate:
    into = "" if other is None else f"{_op(other)} {label(other)}"
    return NodeFate(_op(node), label(node), fate, into)


def label(node: ir.Node) -> str:
    """What a person calls a node."""
    value = node.outputs[0].name if node.outputs else ""
    return module_path(node) or node.name or value or node.op_type


def _op(node: ir.Node) -> str:
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"


def _is_distinct(side: _Side, node: ir.Node) -> bool:
    return any(tensor.size >= _DISTINCT for tensor in side.tensors(node))
