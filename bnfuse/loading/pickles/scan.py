"""What a pickle would do, found without doing it.

A pickle is a program for a stack machine. :func:`scan` runs that machine with every import
replaced by its name and every call by a record of the call, so it says what the file wants to
import, what it would call with which arguments, and what object would come out. Nothing is
imported, called or allocated. It explains and it refuses early; the unpickler that reads the file
for real allows nothing but what is listed to it.
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Protocol, cast

from bnfuse.loading.pickles.machine import Machine
from bnfuse.loading.pickles.symbols import MalformedPickleError

if TYPE_CHECKING:
    from bnfuse.loading.pickles.symbols import Call, Global

__all__ = ["PickleScan", "scan"]

_MAX_OPERATIONS = 1 << 24
"""More than this in one pickle is no model: a ResNet-152 has some thirty thousand."""


@dataclass(frozen=True)
class PickleScan:
    """What one pickle holds.

    Attributes:
        root: The object that would come out, with every import and call by name.
        globals: Each import once, in the order of its first appearance.
        calls: Every object that would be made by a call.
        builds: The type of target of each ``BUILD`` that is not one of ``calls``.
        opcodes: Names of the opcodes used.
    """

    root: Any
    globals: tuple[Global, ...]
    calls: tuple[Call, ...]
    builds: tuple[str, ...]
    opcodes: frozenset[str]


class ReadableBytes(Protocol):
    """What the opcode reader needs: an open file, a memory map or a buffer."""

    def read(self, size: int = ..., /) -> bytes: ...
    def readline(self) -> bytes: ...
    def tell(self) -> int: ...


def scan(stream: ReadableBytes) -> PickleScan:
    """Run one pickle symbolically, leaving ``stream`` just after it.

    Raises:
        MalformedPickleError: It is no pickle, is cut off, or is made to exhaust its reader.
    """
    machine = Machine()
    try:
        for count, (opcode, argument, _) in enumerate(
            pickletools.genops(cast("IO[bytes]", stream))
        ):
            if count > _MAX_OPERATIONS:
                raise MalformedPickleError("it has too many operations for a model")
            machine.step(opcode.name, argument)
    except MalformedPickleError:
        raise
    except (ValueError, IndexError, KeyError, OverflowError, TypeError, AttributeError) as error:
        raise MalformedPickleError(str(error) or type(error).__name__) from error
    if len(machine.stack) != 1:
        raise MalformedPickleError("it ends without a result")
    return PickleScan(
        machine.stack[0],
        tuple(machine.globals),
        tuple(machine.calls),
        tuple(machine.builds),
        frozenset(machine.opcodes),
    )
