"""One model file, looked at as far as it can be without agreeing to anything for its reader.

What a file is and what it wants to import shows in its bytes. The plan of a fold needs the graph:
an ONNX file is one, anything else is loaded and exported for it, under the same rules and by the
same options as for ``bnfuse fold``.
"""

from __future__ import annotations

__all__ = ["Import", "Inspected", "inspect"]

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bnfuse.errors import BnfuseError, UnsafeFileError, UsageError
from bnfuse.examples import parse_input_shape
from bnfuse.fingerprint import fingerprints
from bnfuse.inspecting.facts import Facts, facts_of
from bnfuse.loading import FileKind, Inspection, LoadOptions, inspect_file
from bnfuse.loading.architecture import architecture_of
from bnfuse.loading.consent.agreement import refuse_forbidden, unfamiliar_calls
from bnfuse.loading.consent.denied import Standing, judge
from bnfuse.onnxfiles.provenance import is_made_from
from bnfuse.pipeline.entry import SourceOptions, enter
from bnfuse.pipeline.planning import planned
from bnfuse.progress import Silent

if TYPE_CHECKING:
    import onnx_ir as ir

    from bnfuse.fingerprint import Fingerprint
    from bnfuse.loading.architecture import Part
    from bnfuse.loading.pickles.symbols import Call
    from bnfuse.progress import Progress
    from bnfuse.reporting import Report


@dataclass(frozen=True)
class Import:
    """Something that a pickle names.

    Attributes:
        name: Its dotted name.
        verdict: What may be done about it.
        needed: Whether the model in the file is made with it.
    """

    name: str
    verdict: str
    needed: bool


@dataclass(frozen=True, eq=False)
class Inspected:
    """What inspecting one file showed.

    Attributes:
        path: The file.
        kind: What it is.
        files: It and its external data, by their SHA-256.
        imports: What a pickle in it wants to import, in the order of the file.
        calls: What a pickle in it would call that is not known to be harmless.
        architecture: Its modules, where they show without loading it.
        model: The graph as it is before a fold, its own or its export's.
        facts: Of that graph.
        after: Of the graph that a fold would make.
        report: What a fold would do.
        sealed: For a file that bnfuse wrote: whether it is as bnfuse wrote it.
        blocked: Why there is no plan, with the option that would let there be one.
        is_hostile: Whether it wants what no model needs, so that no option lets it be loaded.
    """

    path: Path
    kind: FileKind
    files: tuple[Fingerprint, ...] = ()
    imports: tuple[Import, ...] = ()
    calls: tuple[str, ...] = ()
    architecture: Part | None = None
    model: ir.Model | None = None
    facts: Facts | None = None
    after: Facts | None = None
    report: Report | None = None
    sealed: bool | None = None
    blocked: BnfuseError | None = None
    is_hostile: bool = False

    @property
    def bytes(self) -> int:
        """Its size on disk, external data included."""
        return sum(file.bytes for file in self.files)

    def to_json(self) -> dict[str, Any]:
        """Plain data, as docs/json.md has it."""
        parts = [] if self.architecture is None else list(self.architecture.walk())
        error = self.blocked
        return {
            "path": str(self.path),
            "kind": self.kind.value,
            "files": [asdict(file) for file in self.files],
            "bytes": self.bytes,
            "imports": [asdict(item) for item in self.imports],
            "calls": list(self.calls),
            "modules": [
                {
                    "path": path,
                    "class": part.kind,
                    "norm": part.is_norm,
                    "normaliser": part.is_normaliser,
                    "elements": part.elements,
                }
                for path, part in parts
            ],
            "graph": None if self.facts is None else self.facts.to_json(),
            "sealed": self.sealed,
            "plan": None if self.report is None else self._plan_json(self.report),
            "blocked": None
            if error is None
            else {"message": str(error.args[0]), "hint": error.remedy},
        }

    def _plan_json(self, report: Report) -> dict[str, Any]:
        keys = ("norms", "affines", "merges", "unmerged", "folds", "ops", "bytes", "notes")
        told = report.to_json()
        after = {} if self.after is None else self.after.to_json()
        graph = {key: after[key] for key in ("nodes", "ops", "parameters", "macs") if after}
        return {**{key: told[key] for key in keys}, "graph": graph}


def inspect(
    path: Path, options: LoadOptions | None = None, *, progress: Progress | None = None
) -> Inspected:
    """Look at a file, and plan its fold where that can be done.

    Args:
        path: The file.
        options: How it may be loaded. For an ONNX file the input shapes say for which sizes
            MACs are counted.
        progress: Hears of each stage.

    Raises:
        LoadError: It is no model, or is damaged.
        UsageError: An argument is not of the form that it has.
    """
    look = inspect_file(path)
    seen = _seen(look)
    calls = [call for scan in look.scans for call in scan.calls]
    try:
        refuse_forbidden(path, (item.name for item in seen.imports), calls)
    except UnsafeFileError as error:
        return _blocked(seen, error, is_hostile=True)
    is_onnx = look.kind is FileKind.ONNX
    options = options or LoadOptions()
    shapes = [parse_input_shape(text) for text in options.input_shapes]
    wanted = SourceOptions(loading=replace(options, input_shapes=()) if is_onnx else options)
    progress = progress or Silent()
    try:
        entry = enter(path, wanted, progress)
    except UsageError:
        raise
    except BnfuseError as error:
        if not look.kind.is_model or is_onnx:
            raise
        # The options that it offers are this command's too.
        error.remedy = error.remedy.replace("bnfuse fold", "bnfuse inspect")
        return _blocked(seen, error)
    seen = replace(seen, files=entry.files)
    facts = facts_of(entry.model, shapes if is_onnx else ())
    model = entry.model.clone()
    try:
        inner = planned(entry, progress)
    except BnfuseError as error:
        return replace(seen, model=model, facts=facts, blocked=error)
    return replace(
        seen,
        model=model,
        facts=facts,
        after=facts_of(inner.lowered.model, shapes if is_onnx else ()),
        report=inner.report,
        sealed=_sealed(path, facts) if is_onnx else None,
    )


def _seen(look: Inspection) -> Inspected:
    """What shows without loading."""
    seen = Inspected(look.path, look.kind)
    if look.scans:
        payload = look.payload
        needed = {item.dotted for item in payload.globals()} if payload else set()
        names = dict.fromkeys(item.dotted for scan in look.scans for item in scan.globals)
        imports = (Import(name, judge(name).value, name in needed) for name in names)
        calls = (call for scan in look.scans for call in scan.calls if not _makes_object(call))
        unfamiliar = dict.fromkeys(unfamiliar_calls(calls))
        seen = replace(seen, imports=tuple(imports), calls=tuple(unfamiliar))
    return replace(seen, architecture=architecture_of(look))


def _blocked(seen: Inspected, error: BnfuseError, is_hostile: bool = False) -> Inspected:
    """What shows of a file that is not loaded."""
    files = fingerprints(seen.path) if seen.kind.is_model else ()
    return replace(seen, files=files, blocked=error, is_hostile=is_hostile)


def _makes_object(call: Call) -> bool:
    """Whether a call makes an object of a class that is among the imports, and no more."""
    return (
        call.opcode == "NEWOBJ"
        and not call.args
        and call.maker is not None
        and judge(call.maker.dotted) in (Standing.HARMLESS, Standing.ASK)
    )


def _sealed(path: Path, facts: Facts) -> bool | None:
    source = facts.metadata.get("bnfuse.source")
    return None if source is None else is_made_from(path, source)
