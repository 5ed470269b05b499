"""Which imports of a file are agreed to: known harmless ones, and those that ``--allow`` names."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bnfuse.errors import UnsafeFileError, UsageError
from bnfuse.loading.consent.denied import Verdict, judge, makes_data
from bnfuse.loading.consent.known import CALLABLE, TENSOR_MAKERS
from bnfuse.loading.pickles.symbols import Global
from bnfuse.wording import command, few, listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from bnfuse.loading.inspection import Inspection
    from bnfuse.loading.pickles.symbols import Call

__all__ = [
    "Agreed",
    "agree",
    "parse_allow",
    "refuse_forbidden",
    "refuse_to_allow",
    "trust_needed",
    "unfamiliar_calls",
]

_OPCODES_OF_PROTOCOL_2 = """
    PROTO STOP GLOBAL NEWOBJ REDUCE BUILD APPEND APPENDS SETITEM SETITEMS MARK TUPLE TUPLE1 TUPLE2
    TUPLE3 NONE NEWTRUE NEWFALSE EMPTY_TUPLE EMPTY_LIST EMPTY_DICT EMPTY_SET BININT BININT1 BININT2
    BINFLOAT BINUNICODE SHORT_BINSTRING BINPERSID BINGET LONG_BINGET BINPUT LONG_BINPUT LONG1
"""
_READABLE_OPCODES = frozenset(_OPCODES_OF_PROTOCOL_2.split())
"""What torch's restricted unpickler reads: pickle protocol 2, as ``torch.save`` writes."""


_MANY = 2
"""Classes to allow one by one before their package is offered as a whole."""
_LONGEST = 60
"""Characters shown of a call's arguments."""

_TENSOR_TYPES = frozenset({"torch.Tensor", "torch.nn.parameter.Parameter"})
_TENSORS = _TENSOR_TYPES | TENSOR_MAKERS
_FROM_TYPE = "torch._tensor._rebuild_from_type_v2"
_STATELESS = frozenset({"Storage", "Tuple", "Sequence", "Global", "str", "int"})


@dataclass(frozen=True)
class Agreed:
    """What a file may import.

    Attributes:
        real: Each name of the file that is imported, and the name that it stands for.
        inert: Names that the model in the file does not need: nothing of them is imported.
        by_package: Those of ``real`` that only ``package.*`` allows: they must be module classes.
    """

    real: dict[str, str]
    inert: tuple[str, ...]
    by_package: tuple[str, ...] = ()


def parse_allow(allow: Sequence[str]) -> dict[str, str]:
    """``mod.Class`` and ``__main__.Class=mod.Class`` as a mapping, the file's name to the real one.

    ``package.*`` stands for the module classes of a package, and for itself in the mapping.

    Raises:
        UsageError: One is not a dotted name.
        UnsafeFileError: One is a way to run other code.
    """
    names: dict[str, str] = {}
    for option in allow:
        saved, _, real = option.partition("=")
        saved, real = saved.strip(), (real or saved).strip()
        package = saved.removesuffix(".*")
        if package != saved and package.isidentifier() and real == saved:
            refuse_to_allow(f"{package}.Module")
            names[saved] = saved
            continue
        if not (_is_dotted(saved) and _is_dotted(real)) or ".py." in real:
            form = "package.module.Class, or --allow saved.Name=package.module.Class"
            meant = option.replace(".py:", ".").replace(".py.", ".").replace(":", ".")
            raise UsageError(
                f"--allow {option!r} is not the dotted name of a class.",
                f"Write --allow {meant if meant != option else form}.",
            )
        for name in (saved, real):
            refuse_to_allow(name)
        names[saved] = real
    return names


def refuse_to_allow(name: str) -> None:
    """Raise if ``--allow`` does not take a name.

    Raises:
        UnsafeFileError: It does not.
    """
    verdict = judge(name)
    if verdict in (Verdict.REFUSED, Verdict.FORBIDDEN):
        raise UnsafeFileError(f"--allow does not take {name}: it can run or import other code.")


def refuse_forbidden(path: Path, names: Iterable[str], calls: Iterable[Call] = ()) -> None:
    """Refuse a file that wants something that no model needs, whatever flags are given.

    Args:
        path: The file.
        names: What it wants to import.
        calls: What it would call when it is read without restriction.

    Raises:
        UnsafeFileError: It names what it wants.
    """
    hostile = sorted({name for name in names if judge(name) is Verdict.FORBIDDEN})
    if hostile:
        run = [call for call in calls if call.maker and call.maker.dotted in hostile]
        wants = f"would call {few([_written(call) for call in run])} when it is unpickled"
        raise UnsafeFileError(
            f"{path} {wants if run else f'wants to import {listed(hostile)}'}, which no model "
            "needs: the file is hostile or not a model. Nothing of it was run.",
            "Do not load it, with torch.load or pickle either; no option allows it.",
        )


def unfamiliar_calls(calls: Iterable[Call]) -> list[str]:
    """What a file would call that is not known to be harmless, as a person would write it."""
    return [
        _written(call)
        for call in calls
        if call.maker is None
        or not (judge(call.maker.dotted) is Verdict.HARMLESS or makes_data(call.maker.dotted))
    ]


def _written(call: Call) -> str:
    name = call.maker.dotted if call.maker else "a value that it computed"
    args = [repr(arg) if isinstance(arg, str | bytes | int) else "…" for arg in call.args]
    text = ", ".join(args)
    return f"{name}({text if len(text) <= _LONGEST else text[:_LONGEST] + '…'})"


