"""Make a model ready to lift: functions inlined, shapes known, interface remembered."""

from __future__ import annotations

__all__ = ["Interface", "prepare"]

from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx_ir as ir
import onnx_ir.passes.common as common

from bnfuse.errors import ExportError
from bnfuse.lifting.batched import unfold_batches
from bnfuse.lifting.constants import ConstantEvaluator
from bnfuse.lifting.dims import infer_run_time_shapes
from bnfuse.lifting.infer import infer_shapes
from bnfuse.lifting.sequences import split_sequences

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROUNDS = 4
"""How often shapes that became known are carried on by ONNX's inference."""


_Declared = tuple[ir.Shape | None, ir.TypeProtocol | None]


@dataclass(frozen=True, eq=False)
class Interface:
    """The shapes and types that a model declares.

    Attributes:
        ends: Those of its inputs and outputs, in order.
        inner: Those of every other value, by name, subgraphs included.
    """

    ends: tuple[_Declared, ...]
    inner: dict[str, _Declared]

    @classmethod
    def of(cls, model: ir.Model) -> Interface:
        """What ``model`` declares now."""
        ends = tuple((value.shape, value.type) for value in _ends(model))
        return cls(ends, {v.name or "": (v.shape, v.type) for v in _computed(model)})

    def restore(self, model: ir.Model) -> None:
        """Declare it again: what was inferred on the way is not the model's to say.

        What is inferred depends on the nodes around it, so a fold that wrote it down would find
        more to write when it is given its own result.
        """
        for value in _computed(model):
            value.shape, value.type = self.inner.get(value.name or "", (None, None))
        for value, (shape, declared) in zip(_ends(model), self.ends, strict=True):
            value.shape, value.type = shape, declared


def _ends(model: ir.Model) -> tuple[ir.Value, ...]:
    return (*model.graph.inputs, *model.graph.outputs)


def _computed(model: ir.Model) -> Iterator[ir.Value]:
    for node in model.graph.all_nodes():
        yield from node.outputs


def prepare(model: ir.Model) -> tuple[Interface, list[str]]:
    """Inline functions, drop what nothing needs, split sequences, infer shapes, in place.

    Returns:
        What the model declares of its inputs and outputs, to be restored at the end; and what a
        person should know, a sentence each.

    Raises:
        ExportError: The model names no ONNX operator set.
    """
    notes: list[str] = []
    if "" not in model.opset_imports and "ai.onnx" not in model.opset_imports:
        raise ExportError(
            "the model imports no ONNX operator set.", "Save it again with an opset of 7 or more."
        )
    if model.functions:
        common.InlinePass()(model)
        notes.append("its local functions were inlined")
    overridable = [v.name for v in model.graph.inputs if v.name in model.graph.initializers]
    if overridable:
        common.RemoveInitializersFromInputsPass()(model)
        notes.append(
            f"{len(overridable)} initialisers were graph inputs too: they are constants from here"
        )
    # A value that nothing needs is no consumer: it must not keep a norm from folding.
    common.RemoveUnusedNodesPass()(model)
    interface = Interface.of(model)
    infer_shapes(model)
    if split_sequences(model.graph, ConstantEvaluator(model.opset_imports.get("", 1))):
        infer_shapes(model)
        notes.append("sequences that were only taken apart became Splits")
    for _ in range(_ROUNDS):
        constants = ConstantEvaluator(model.opset_imports.get("", 1))
        if not infer_run_time_shapes(model.graph, constants):
            break
        infer_shapes(model)
    unfold_batches(model.graph, ConstantEvaluator(model.opset_imports.get("", 1)))
    return interface, notes
