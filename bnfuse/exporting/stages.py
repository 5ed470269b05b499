"""The export's stages in order: capture or trace, name, convert, simplify, check.

Nothing that captures or simplifies is trusted: each result is run once beside the module. The
rungs, the best first: a capture with dynamic sizes, one with fixed sizes, the trace; each as
onnxsim leaves it, then without onnxsim.
"""

from __future__ import annotations

__all__ = ["export"]

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from onnx_ir.passes.common import InlinePass, RemoveUnusedOpsetsPass, TopologicalSortPass

from bnfuse.errors import ExportError
from bnfuse.examples.untouched import untouched
from bnfuse.exporting.agreement import elsewhere, fault, loosened
from bnfuse.exporting.canonical import canonicalize
from bnfuse.exporting.capture import DataDependentError, capture
from bnfuse.exporting.dimensions import SIZES, bounded, describe, sizes_text
from bnfuse.exporting.exported import CAPTURE, TRACE, Exported
from bnfuse.exporting.hidden_rows import zero_hidden_rows
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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import onnx_ir as ir
    from torch import nn

    from bnfuse.examples import ExampleInputs
    from bnfuse.exporting.dimensions import Dimension
    from bnfuse.exporting.request import Request


def export(
    module: nn.Module,
    inputs: ExampleInputs,
    *,
    opset: int | None,
    simplified: bool,
    told: Callable[[str], None],
) -> Exported:
    """Export a module; see :func:`bnfuse.exporting.export_module`."""
    # Exporters tell values by their memory: a tensor given twice, a view of another or a weight
    # given as an input would be one value of the graph.
    apart = tuple(tensor.detach().clone() for tensor in inputs.args)
    inputs = replace(inputs, args=apart)
    target = checked_opset(opset, module, inputs)
    with (
        quiet(),
        untouched(module),
        request(module, inputs, target) as job,
        flattened_outputs(module),
    ):
        found = _Ladder(job, simplified, told).climb()
    model = found.model
    RemoveUnusedOpsetsPass()(model)
    TopologicalSortPass()(model)
    order_weights(model)
    if found.sizes:
        model.metadata_props[SIZES] = found.sizes
    check(model)
    return Exported(model, found.exporter, target, found.notes)


_SIZES = {True: "dynamic sizes", False: "fixed sizes"}


@dataclass(frozen=True)
class _Found:
    """A finished graph.

    Attributes:
        fault: What is wrong with it; empty where nothing is.
        sizes: See :data:`bnfuse.exporting.dimensions.SIZES`.
    """

    model: ir.Model
    exporter: str
    notes: tuple[str, ...]
    fault: str = ""
    sizes: str = ""


class _Ladder:
    """Tries the rungs in order and keeps why each was left."""

    def __init__(self, job: Request, simplify: bool, told: Callable[[str], None]) -> None:
        self._job = job
        self._simplify = simplify
        self._told = told
        self._sizes = (True, False) if any(job.inputs.dynamic) else (False,)
        self._refused = ""
        self._first: _Found | None = None

    def climb(self) -> _Found:
        """Return the first graph without a fault, or the first there is, its fault in a note.

        Raises:
            ExportError: No rung makes a graph.
        """
        for rung in (self._captures, self._trace):
            for found in rung():
                if not found.fault:
                    return found
                self._first = self._first or found
        assert self._first is not None
        first = self._first
        note = f"no export of the model holds beside the module: of the first, {first.fault}"
        return replace(first, notes=(*first.notes, note))

    def _captures(self) -> Iterator[_Found]:
        reason = ""
        for dynamic in self._sizes:
            self._told(f"torch.export, {_SIZES[dynamic]}")
            try:
                model, dims = capture(self._job, dynamic=dynamic)
                notes = describe(dims, reason)
                for found in self._finished(model, CAPTURE, notes, dims):
                    yield found
                    reason = reason or found.fault
            except RefusedError as refusal:
                self._refused = self._refused or str(refusal)
                reason = reason or str(refusal)
                if isinstance(refusal, DataDependentError):
                    return
        self._refused = self._refused or f"its graph does not hold: {reason}"

    def _trace(self) -> Iterator[_Found]:
        fixed = "every dimension is fixed: the trace computes with the sizes of the example"
        for dynamic in self._sizes:
            self._told(f"torch.jit.trace, {_SIZES[dynamic]}")
            try:
                traced = trace(self._job, dynamic=dynamic)
                notes = self._trace_notes(traced.decisions)
                if not dynamic and len(self._sizes) > 1:
                    notes.append(fixed)
                for found in self._finished(traced.model, TRACE, notes):
                    yield self._held_elsewhere(found)
            except RefusedError as refusal:
                if self._first is not None:
                    return
                raise ExportError(
                    f"No exporter takes the model: torch.export refused ({self._refused}), "
                    f"and so did the trace ({refusal}).",
                    "Change what the first reason names, or give an ONNX file instead.",
                ) from refusal

    def _held_elsewhere(self, found: _Found) -> _Found:
        wrong = "" if found.fault else elsewhere(found.model, self._job)
        note = f"the graph is the module only on the path that the example takes: beyond, {wrong}"
        return replace(found, notes=(*found.notes, note)) if wrong else found

    def _trace_notes(self, decisions: tuple[str, ...]) -> list[str]:
        if isinstance(self._job.module, torch.jit.ScriptModule):
            return []
        notes = [f"torch.export refused: {self._refused}; the trace fixes the path taken"]
        elsewhere = [place for place in decisions if place not in self._refused]
        if elsewhere:
            notes.append(f"the trace also fixed what was decided at {', '.join(elsewhere)}")
        return notes

    def _finished(
        self, model: ir.Model, exporter: str, notes: list[str], dims: Sequence[Dimension] = ()
    ) -> Iterator[_Found]:
        """Inline local functions, own the weights, name everything, simplify, reach the opset."""
        job = self._job
        InlinePass()(model)
        own_weights(model)
        clean_metadata(model)
        name_interface(model, job.inputs.names, job.outputs)
        unique_names(model)
        zero_hidden_rows(model)
        canonicalize(model)
        added: list[str] = []
        if self._simplify:
            self._told("onnxsim")
            # First, because the version converter asks for constants that folding makes.
            simpler = simplified_model(model)
            if simpler.note:
                added = [simpler.note]
            else:
                found = self._judged(simpler.model, exporter, notes, dims)
                yield found
                added = [f"onnxsim was left out: of what it made, {found.fault}"]
        yield self._judged(model, exporter, [*notes, *added], dims)

    def _judged(
        self, model: ir.Model, exporter: str, notes: list[str], dims: Sequence[Dimension]
    ) -> _Found:
        model = converted(model, self._job.opset)
        self._told("running the graph beside the module")
        wrong = fault(model, self._job, dims)
        dims = dims if wrong else loosened(model, self._job, dims)
        notes = [*notes, *bounded(dims)]
        return _Found(model, exporter, tuple(notes), wrong, sizes_text(dims))
