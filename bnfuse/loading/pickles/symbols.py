"""What a pickle holds, by name: symbols in the place of the objects that it would make."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "Call",
    "Global",
    "MalformedPickleError",
    "Pairs",
    "Sequence",
    "Storage",
    "Tuple",
    "values_below",
]


class MalformedPickleError(ValueError):
    """The bytes are not a pickle, or one that is only made to exhaust its reader."""


@dataclass(frozen=True)
class Global:
    """A class or function that the pickle names."""

    module: str
    name: str

    @property
    def dotted(self) -> str:
        """As ``module.name``."""
        return f"{self.module}.{self.name}"


@dataclass(eq=False)
class Tuple:
    """A tuple; ``weight`` counts the values that hashing or printing it would visit."""

    items: list[Any]
    depth: int = 1
    weight: int = 1


@dataclass(eq=False)
class Sequence:
    """A list or a set."""

    items: list[Any] = field(default_factory=list)


@dataclass(eq=False)
class Pairs:
    """A dict."""

    pairs: list[tuple[Any, Any]] = field(default_factory=list)


@dataclass(eq=False)
class Storage:
    """A persistent id: a tensor's memory, kept outside the pickle."""

    items: list[Any]


@dataclass(eq=False)
class Call:
    """An object that the pickle would make by calling or instantiating something.

    Attributes:
        maker: What is called; None if it is a value that the pickle computed.
        opcode: How: ``REDUCE``, ``NEWOBJ``, ``BUILD``, …
        args: The positional arguments.
        state: What ``BUILD`` sets on it afterwards, or None.
        pairs: Items that are set on it afterwards.
        items: Items that are appended to it afterwards.
    """

    maker: Global | None
    opcode: str
    args: list[Any]
    state: Any = None
    pairs: list[tuple[Any, Any]] = field(default_factory=list)
    items: list[Any] = field(default_factory=list)


def values_below(root: Any) -> Iterator[Any]:
    """Every value that ``root`` holds, itself included, each container once."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        if isinstance(value, Tuple | Sequence | Pairs | Storage | Call):
            seen.add(id(value))
        yield value
        waiting.extend(_parts(value))


def _parts(value: Any) -> Iterator[Any]:
    match value:
        case Tuple() | Sequence() | Storage():
            yield from value.items
        case Pairs():
            yield from _flat(value.pairs)
        case Call():
            yield value.maker
            yield from value.args
            yield value.state
            yield from _flat(value.pairs)
            yield from value.items


def _flat(pairs: list[tuple[Any, Any]]) -> Iterator[Any]:
    for pair in pairs:
        yield from pair
