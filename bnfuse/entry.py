"""Whatever a caller gave, as one ONNX graph that may be changed, and what it must stay equal to."""

from __future__ import annotations

__all__ = ["Entry", "Inputs", "Request", "enter", "export_source"]

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import onnx_ir as ir

from bnfuse.errors import UsageError
from bnfuse.loading import ExampleInputs, LoadedModel, example_inputs, given_inputs, load
from bnfuse.loading.protos import model_of, modernized
from bnfuse.packages import require
from bnfuse.writing import file_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx
    from torch import Tensor, nn

    from bnfuse.exporting import Exported
    from bnfuse.progress import Progress

    Inputs = Tensor | Sequence[Tensor] | Mapping[str, Tensor] | ExampleInputs
else:
    Inputs = Any


@dataclass(frozen=True, eq=False)
class Request:
    """The options of loading and exporting, as the public functions take them."""

    inputs: Inputs | None = None
    opset: int | None = None
    model: str | None = None
    allow: tuple[str, ...] = ()
    trust: bool = False
    input_shapes: tuple[str, ...] = ()
    dtype: str | None = None


@dataclass(frozen=True, eq=False)
class Entry:
    """An ONNX graph at the start of the inner stages.

    Attributes:
        model: The graph; it belongs to the pipeline and is changed in place.
        name: What the source is called.
        kind: What the source is, in words.
        original: What the result must be equal to: the module, the file or the graph given.
        inputs: The example inputs; ``None`` for an ONNX source.
        exporter: Which exporter made the graph; ``None`` for an ONNX source.
        notes: What a person should know so far.
        bytes: The size of the file, external data included; ``None`` where there is none.
        path: The file, or ``None`` for what was given in memory.
    """

    model: ir.Model
    name: str
    kind: str
    original: nn.Module | Path | onnx.ModelProto | ir.Model
    inputs: ExampleInputs | None = None
    exporter: str | None = None
    notes: tuple[str, ...] = ()
    bytes: int | None = None
    path: Path | None = None


def enter(
    source: nn.Module | str | Path | onnx.ModelProto | ir.Model,
    request: Request,
    progress: Progress,
) -> Entry:
    """Load and export as far as the source needs it."""
    if isinstance(source, str | Path):
        loaded = _load(source, request, progress)
        if loaded.model is not None:
            name, kind = str(loaded.path), loaded.kind.description
            _refuse_options(request, name)
            size = file_bytes(loaded.path, loaded.model)
            model, notes = modernized(loaded.model)
            notes = (*loaded.notes, *notes)
            return Entry(model, name, kind, loaded.path, notes=notes, bytes=size, path=loaded.path)
        assert loaded.module is not None
        return _export_entry(loaded.module, loaded, request, progress)
    if isinstance(source, ir.Model):
        return _graph_entry(source.clone(), "an onnx_ir model", source)
    if _is_proto(source):
        proto = cast("onnx.ModelProto", source)
        return _graph_entry(model_of(proto), "an ONNX model", proto)
    return _export_entry(source, None, request, progress)


def _graph_entry(model: ir.Model, kind: str, source: onnx.ModelProto | ir.Model) -> Entry:
    model, notes = modernized(model)
    return Entry(model, model.graph.name or "model", kind, source, notes=notes)


def export_source(source: nn.Module | str | Path, request: Request, progress: Progress) -> Exported:
    """Export a module or a file that holds one."""
    loaded = None
    if isinstance(source, str | Path):
        loaded = _load(source, request, progress)
        if loaded.module is None:
            raise UsageError(
                f"{str(source)!r} is an ONNX model already.", "Give it to `bnfuse fold` as it is."
            )
        source = loaded.module
    exported, _ = _export(source, loaded, request, progress)
    return exported


def _load(source: str | Path, request: Request, progress: Progress) -> LoadedModel:
    with progress.stage("load") as line:
        loaded = load(
            source,
            model=request.model,
            allow=request.allow,
            trust=request.trust,
            input_shapes=request.input_shapes,
            dtype=request.dtype,
        )
        line.detail = f"{loaded.path}: {loaded.kind.description}"
    return loaded


def _export_entry(
    module: nn.Module, loaded: LoadedModel | None, request: Request, progress: Progress
) -> Entry:
    exported, examples = _export(module, loaded, request, progress)
    return Entry(
        exported.model,
        type(module).__name__ if loaded is None else str(loaded.path),
        "a module in memory" if loaded is None else loaded.kind.description,
        module,
        examples,
        exported.exporter,
        (*(loaded.notes if loaded else ()), *exported.notes),
        path=None if loaded is None else loaded.path,
    )


def _export(
    module: nn.Module, loaded: LoadedModel | None, request: Request, progress: Progress
) -> tuple[Exported, ExampleInputs]:
    require("Exporting to ONNX", "torch", "onnxscript")
    from bnfuse.exporting import export_module

    with progress.stage("export") as line:
        examples = _examples(module, loaded, request)
        exported = export_module(module, examples, opset=request.opset)
        line.detail = f"{exported.exporter}, opset {exported.opset}; input {examples.found}"
    return exported, examples


def _examples(module: nn.Module, loaded: LoadedModel | None, request: Request) -> ExampleInputs:
    if isinstance(request.inputs, ExampleInputs):
        return request.inputs
    if request.inputs is not None:
        return given_inputs(module, request.inputs)
    if loaded is not None and loaded.inputs is not None:
        return loaded.inputs
    return example_inputs(module, request.input_shapes, request.dtype)


def _refuse_options(request: Request, name: str) -> None:
    """An ONNX model has its architecture, its inputs and its operator set."""
    given = {
        "--opset": request.opset,
        "--model": request.model,
        "--input-shape": request.input_shapes,
        "--dtype": request.dtype,
    }
    useless = [option for option, value in given.items() if value]
    if useless:
        raise UsageError(
            f"{name!r} is an ONNX model already, and folding keeps its inputs and operator set.",
            f"Leave {' and '.join(useless)} out.",
        )


def _is_proto(source: object) -> bool:
    return hasattr(source, "opset_import") and hasattr(source, "graph")
