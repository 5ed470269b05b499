"""Make a model ready to lift: functions inlined, shapes known, interface remembered."""

from __future__ import annotations

__all__ = ["prepare"]

import onnx_ir as ir
import onnx_ir.passes.common as common

from bnfuse.errors import ExportError


def prepare(model: ir.Model) -> list[str]:
    """Inline functions and infer shapes, in place.

    The shapes and types of the model's own inputs and outputs stay as they were declared.

    Returns:
        What a person should know of it, a sentence each.
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
    interface = [
        (value, value.shape, value.type) for value in (*model.graph.inputs, *model.graph.outputs)
    ]
    # Not strict: one operator that onnx does not know must not hide the shapes of all others.
    common.ShapeInferencePass(check_type=False, strict_mode=False, data_prop=True)(model)
    for value, shape, declared in interface:
        if shape is not None:
            value.shape = shape
        if declared is not None:
            value.type = declared
    return notes
