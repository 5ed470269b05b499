"""The architecture in a file, as far as it shows without anything being run or imported.

A pickled module names its classes and holds its parts in ``_modules``, ``_parameters`` and
``_buffers``; weights alone have dotted names, which say as much but for the classes.
"""

from __future__ import annotations

__all__ = ["Part", "architecture_of"]

import json
import re
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

from bnfuse.loading.inspection import inspect_file
from bnfuse.loading.kinds import FileKind
from bnfuse.loading.payload import is_tensor, pairs_of
from bnfuse.loading.pickles.claimed_sizes import shape_of
from bnfuse.loading.pickles.symbols import Call, ListSymbol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from bnfuse.loading.inspection import Inspection

_MOST_PARTS = 100_000
"""More parts than any model has: a file may be made to have one part by many names."""
_DEEPEST = 60
_NORMALISER = re.compile(r"(Layer|RMS|Group|Instance)Norm")
_MEANS = {"mean", "running_mean", "moving_mean", "mu"}
_DEVIATIONS = {"var", "std", "running_var", "moving_var", "variance", "sigma", "running_std"}


@dataclass
class Part:
    """A module of the architecture.

    Attributes:
        name: What its parent calls it; empty for the whole.
        kind: Its class, as the file names it; empty where the file names none.
        tensors: The shape of each parameter and buffer that it holds itself; ``None`` for one whose
            shape does not show.
        parts: The modules in it.
        shared: Whether it stands in another place too, where its parts are told.
    """

    name: str
    kind: str = ""
    tensors: dict[str, tuple[int, ...] | None] = field(default_factory=dict)
    parts: list[Part] = field(default_factory=list)
    shared: bool = False

    @property
    def is_normaliser(self) -> bool:
        """Whether it is of a class that takes its statistics from its input, by its name."""
        return _NORMALISER.search(self.kind.rpartition(".")[2]) is not None

    @property
    def is_norm(self) -> bool:
        """Whether it holds a mean and a deviation, as batch norm does however it is written."""
        return (
            not self.is_normaliser
            and not _MEANS.isdisjoint(self.tensors)
            and not _DEVIATIONS.isdisjoint(self.tensors)
        )

    @property
    def elements(self) -> int:
        """Numbers in its own tensors."""
        return sum(prod(shape) for shape in self.tensors.values() if shape is not None)

    def walk(self, path: str = "") -> Iterator[tuple[str, Part]]:
        """It and every part below it, each with its dotted path."""
        yield path, self
        for part in self.parts:
            yield from part.walk(f"{path}.{part.name}" if path else part.name)


def architecture_of(inspection: Inspection) -> Part | None:
    """The architecture of a file that was looked at; ``None`` where none shows."""
    if inspection.kind is FileKind.SAFETENSORS:
        return _of_names(_header(inspection.path))
    if inspection.kind is FileKind.HUGGING_FACE:
        shards = sorted(inspection.path.glob("*.safetensors"))
        return _of_names({name: shape for file in shards for name, shape in _header(file).items()})
    payload = inspection.payload
    if payload is None:
        return None
    if payload.is_module:
        return _Reader().module("", payload.value, 0)
    pairs = pairs_of(payload.value) or []
    return _of_names({key: shape_of(v) for key, v in pairs if isinstance(key, str)})


class _Reader:
    """Reads a symbolic module, every part of it once."""

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def module(self, name: str, call: Any, depth: int) -> Part:
        """The part that a symbolic value is."""
        kind = call.maker.dotted if isinstance(call, Call) and call.maker else ""
        part = Part(name, kind)
        if id(call) in self._seen:
            part.shared = True
            return part
        self._seen.add(id(call))
        state = dict(_state(call))
        for held in ("_parameters", "_buffers"):
            for key, value in _named(state.get(held)):
                if is_tensor(value):
                    part.tensors[key] = shape_of(value)
        # Statistics are kept as plain attributes too.
        for key, value in state.items():
            if is_tensor(value):
                part.tensors[key] = shape_of(value)
        for key, value in _named(state.get("_modules")):
            if isinstance(value, Call) and depth < _DEEPEST and len(self._seen) < _MOST_PARTS:
                part.parts.append(self.module(key, value, depth + 1))
        return part


def _state(call: Any) -> Iterator[tuple[str, Any]]:
    state = getattr(call, "state", None)
    first = state.items[0] if isinstance(state, ListSymbol) and state.items else state
    return _named(first)


def _named(value: Any) -> Iterator[tuple[str, Any]]:
    return ((key, item) for key, item in pairs_of(value) or () if isinstance(key, str))


def _of_names(tensors: Mapping[str, tuple[int, ...] | None]) -> Part:
    """The tree that dotted names spell."""
    whole = Part("")
    by_path: dict[tuple[str, ...], Part] = {(): whole}
    for name, shape in tensors.items():
        *path, own = name.split(".")
        part = whole
        for end in range(1, min(len(path), _DEEPEST) + 1):
            key = tuple(path[:end])
            if key not in by_path:
                by_path[key] = Part(path[end - 1])
                part.parts.append(by_path[key])
            part = by_path[key]
        part.tensors[own] = shape
    return whole


def _header(path: Path) -> dict[str, tuple[int, ...] | None]:
    """Names and shapes in a safetensors file; none where its header is damaged."""
    found: dict[str, tuple[int, ...] | None] = {}
    if inspect_file(path).kind is not FileKind.SAFETENSORS:
        return found
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    for name, entry in header.items():
        shape = entry.get("shape") if isinstance(entry, dict) else None
        sized = isinstance(shape, list) and all(type(n) is int and n >= 0 for n in shape)
        if name != "__metadata__":
            found[name] = tuple(shape) if sized and shape is not None else None
    return found