def trust_needed(inspection: Inspection) -> str | None:
    """Why the pickle in a file cannot be read under restriction at all, or None."""
    scan = inspection.saved
    if inspection.is_legacy and inspection.payload and inspection.payload.is_module:
        return "a module in the legacy format keeps source code beside its classes"
    unreadable = sorted(scan.opcodes - _READABLE_OPCODES)
    if unreadable:
        return f"it uses a pickle protocol ({unreadable[0]}) that cannot be read under restriction"
    if "torch.fx.graph_module.reduce_graph_module" in {g.dotted for g in scan.globals}:
        return "it is an fx GraphModule, which carries its own Python code"
    return None


def agree(inspection: Inspection, allowed: dict[str, str]) -> Agreed:
    """Decide over every import and every call of a file's pickle.

    Names that the model in it does not reach (an optimiser, arguments, a compiler's state) are not
    imported: they load as inert objects.

    Args:
        inspection: Of a file with a payload.
        allowed: From :func:`parse_allow`.

    Raises:
        UnsafeFileError: The model needs what is neither harmless nor allowed, or calls something
            that is not there to be called; the message lists all of it and the remedy allows it.
    """
    scan, payload = inspection.saved, inspection.payload
    if any(other.globals for other in inspection.scans if other is not scan):
        raise UnsafeFileError(f"{inspection.path} imports something outside its saved object.")
    needed = {g.dotted for g in payload.globals()} if payload else set()
    real: dict[str, str] = {}
    inert: list[str] = []
    unknown: list[str] = []
    by_package: list[str] = []
    for name in (g.dotted for g in scan.globals):
        if name in allowed:
            real[name] = allowed[name]
        elif judge(name) is Verdict.HARMLESS:
            real[name] = name
        elif name in needed and _package_of(name) in allowed and judge(name) is Verdict.ASK:
            real[name] = name
            by_package.append(name)
        elif name in needed:
            unknown.append(name)
        else:
            inert.append(name)
    if unknown:
        raise _unknown_error(inspection.path, unknown, allowed)
    _check_calls(inspection.path, scan.calls, scan.builds, real, allowed)
    return Agreed(real, tuple(inert), tuple(by_package))


def _check_calls(
    path: Path,
    calls: Iterable[Call],
    builds: Iterable[str],
    real: dict[str, str],
    allowed: dict[str, str],
) -> None:
    for call in calls:
        name = call.maker.dotted if call.maker else None
        if name is None:
            raise UnsafeFileError(f"{path} calls a value that it computed, as no saved model does.")
        if name in _TENSORS and call.state is not None:
            raise UnsafeFileError(f"{path} replaces a tensor's memory, as no saved model does.")
        if name == _FROM_TYPE and not _keeps_to_tensors(call, allowed):
            raise UnsafeFileError(f"{path} makes a tensor in a way that no saved model does.")
        if name not in real or name in allowed or name in CALLABLE:
            continue
        if call.opcode != "NEWOBJ" or call.args:
            raise UnsafeFileError(
                f"{path} calls {name} with arguments of its own, as no saved module does."
            )
    if not _STATELESS.isdisjoint(builds):
        raise UnsafeFileError(f"{path} sets the state of something that has none.")


def _keeps_to_tensors(call: Call, allowed: dict[str, str]) -> bool:
    names = [arg.dotted if isinstance(arg, Global) else "" for arg in call.args[:2]]
    return (
        len(names) == 2
        and names[0] in TENSOR_MAKERS - {_FROM_TYPE}
        and (names[1] in _TENSOR_TYPES or names[1] in allowed)
    )


def _unknown_error(path: Path, unknown: list[str], allowed: dict[str, str]) -> UnsafeFileError:
    refused = [name for name in unknown if judge(name) is Verdict.REFUSED]
    if refused:
        return UnsafeFileError(
            f"{path} wants to import {listed(refused)}, which can run or import other code, so "
            "--allow does not take it.",
            f"Only if you trust whoever made the file: {command(path, '--trust')}",
        )
    wanted = [*allowed.items(), *((name, _guess(name)) for name in unknown)]
    options = [part for names in wanted for part in ("--allow", _option(*names))]
    main = [name for name in unknown if name.startswith("__main__.")]
    why = f"{path} wants to import {listed(unknown)}, not known to be harmless."
    if main:
        were, them = ("was", "it") if len(main) == 1 else ("were", "them")
        why = (
            f"{path} wants to import {listed(unknown)}, not known to be harmless; "
            f"{listed(main)} {were} saved from a script or a notebook, so the file does not say "
            f"which module has {them}."
        )
    remedy = f"If you trust that code, allow it: {command(path, *options)}"
    roots = {_package_of(name) for name in unknown}
    if len(unknown) > _MANY and not main and len(roots) == 1:
        remedy += f" (or all module classes of that package: --allow {shlex.quote(roots.pop())})"
    if main:
        remedy += " (with the module that defines it in the place of MODULE)"
    return UnsafeFileError(why, remedy)


def _package_of(name: str) -> str:
    return f"{name.partition('.')[0]}.*"


def _guess(name: str) -> str:
    return name.replace("__main__.", "MODULE.", 1) if name.startswith("__main__.") else name


def _option(saved: str, real: str) -> str:
    return saved if saved == real else f"{saved}={real}"


def _is_dotted(name: str) -> bool:
    parts = name.split(".")
    return len(parts) > 1 and all(part.isidentifier() for part in parts)
