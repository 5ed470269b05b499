"""Make a model ready to lift: functions inlined, shapes known, interface remembered."""

from __future__ import annotations

__all__ = ["Interface", "prepare"]

from typing import TYPE_CHECKING

import onnx_ir.passes.common as common

from bnfuse.errors import ExportError
from bnfuse.graph.constants import ConstantEvaluator
from bnfuse.graph.sequences import split_sequences
from bnfuse.lifting.preparing.batched import unfold_batches
from bnfuse.lifting.preparing.functions import inline_functions
from bnfuse.lifting.preparing.interface import Interface
from bnfuse.lifting.preparing.no_ops import skip_no_ops
from bnfuse.lifting.preparing.shape_inference import (
    infer_numbered_shapes,
    infer_run_time_shapes,
    infer_shapes,
)

if TYPE_CHECKING:
    import onnx_ir as ir

_ROUNDS = 4
"""How often shapes that became known are carried on by ONNX's inference."""


def prepare(model: ir.Model) -> tuple[Interface, list[str]]:
    """Inline functions, drop what nothing needs, split sequences, infer shapes, in place.

    Returns:
        What the model declares of its inputs and outputs, to be restored at the end; and what a
        person should know, a sentence each.

    Raises:
        ExportError: The model names no ONNX operator set, or has functions that do not inline.
    """
    notes = inline_functions(model)
    imports = model.opset_imports
    if not imports or ("" not in imports and any(n.domain == "" for n in model.graph.all_nodes())):
        raise ExportError(
            "the model imports no ONNX operator set.", "Save it again with an opset of 7 or more."
        )
    # A value that nothing needs is no consumer: it must not keep a norm from folding.
    common.RemoveUnusedNodesPass()(model)
    interface = Interface.of(model)
    overridable = sum(value.name in model.graph.initializers for value in model.graph.inputs)
    if overridable:
        notes.append(
            f"{overridable} initialisers are graph inputs too and may be overridden: they are no "
            "constants; if nothing overrides them, take them out of the inputs"
        )
    infer_shapes(model)
    if split_sequences(model.graph, ConstantEvaluator(model.opset_imports.get("", 1))):
        infer_shapes(model)
        notes.append("sequences that were only taken apart became Splits")
    for _ in range(_ROUNDS):
        constants = ConstantEvaluator(model.opset_imports.get("", 1))
        if not infer_run_time_shapes(model.graph, constants):
            break
        infer_shapes(model)
    while skip_no_ops(model.graph, ConstantEvaluator(model.opset_imports.get("", 1))):
        common.RemoveUnusedNodesPass()(model)
        infer_numbered_shapes(model)
    unfold_batches(model.graph, ConstantEvaluator(model.opset_imports.get("", 1)))
    return interface, notes
