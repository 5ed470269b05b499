"""Whatever a caller gave, as one ONNX graph that may be changed, and what it must stay equal to."""

from __future__ import annotations

__all__ = ["Entry", "Inputs", "Source", "SourceOptions", "enter", "export_source"]

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import onnx_ir as ir

from bnfuse.errors import UsageError
from bnfuse.examples import (
    ExampleInputs,
    example_inputs,
    given_inputs,
    signature_of,
)
from bnfuse.fingerprint import Fingerprint, fingerprints
from bnfuse.loading import (
    LoadedModel,
    LoadOptions,
    as_source,
    as_tensors,
    load,
    load_weights,
    on_cpu,
)
from bnfuse.onnxfiles.protos import model_of, modernized
from bnfuse.onnxfiles.size import file_bytes
from bnfuse.packages import require

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import onnx
    from torch import Tensor, nn
    from torch.export import ExportedProgram
    from torch.onnx import ONNXProgram

    from bnfuse.exporting import Exported
    from bnfuse.pipeline.folded import Folded
    from bnfuse.progress import Progress

    Array: TypeAlias = Tensor | np.ndarray[Any, Any]
    Inputs: TypeAlias = Array | Sequence[Array] | Mapping[str, Array] | ExampleInputs
    Program: TypeAlias = ExportedProgram | ONNXProgram
    InMemory: TypeAlias = nn.Module | onnx.ModelProto | ir.Model | bytes | Mapping[str, Tensor]
    Returned: TypeAlias = LoadedModel | Exported | Folded
    Source: TypeAlias = str | os.PathLike[str] | InMemory | Program | Returned
else:
    Inputs = Source = Any


@dataclass(frozen=True, eq=False)
class SourceOptions:
    """How a source becomes a graph: the inputs to export with, the operator set, the loading."""

    inputs: Inputs | None = None
    opset: int | None = None
    loading: LoadOptions = field(default_factory=LoadOptions)


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

    @cached_property
    def files(self) -> tuple[Fingerprint, ...]:
        """The source's files by their SHA-256; none for what was given in memory."""
        return () if self.path is None else fingerprints(self.path)


def enter(source: Source, wanted: SourceOptions, progress: Progress) -> Entry:
    """Load and export as far as the source needs it."""
    taken = _take(source, wanted, progress)
    if taken.model is None:
        return _export_entry(taken, progress)
    size = None
    if taken.path is not None:
        _refuse_options(wanted, taken.name)
        size = file_bytes(taken.path, taken.model)
    model, notes = modernized(taken.model)
    notes = (*taken.notes, *notes)
    name = taken.name or model.graph.name or "model"
    return Entry(model, name, taken.kind, taken.source, notes=notes, bytes=size, path=taken.path)


def export_source(source: Source, wanted: SourceOptions, progress: Progress) -> Exported:
    """Export a module or a file that holds one."""
    taken = _take(source, wanted, progress)
    if taken.model is not None:
        what = repr(taken.name) if taken.path is not None else "What was given"
        raise UsageError(f"{what} is an ONNX model already.", "Give it to `bnfuse fold` as it is.")
    exported, _ = _export(taken, progress)
    return exported


@dataclass(frozen=True, eq=False)
class _Taken:
    """A source, loaded: a module in ``source``, or the ONNX model of it in ``model``."""

    source: Any
    name: str
    kind: str
    wanted: SourceOptions
    model: ir.Model | None = None
    notes: tuple[str, ...] = ()
    path: Path | None = None


