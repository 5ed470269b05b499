"""TorchScript and ``torch.export`` archives: programs, so loaded only where they are trusted."""

from __future__ import annotations

import io
import logging
import warnings
import zipfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bnfuse.errors import BnfuseError, LoadError
from bnfuse.examples.inputs import ExampleInputs
from bnfuse.loading.archive import DamagedFileError
from bnfuse.loading.consent.agreement import refuse_forbidden
from bnfuse.loading.inspection import MAX_PICKLE_BYTES
from bnfuse.loading.pickles.scan import scan
from bnfuse.loading.pickles.symbols import MalformedPickleError
from bnfuse.wording import first_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from torch import nn
    from torch.export import ExportedProgram

    from bnfuse.loading.archive import Archive

__all__ = ["nested_imports", "read_exported_program", "read_torchscript", "saved_inputs"]

_MAX_NESTING = 3
_PICKLE_HEADS = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))


def nested_imports(archive: Archive) -> set[str]:
    """Names that the pickles in an archive would import, those in archives inside it included.

    It helps to name a hostile file; a file that it misses is still not loaded without trust.
    """
    found: set[str] = set()
    with zipfile.ZipFile(archive.path) as opened:
        _collect(opened, found, _MAX_NESTING)
    return found


def _collect(opened: zipfile.ZipFile, found: set[str], depth: int) -> None:
    for info in opened.infolist():
        if info.is_dir() or info.file_size > MAX_PICKLE_BYTES:
            continue
        with opened.open(info) as entry:
            head = entry.read(2)
            named = info.filename.endswith((".pkl", ".pt"))
            if not named and head != b"PK" and head not in _PICKLE_HEADS:
                continue
            data = head + entry.read()
        try:
            if head != b"PK":
                found.update(name.dotted for name in scan(io.BytesIO(data)).globals)
            elif depth:
                with zipfile.ZipFile(io.BytesIO(data)) as inner:
                    _collect(inner, found, depth - 1)
        except (MalformedPickleError, zipfile.BadZipFile):
            continue


def read_torchscript(path: Path, archive: Archive) -> nn.Module:
    """Load a TorchScript archive on the CPU.

    Raises:
        UnsafeFileError: A pickle in it wants what no model needs.
        LoadError: It cannot be read.
    """
    import torch

    refuse_forbidden(path, nested_imports(archive))
    with _reading(path, "TorchScript"):
        load: Callable[..., nn.Module] = torch.jit.load
        return load(str(path), map_location="cpu")


def read_exported_program(path: Path, archive: Archive) -> tuple[nn.Module, ExampleInputs | None]:
    """Load a ``.pt2`` archive, with the example inputs and dynamic dimensions it was saved with.

    Raises:
        UnsafeFileError: A pickle in it wants what no model needs.
        LoadError: It cannot be read, or holds compiled code alone.
    """
    import torch

    refuse_forbidden(path, nested_imports(archive))
    compiled = any(name.startswith("data/aotinductor/") for name in archive.entries)
    if compiled and not any(name.startswith("models/") for name in archive.entries):
        raise LoadError(
            f"{path} holds code that AOTInductor compiled, not a graph that could be folded.",
            "Export it again with torch.export.save.",
        )
    with _reading(path, "torch.export"), path.open("rb") as file:
        program = torch.export.load(file)
        return program.module(), saved_inputs(program)


def saved_inputs(program: ExportedProgram) -> ExampleInputs | None:
    """The example inputs and dynamic dimensions that a program was exported with, or None."""
    import torch

    example = program.example_inputs
    if example is None or example[1] or not all(torch.is_tensor(arg) for arg in example[0]):
        return None
    names = tuple(program.graph_signature.user_inputs)
    shapes = {
        node.name: node.meta["val"].shape
        for node in program.graph.nodes
        if node.op == "placeholder" and torch.is_tensor(node.meta.get("val"))
    }
    if len(names) != len(example[0]) or not all(name in shapes for name in names):
        return None
    symbols: dict[str, str] = {}
    dynamic = []
    for name in names:
        axes = {}
        for axis, size in enumerate(shapes[name]):
            if not isinstance(size, int):
                fallback = "N" if axis == 0 and not symbols else f"d{len(symbols)}"
                axes[axis] = symbols.setdefault(str(size), fallback)
        dynamic.append(axes)
    return ExampleInputs(
        tuple(example[0]), tuple(map(str, names)), tuple(dynamic), "saved in the exported program"
    )


@contextmanager
def _reading(path: Path, what: str) -> Iterator[None]:
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except BnfuseError:
        raise
    except (Exception, MemoryError) as error:
        raise DamagedFileError(
            f"{path} cannot be read as {what}: {type(error).__name__}: {first_line(error)}.",
            "Save it again with this version of torch.",
        ) from error
    finally:
        logging.disable(level)
