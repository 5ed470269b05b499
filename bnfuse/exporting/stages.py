"""The export's stages in order: capture or trace, name, convert, simplify, check."""

from __future__ import annotations

__all__ = ["export"]

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from onnx_ir.passes.common import InlinePass, RemoveUnusedOpsetsPass, TopologicalSortPass

from bnfuse.errors import ExportError
from bnfuse.exporting import CAPTURE, TRACE, Exported
from bnfuse.exporting.capture import capture
from bnfuse.exporting.naming import (
    clean_metadata,
    name_interface,
    order_weights,
    own_weights,
    unique_names,
)
from bnfuse.exporting.opset import check, checked_opset, converted
from bnfuse.exporting.outputs import flattened_outputs
from bnfuse.exporting.quiet import quiet
from bnfuse.exporting.request import RefusedError, request
from bnfuse.exporting.simplification import simplified as simplified_model
from bnfuse.exporting.trace import trace
from bnfuse.exporting.untouched import untouched

if TYPE_CHECKING:
    import onnx_ir as ir
    from torch import nn

    from bnfuse.exporting.request import Request
    from bnfuse.loading import ExampleInputs


def export(
    module: nn.Module, inputs: ExampleInputs, *, opset: int | None, simplified: bool
) -> Exported:
    """Export a module; see :func:`bnfuse.exporting.export_module`."""
    # Exporters tell values by their memory: a tensor given twice, a view of another or a weight
    # given as an input would be one value of the graph.
    apart = tuple(tensor.detach().clone() for tensor in inputs.args)
    inputs = replace(inputs, args=apart)
    target = checked_opset(opset, module, inputs)
    with quiet(), untouched(module), request(module, inputs, target) as job:
        model, exporter, notes = _exported(job, simplified)
    RemoveUnusedOpsetsPass()(model)
    TopologicalSortPass()(model)
    order_weights(model)
    check(model)
    return Exported(model, exporter, target, tuple(notes))


def _exported(job: Request, simplify: bool) -> tuple[ir.Model, str, list[str]]:
    with flattened_outputs(job.module):
        try:
            model, notes = capture(job)
            model, note = _finished(model, job, simplify)
            return model, CAPTURE, [*notes, *note]
        except RefusedError as refusal:
            refused = str(refusal)
        try:
            traced = trace(job)
            model, note = _finished(traced.model, job, simplify)
        except RefusedError as refusal:
            raise ExportError(
                f"No exporter takes the model: torch.export refused ({refused}), "
                f"and so did the trace ({refusal}).",
                "Change what the first reason names, or give an ONNX file instead.",
            ) from refusal
    if isinstance(job.module, torch.jit.ScriptModule):
        return model, TRACE, [*traced.notes, *note]
    notes = [f"torch.export refused: {refused}; the trace fixes the path taken"]
    elsewhere = [place for place in traced.decisions if place not in refused]
    if elsewhere:
        notes.append(f"the trace also fixed what was decided at {', '.join(elsewhere)}")
    return model, TRACE, [*notes, *traced.notes, *note]


def _finished(model: ir.Model, job: Request, simplify: bool) -> tuple[ir.Model, list[str]]:
    """Inline local functions, own the weights, name everything, simplify, reach the opset."""
    InlinePass()(model)
    own_weights(model)
    clean_metadata(model)
    name_interface(model, job.inputs.names, job.outputs)
    unique_names(model)
    if not simplify:
        return converted(model, job.opset), []
    # First, because the version converter asks for constants that folding makes.
    simpler = simplified_model(model)
    return converted(simpler.model, job.opset), [simpler.note] if simpler.note else []