def _take(source: Source, wanted: SourceOptions, progress: Progress) -> _Taken:
    found, inputs = as_source(source)
    if isinstance(found, Path | Mapping):
        loaded = _load(found, wanted.loading, progress)
        name, kind = str(loaded.path), loaded.kind.description
        path = found if isinstance(found, Path) else None
        if loaded.model is not None:
            return _Taken(loaded.path, name, kind, wanted, loaded.model, loaded.notes, path)
        if wanted.inputs is None:
            wanted = replace(wanted, inputs=loaded.inputs)
        return _Taken(loaded.module, name, kind, wanted, notes=loaded.notes, path=path)
    if isinstance(found, ir.Model):
        return _Taken(found, "", "an onnx_ir model", wanted, found.clone())
    if _is_proto(found):
        return _Taken(found, "", "an ONNX model", wanted, model_of(found))
    module, notes = on_cpu(found)
    if wanted.inputs is None and not (wanted.loading.input_shapes or wanted.loading.dtype):
        wanted = replace(wanted, inputs=inputs)
    return _Taken(module, type(module).__name__, "a module in memory", wanted, notes=notes)


def _load(
    source: Path | Mapping[str, Any], options: LoadOptions, progress: Progress
) -> LoadedModel:
    with progress.stage("load") as line:
        line.doing(_what_is_read(source))
        if isinstance(source, Mapping):
            loaded = load_weights(source, options)
        else:
            loaded = load(source, options)
        line.detail = f"{loaded.path}: {loaded.kind.description}"
    return loaded


def _what_is_read(source: Path | Mapping[str, Any]) -> str:
    if isinstance(source, Mapping):
        return f"{len(source)} tensors"
    try:
        return f"{source.name}, {source.stat().st_size / 1e6:,.1f} MB"
    except (OSError, ValueError):
        # Loading says why.
        return source.name


def _export_entry(taken: _Taken, progress: Progress) -> Entry:
    exported, examples = _export(taken, progress)
    return Entry(
        exported.model,
        taken.name,
        taken.kind,
        taken.source,
        _as_exported(examples, exported.model),
        exported.exporter,
        (*taken.notes, *exported.notes),
        path=taken.path,
    )


def _as_exported(examples: ExampleInputs, model: ir.Model) -> ExampleInputs:
    """Call dynamic only what the export left so: it is to be verified at no other size."""
    dynamic = tuple(
        {
            axis: symbol
            for axis, symbol in symbols.items()
            if value.shape is not None and not isinstance(value.shape[axis], int)
        }
        for symbols, value in zip(examples.dynamic, model.graph.inputs, strict=True)
    )
    return replace(examples, dynamic=dynamic)


def _export(taken: _Taken, progress: Progress) -> tuple[Exported, ExampleInputs]:
    require("Exporting to ONNX", "torch", "onnxscript")
    from bnfuse.exporting import export_module

    with progress.stage("export") as line:
        examples = _examples(taken.source, taken.wanted, line.doing)
        exported = export_module(taken.source, examples, opset=taken.wanted.opset, told=line.doing)
        line.detail = f"{exported.exporter}, opset {exported.opset}; input {examples.found}"
    return exported, examples


def _examples(
    module: nn.Module, wanted: SourceOptions, told: Callable[[str], None]
) -> ExampleInputs:
    if isinstance(wanted.inputs, ExampleInputs):
        return wanted.inputs.in_order(signature_of(module).names)
    if wanted.inputs is not None:
        return given_inputs(module, as_tensors(wanted.inputs))
    return example_inputs(module, wanted.loading.input_shapes, wanted.loading.dtype, told)


def _refuse_options(wanted: SourceOptions, name: str) -> None:
    """An ONNX model has its architecture, its inputs and its operator set."""
    given = {
        "--opset": wanted.opset,
        "--model": wanted.loading.model,
        "--input-shape": wanted.loading.input_shapes,
        "--dtype": wanted.loading.dtype,
    }
    useless = [option for option, value in given.items() if value]
    if useless:
        raise UsageError(
            f"{name!r} is an ONNX model already, and folding keeps its inputs and operator set.",
            f"Leave {' and '.join(useless)} out.",
        )


def _is_proto(source: object) -> bool:
    return hasattr(source, "opset_import") and hasattr(source, "graph")
