"""What a model declares beside its nodes, taken off before a fold and put back behind it."""

from __future__ import annotations

__all__ = ["Interface"]

from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx
import onnx_ir as ir

from bnfuse.onnxfiles.protos import TRAINING_INFO

if TYPE_CHECKING:
    from collections.abc import Iterator

_LAST_WITH_LISTED_INITIALIZERS = 3
"""The newest IR version in which every initialiser is an input, and none can be overridden."""


_Declared = tuple[ir.Shape | None, ir.TypeProtocol | None]


@dataclass(frozen=True, eq=False)
class Interface:
    """The shapes and types that a model declares, and its inputs.

    Attributes:
        ends: The shapes and types of its inputs and outputs, in order.
        inner: Those of every other value, by its graph and name, subgraphs included.
        inputs: Its inputs in order, with the initialisers that are among them.
        names: The names of all its values and initialisers, if it has training information.
    """

    ends: tuple[_Declared, ...]
    inner: dict[tuple[ir.Graph | None, str], _Declared]
    inputs: tuple[ir.Value, ...]
    names: frozenset[str]

    @classmethod
    def of(cls, model: ir.Model) -> Interface:
        """What ``model`` declares now; initialisers cease to be inputs where they are constants."""
        inputs = tuple(model.graph.inputs)
        if _lists_initializers(model):
            free = [value for value in inputs if value.name not in model.graph.initializers]
            model.graph.inputs.clear()
            model.graph.inputs.extend(free)
        ends = tuple((value.shape, value.type) for value in _ends(model))
        inner = {(v.graph, v.name or ""): (v.shape, v.type) for v in _computed(model)}
        names = _names(model) if TRAINING_INFO in model.meta else frozenset()
        return cls(ends, inner, inputs, names)

    def restore(self, model: ir.Model) -> list[str]:
        """Declare it again: what was inferred on the way is not the model's to say.

        What is inferred depends on the nodes around it, so a fold that wrote it down would find
        more to write when it is given its own result.

        Returns:
            What could not be kept, a sentence each.
        """
        for value in _computed(model):
            value.shape, value.type = self.inner.get((value.graph, value.name or ""), (None, None))
        for value, (shape, declared) in zip(_ends(model), self.ends, strict=True):
            value.shape, value.type = shape, declared
        if _lists_initializers(model):
            self._list_initializers(model.graph)
        return self._training_notes(model)

    def _list_initializers(self, graph: ir.Graph) -> None:
        free, stored = set(graph.inputs), set(graph.initializers.values())
        kept = [value for value in self.inputs if value in free or value in stored]
        new = [value for value in graph.initializers.values() if value not in set(kept)]
        graph.inputs.clear()
        graph.inputs.extend([*kept, *new])

    def _training_notes(self, model: ir.Model) -> list[str]:
        """Drop the training information if it is about values that are gone."""
        mentioned: set[str] = set()
        for message in model.meta.get(TRAINING_INFO, ()):
            mentioned |= _mentioned(onnx.TrainingInfoProto.FromString(message))
        if not mentioned & (self.names - _names(model)):
            return []
        del model.meta[TRAINING_INFO]
        return ["its training information is left out: it is about weights that were folded"]


def _lists_initializers(model: ir.Model) -> bool:
    return model.ir_version <= _LAST_WITH_LISTED_INITIALIZERS


def _ends(model: ir.Model) -> tuple[ir.Value, ...]:
    return (*model.graph.inputs, *model.graph.outputs)


def _computed(model: ir.Model) -> Iterator[ir.Value]:
    for node in model.graph.all_nodes():
        yield from node.outputs


def _names(model: ir.Model) -> frozenset[str]:
    values = (*_computed(model), *model.graph.initializers.values())
    return frozenset(value.name for value in values if value.name)


def _mentioned(info: onnx.TrainingInfoProto) -> set[str]:
    """The names that training reads or sets; those of its own values are among them."""
    bindings = (*info.initialization_binding, *info.update_binding)
    names = {name for binding in bindings for name in (binding.key, binding.value)}
    graphs = (info.initialization, info.algorithm)
    return names | {name for graph in graphs for node in graph.node for name in node.input}
