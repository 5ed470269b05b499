"""Reading what ``torch.save`` wrote: restricted, or unrestricted where that was agreed to."""

from __future__ import annotations

import logging
import pickle
import types
import warnings
from typing import IO, TYPE_CHECKING, Any

from bnfuse.errors import BnfuseError, LoadError, UnsafeFileError
from bnfuse.loading.consent.agreement import Agreed, agree, trust_needed
from bnfuse.loading.consent.denied import Verdict, judge
from bnfuse.loading.consent.imports import import_allowed, working_directory_on_path
from bnfuse.loading.consent.known import torch_allows
from bnfuse.loading.kinds import FileKind
from bnfuse.loading.payload import COMPILED
from bnfuse.loading.pickles.machine import modern
from bnfuse.loading.pickles.stand_ins import CompiledWrapper, stand_in
from bnfuse.wording import command, few, first_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bnfuse.loading.inspection import Inspection
    from bnfuse.loading.pickles.scan import PickleScan

__all__ = ["needs_trust", "read_saved"]

_LOGGER = logging.getLogger("bnfuse")


def needs_trust(path: Path, kind: FileKind, why: str) -> UnsafeFileError:
    """The error for a file that cannot be read under restriction."""
    return UnsafeFileError(
        f"{path} is {kind.description}, and reading it can run code that is in the file: {why}.",
        f"Only if you trust whoever made it: {command(path, '--trust')}",
    )


def read_saved(
    inspection: Inspection, allowed: dict[str, str], trust: bool
) -> tuple[Any, tuple[str, ...]]:
    """Load the model or the weights that a torch file holds, on the CPU.

    Args:
        inspection: Of the file; it has a payload.
        allowed: From :func:`bnfuse.loading.consent.agreement.parse_allow`.
        trust: Whether unrestricted unpickling was agreed to, where restriction is not enough.

    Returns:
        The payload, a module or a dict of tensors, and notes about how it was read.

    Raises:
        UnsafeFileError: It wants what nobody agreed to.
        LoadError: It cannot be read.
    """
    path = inspection.path
    try:
        why = "any pickle can run code" if inspection.kind is FileKind.PICKLE else None
        why = why or trust_needed(inspection)
        if why:
            raise needs_trust(path, inspection.kind, why)
        agreed = agree(inspection, allowed)
    except UnsafeFileError:
        if not trust:
            raise
        with working_directory_on_path():
            saved = _read_trusted(path, allowed, plain=inspection.kind is FileKind.PICKLE)
        notes: tuple[str, ...] = ("read without restriction, as --trust allows",)
    else:
        saved = _read_restricted(path, agreed, inspection.saved, trust)
        notes = _notes(agreed)
    return _follow(saved, inspection), notes


def _notes(agreed: Agreed) -> tuple[str, ...]:
    if COMPILED in agreed.inert:
        return ("torch.compile taken off",)
    notes = []
    if agreed.by_package:
        notes.append(f"allowed by their package: {few(agreed.by_package)}")
    left = agreed.inert
    if left:
        more = f" and {len(left) - 3} more" if len(left) > 3 else ""
        notes.append(f"ignored {', '.join(left[:3])}{more}: the model does not need them")
    return tuple(notes)


def _read_restricted(path: Path, agreed: Agreed, saved: PickleScan, trust: bool) -> Any:
    import torch

    with working_directory_on_path():
        _import_classes(path, agreed.by_package, trust)
        pairs: list[Any] = [
            (import_allowed(real, trust), name)
            for name, real in agreed.real.items()
            if not torch_allows(name)
        ]
    for name in agreed.inert:
        made = [call for call in saved.calls if call.maker and call.maker.dotted == name]
        pairs.append((CompiledWrapper if name == COMPILED else stand_in(made), name))
    with torch.serialization.safe_globals(pairs):
        return _quietly(lambda file: torch.load(file, map_location="cpu", weights_only=True), path)


def _import_classes(path: Path, names: Sequence[str], trust: bool) -> None:
    """Import what ``--allow package.*`` lets a file name, and refuse what is no module class."""
    from torch import nn

    for package in dict.fromkeys(name.partition(".")[0] for name in names):
        _LOGGER.warning(
            "--allow %s.* lets %s import any module of %s, and run what importing it runs",
            package,
            path,
            package,
        )
    for name in names:
        found = import_allowed(name, trust)
        if not (isinstance(found, type) and issubclass(found, nn.Module)):
            package = name.partition(".")[0]
            raise UnsafeFileError(
                f"{path} wants {name}, which is no nn.Module, so --allow {package}.* does not take "
                "it.",
                f"If you trust that code, allow it by its name as well: --allow {name}",
            )


def _read_trusted(path: Path, allowed: dict[str, str], plain: bool) -> Any:
    import torch

    class Unpickler(pickle.Unpickler):
        """Renames what ``--allow OLD=NEW`` renames, and still refuses what no model needs."""

        def find_class(self, module: str, name: str, /) -> Any:
            dotted = modern(module, name).dotted
            if judge(dotted) is Verdict.FORBIDDEN:
                raise UnsafeFileError(f"{path} wants to import {dotted}, which no model needs.")
            if dotted in allowed:
                return import_allowed(allowed[dotted], trust=True)
            if dotted == "torch.storage._load_from_bytes":
                return _storage_on_cpu
            return super().find_class(module, name)

    if plain:
        return _quietly(lambda file: Unpickler(file).load(), path)
    loader = types.SimpleNamespace(
        Unpickler=Unpickler,
        load=lambda file, **options: Unpickler(file, **options).load(),
        __name__="bnfuse.loading.torchfile",
    )
    return _quietly(
        lambda file: torch.load(file, map_location="cpu", weights_only=False, pickle_module=loader),
        path,
    )


def _storage_on_cpu(data: bytes) -> Any:
    import io

    import torch

    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


def _quietly(read: Callable[[IO[bytes]], Any], path: Path) -> Any:
    """Read an open file: by its path, torch.load would go by the suffix."""
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return read(file)
    except BnfuseError:
        raise
    except ModuleNotFoundError as error:
        raise LoadError(
            f"{path} needs the module {error.name}, which is not in the working directory, on "
            "PYTHONPATH or among the installed packages.",
            "Run bnfuse in the folder that holds it, or set PYTHONPATH.",
        ) from error
    except AttributeError as error:
        raise LoadError(
            f"{path} was saved with other code than there is now: {error}.",
            "Give the class by its name of today: --allow saved.Name=module.Class",
        ) from error
    except pickle.UnpicklingError as error:
        # torch wraps the reason in advice to load without restriction.
        reason = str(error).partition("WeightsUnpickler error:")[2] or str(error)
        raise LoadError(
            f"{path} cannot be read under restriction: {first_line(Exception(reason))}.",
            f"Only if you trust whoever made it: {command(path, '--trust')}",
        ) from error
    except (Exception, MemoryError) as error:
        raise LoadError(
            f"{path} cannot be read: {type(error).__name__}: {first_line(error)}.",
            "Copy or download the file again, or save it again with this version of torch.",
        ) from error


def _follow(saved: Any, inspection: Inspection) -> Any:
    payload = inspection.payload
    if payload is None:
        return saved
    for step in payload.path:
        if step != COMPILED:
            saved = saved[step]
        elif isinstance(saved, CompiledWrapper):
            saved = saved.original
    return saved
