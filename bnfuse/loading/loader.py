"""From any file that people call a model to a module or an ONNX model that can be folded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnfuse.errors import BnfuseError, LoadError
from bnfuse.loading.arguments import several
from bnfuse.loading.consent.agreement import parse_allow, refuse_forbidden, unfamiliar_calls
from bnfuse.loading.inspection import Inspection, inspect_file
from bnfuse.loading.kinds import FileKind
from bnfuse.loading.payload import all_payloads, chosen_payloads
from bnfuse.packages import require
from bnfuse.wording import command, few, first_line, listed, printable

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    import onnx_ir as ir
    from torch import nn

    from bnfuse.examples.inputs import ExampleInputs

__all__ = ["LoadedModel", "load", "load_weights"]

_REMEDIES = {
    FileKind.TENSOR: "Give the file that holds the whole model or its state_dict.",
    FileKind.DATA: "Give the file that holds the whole model or its state_dict.",
    FileKind.ARCHIVE: "Unpack it, and give the model file that is in it.",
    FileKind.TEXT: "Give the file that torch.save wrote, not the program that wrote it.",
    FileKind.EMPTY: "Save or download it again.",
    FileKind.UNKNOWN: "Give a file of torch.save, torch.jit.save, torch.export.save, safetensors "
    "or ONNX.",
}
_MODEL_FILES = (".pt", ".pth", ".ckpt", ".bin", ".safetensors", ".onnx", ".pt2")


@dataclass(frozen=True)
class LoadedModel:
    """A model that was loaded from a file.

    Attributes:
        path: The file.
        kind: What it is.
        module: On the CPU, in eval mode, wrappers taken off; None for an ONNX file.
        model: The ONNX model; None for everything else.
        inputs: Example inputs that the module accepts; None for an ONNX file.
        notes: What is worth knowing about how it was read, a phrase each.
    """

    path: Path
    kind: FileKind
    module: nn.Module | None
    model: ir.Model | None
    inputs: ExampleInputs | None
    notes: tuple[str, ...] = ()


def load(
    path: str | os.PathLike[str],
    *,
    model: str | None = None,
    allow: Sequence[str] = (),
    trust: bool = False,
    input_shapes: Sequence[str] = (),
    dtype: str | None = None,
    weights: str | None = None,
) -> LoadedModel:
    """Load a model file of any kind, running no code that was not agreed to.

    An ONNX file is read without importing torch.

    Args:
        path: The file.
        model: ``package.module:factory`` that builds the architecture, for weights alone.
        allow: Classes that a pickled module may import, ``mod.Class`` or ``saved.Name=mod.Class``.
        trust: Whether code may run: that in the file, where it cannot be kept from running, and
            that of a named module which does more than define things when it is imported.
        input_shapes: Example shapes as ``--input-shape`` takes them; empty to infer them.
        dtype: Of the example inputs; None for the module's own.
        weights: Which of several models in a checkpoint: a key of it, or a word of one, as in
            ``ema``; None for the first of the usual keys.

    Raises:
        UnsafeFileError: Reading the file would run code that nobody agreed to run.
        LoadError: The file is no model, is damaged, or does not fit ``model``.
        InputShapeError: No example input is known that the module accepts.
        UsageError: An argument is not of the form that it has.
    """
    allowed = parse_allow(several(allow))
    input_shapes = several(input_shapes)
    inspection = inspect_file(path)
    try:
        loaded = _load(_chosen(inspection, weights), model, allowed, trust, input_shapes, dtype)
        return replace(loaded, notes=tuple(map(printable, loaded.notes)))
    except BnfuseError as error:
        error.args = (printable(str(error.args[0])),)
        error.remedy = printable(error.remedy)
        raise
    except (Exception, MemoryError) as error:
        # The last line of defence: whatever a hostile file made a library raise.
        raise LoadError(
            printable(
                f"{inspection.path} cannot be loaded: {type(error).__name__}: {first_line(error)}."
            ),
            "Save it again with this version of torch.",
        ) from error


def load_weights(
    weights: Mapping[str, Any],
    model: str | None,
    trust: bool | None = False,
    input_shapes: Sequence[str] | None = (),
    dtype: str | None = None,
) -> LoadedModel:
    """Load a state_dict that is in memory; the arguments are those of :func:`load`.

    Raises:
        LoadError: It does not fit ``model``, or there is none.
        InputShapeError: No example input is known that the module accepts.
    """
    from bnfuse.examples.inputs import example_inputs
    from bnfuse.loading.prepare import prepare
    from bnfuse.loading.weights import fill_module

    if model is None:
        raise LoadError(
            f"A state_dict holds {len(weights)} tensors and no architecture.",
            'Give the module with these weights in it, or model="package.module:factory".',
        )
    named = Path("the state_dict")
    module, notes = fill_module(named, weights, model, bool(trust))
    module, prepared = prepare(module)
    inputs = example_inputs(module, several(input_shapes or ()), dtype)
    return LoadedModel(named, FileKind.STATE_DICT, module, None, inputs, (*notes, *prepared))


def _load(
    inspection: Inspection,
    model: str | None,
    allowed: dict[str, str],
    trust: bool,
    input_shapes: Sequence[str],
    dtype: str | None,
) -> LoadedModel:
    path, kind = inspection.path, inspection.kind
    scans = inspection.scans
    refuse_forbidden(
        path,
        (g.dotted for scan in scans for g in scan.globals),
        [call for scan in scans for call in scan.calls],
    )
    _refuse_what_is_no_model(inspection)
    if kind is FileKind.ONNX:
        from bnfuse.onnxfiles.read import read_onnx

        return LoadedModel(path, kind, None, read_onnx(path), None, _unused(model, allowed))
    if inspection.archive is not None:
        inspection.archive.verify()
    require(f"{path} is {kind.description}: reading it", "torch")
    module, inputs, notes = _read_module(inspection, model, allowed, trust)
    from bnfuse.examples.inputs import example_inputs
    from bnfuse.loading.prepare import prepare

    module, prepared = prepare(module)
    if inputs is None or input_shapes or dtype:
        inputs = example_inputs(module, input_shapes, dtype)
    return LoadedModel(path, kind, module, None, inputs, (*notes, *prepared))


def _chosen(inspection: Inspection, wanted: str | None) -> Inspection:
    """The inspection with the model that ``--weights`` names as its payload."""
    kind, scans = inspection.kind, inspection.scans
    if wanted is None or not (scans or kind.is_model):
        return inspection
    if not scans:
        raise LoadError(
            f"{inspection.path} is {kind.description}: it holds one model.", "Leave --weights out."
        )
    found = all_payloads(inspection.saved.root)
    chosen = chosen_payloads(found, wanted)
    names = [".".join(payload.path) for payload in chosen or found if payload.path]
    if len(chosen) != 1:
        what = f"has {len(chosen)} models" if chosen else "has no model"
        raise LoadError(
            f"{inspection.path} {what} called {wanted!r}.",
            f"It has {listed(names)}: name one of them." if names else "Leave --weights out.",
        )
    others = tuple(".".join(p.path) for p in found if p is not chosen[0])
    if kind is FileKind.DATA:
        kind = FileKind.LEGACY_CHECKPOINT if inspection.is_legacy else FileKind.CHECKPOINT
    return replace(inspection, kind=kind, payload=replace(chosen[0], others=others))


def _read_module(
    inspection: Inspection, model: str | None, allowed: dict[str, str], trust: bool
) -> tuple[nn.Module, ExampleInputs | None, tuple[str, ...]]:
    from bnfuse.loading.hugging_face import read_hugging_face_folder
    from bnfuse.loading.programs import read_exported_program, read_torchscript
    from bnfuse.loading.torchfile import needs_trust, read_saved
    from bnfuse.loading.weights import fill_module, read_safetensors

    path, kind, archive = inspection.path, inspection.kind, inspection.archive
    unused = _unused(model, {})
    if kind is FileKind.HUGGING_FACE:
        module, notes = read_hugging_face_folder(path)
        return module, None, (*notes, *unused)
    if kind is FileKind.SAFETENSORS:
        module, notes = fill_module(path, read_safetensors(path), model, trust)
        return module, None, notes
    if kind in _PROGRAMS and archive is not None:
        if not trust:
            raise needs_trust(path, kind, _PROGRAMS[kind])
        if kind is FileKind.TORCHSCRIPT:
            return read_torchscript(path, archive), None, unused
        module, inputs = read_exported_program(path, archive)
        return module, inputs, unused
    if kind is FileKind.LEGACY_TAR:
        raise LoadError(
            f"{path} is {kind.description}, which is not read.",
            "Load it with torch.load and save it again with torch.save.",
        )
    payload = inspection.payload
    if payload is None:
        raise LoadError(f"{path} is {kind.description}, and no model was found in it.")
    saved, notes = read_saved(inspection, allowed, trust)
    if payload.path and kind in _HOLDERS:
        notes = (_where(payload.path, payload.others), *notes)
    if payload.is_module:
        return _as_module(path, saved), None, (*notes, *unused)
    if not isinstance(saved, dict):
        raise LoadError(f"{path} does not hold the weights that its pickle promised.")
    module, fitted = fill_module(path, saved, model, trust)
    return module, None, (*notes, *fitted)


_HOLDERS = (FileKind.CHECKPOINT, FileKind.LEGACY_CHECKPOINT, FileKind.PICKLE)
_PROGRAMS = {
    FileKind.TORCHSCRIPT: "TorchScript is a program",
    FileKind.EXPORTED_PROGRAM: "torch.export.load falls back to unrestricted unpickling",
}


def _as_module(path: Path, saved: object) -> nn.Module:
    from torch import nn

    if not isinstance(saved, nn.Module):
        raise LoadError(f"{path} holds a {type(saved).__name__}, not an nn.Module.")
    return saved


def _where(steps: tuple[str, ...], others: tuple[str, ...]) -> str:
    note = "the model is under " + ".".join(repr(step) for step in steps)
    if not others:
        return note
    return f"{note}; it also has {few([repr(key) for key in others])}: --weights chooses"


def _unused(model: str | None, allowed: dict[str, str]) -> tuple[str, ...]:
    notes = []
    if model is not None:
        notes.append("--model is not needed: the file has an architecture")
    if allowed:
        notes.append("--allow is not needed: the file imports nothing")
    return tuple(notes)


def _refuse_what_is_no_model(inspection: Inspection) -> None:
    kind, path = inspection.kind, inspection.path
    if inspection.error is not None:
        raise inspection.error
    if kind is FileKind.FOLDER:
        inside = sorted(p.name for p in path.iterdir() if p.suffix in _MODEL_FILES)[:4]
        raise LoadError(
            f"{path} is a folder, not a file.",
            f"Give a file in it: {', '.join(str(path / name) for name in inside)}."
            if inside
            else "Give the path of a model file.",
        )
    models = all_payloads(inspection.saved.root) if kind is FileKind.DATA else []
    if len(models) > 1:
        names = [".".join(payload.path) for payload in models]
        raise LoadError(
            f"{path} holds several models and none under a usual key: {few(names)}.",
            f"Choose one: {command(path, '--weights', names[0])}",
        )
    if not kind.is_model:
        what = inspection.detail or kind.description
        calls = unfamiliar_calls(call for scan in inspection.scans for call in scan.calls)
        if calls:
            what += f", and would call {few(calls)} when it is unpickled: nothing of it was run"
        remedy = _REMEDIES.get(kind, "")
        if kind is FileKind.TEXT and inspection.detail:
            # The detail says itself what to do.
            remedy = ""
        elif kind is FileKind.TEXT and path.suffix == ".onnx":
            remedy = "Give the binary file that an exporter wrote."
        raise LoadError(f"{path} is {what}.", remedy)
