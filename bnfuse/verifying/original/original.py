"""The original in a verification: an ONNX model or a module, with what is known of its inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnfuse.examples import (
    ExampleInputs,
    signature_of,
)
from bnfuse.verifying.original.runs import Exposure, ModuleOriginal, OnnxOriginal, Original
from bnfuse.verifying.runtime.narrow_types import widened
from bnfuse.verifying.runtime.onnx_models import OnnxSource, Port
from bnfuse.verifying.samples.drawing import Draft
from bnfuse.verifying.samples.given import Given, given_inputs
from bnfuse.verifying.samples.index_tables import free_integers, index_limits
from bnfuse.verifying.samples.masks import mask_inputs
from bnfuse.verifying.truth.choices import choices
from bnfuse.verifying.truth.sources import ModuleTruth, OnnxTruth, TruthSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bnfuse.loading import LoadOptions
    from bnfuse.verifying.runtime.row import Row
    from bnfuse.verifying.truth.torch_model import TorchModel

__all__ = ["Side", "module_side", "onnx_side"]


@dataclass(frozen=True)
class Side:
    """The original, and what is known of its inputs.

    Attributes:
        graph: The original's own graph, or a module's unfolded export where one was given.
        draft: What inputs may be, by the graphs and what was given.
        model: The module, where the original is one.
    """

    original: Original
    truth: TruthSource
    graph: OnnxSource | None
    given: Given
    draft: Draft
    notes: tuple[str, ...] = ()
    model: TorchModel | None = None


def onnx_side(
    source: OnnxSource,
    new: OnnxSource,
    inputs: Any,
    rows: Sequence[Row],
    budget: float | None,
) -> Side:
    """Return an ONNX model as the original of ``new``; see :func:`bnfuse.verifying.verify`."""
    ports = source.signature.inputs
    given = given_inputs(inputs, ports)
    wide = widened(source)
    paired = choices(wide.graph, widened(new).graph)
    exposure = Exposure(
        tuple(choice.name for choice in paired),
        tuple(choice.scores for choice in paired if choice.scores),
    )
    return Side(
        OnnxOriginal(wide, rows, exposure),
        OnnxTruth(wide, budget),
        wide,
        given,
        Draft(
            ports,
            limits=index_limits(source.graph),
            free=free_integers(source.graph),
            masks=mask_inputs(source),
            example=given.example,
            bounds=source.bounds,
        ),
    )


def module_side(
    original: Any,
    new: OnnxSource,
    inputs: Any,
    budget: float | None,
    export: OnnxSource | None,
    options: LoadOptions,
) -> Side:
    """Return a module, or the file of one, as the original of ``new``."""
    module, found, notes = _module(original, options)
    from bnfuse.verifying.truth.torch_model import TorchModel

    if isinstance(inputs, (list, tuple)) and len(inputs) > len(new.signature.inputs):
        # An argument that the module does not read may be missing from its export.
        inputs = ExampleInputs(tuple(inputs), signature_of(module).leading(len(inputs)), (), "")
    given = given_inputs(found if inputs is None else inputs, new.signature.inputs)
    if inputs is None and not _fits(given, new.signature.inputs):
        # A guess at what the module takes; the candidate says what was exported.
        given = Given()
    if inputs is None and not options.input_shapes:
        # Nobody asked for other sizes: it is a fair copy that takes only those it says.
        given, fixed = given.limited_to(new.signature.inputs)
        notes += fixed
    ports = given.symbolic(new.signature.inputs)
    model = TorchModel(module, list(given.extra) or [port.name for port in ports], given.extra)
    tables = index_limits(new.graph)
    if given.example:
        tables |= model.table_sizes(given.example)
    return Side(
        ModuleOriginal(model),
        ModuleTruth(model, budget),
        export,
        given,
        Draft(
            ports,
            limits=tables,
            free=free_integers(new.graph),
            masks=mask_inputs(new),
            example=given.example,
        ),
        (*notes, *model.notes),
        model,
    )


def _fits(given: Given, ports: Sequence[Port]) -> bool:
    """Whether the examples have the sizes that are fixed in the model."""
    for port in ports:
        shape, dims = getattr(given.example.get(port.name), "shape", None), port.dims
        if shape is None or dims is None:
            continue
        if len(shape) != len(dims):
            return False
        pairs = zip(shape, dims, strict=True)
        if any(isinstance(dim, int) and size != dim for size, dim in pairs):
            return False
    return True


def _module(original: Any, options: LoadOptions) -> tuple[Any, Any, list[str]]:
    """Return the module, what inputs are known for it, and notes."""
    from bnfuse.loading import load, load_weights, on_cpu

    if isinstance(original, Mapping):
        loaded = load_weights(original, options)
    elif not isinstance(original, Path):
        module, moved = on_cpu(original)
        return module, None, list(moved)
    else:
        loaded = load(original, options)
    return loaded.module, loaded.inputs, [str(note) for note in loaded.notes]
