"""Protobuf's wire format: the fields of a message, and numbers in sevens of bits, lowest first."""

from __future__ import annotations

__all__ = ["BYTES", "VARINT", "Field", "FormatError", "field_header", "fields", "read_varint"]

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import mmap
    from collections.abc import Iterator

VARINT, BYTES = 0, 2
"""The wire types of a number, and of a message or a string of bytes."""
_FIXED = {1: 8, 5: 4}
"""How long the numbers of the other wire types are."""


class FormatError(Exception):
    """The bytes do not end where a field says that they do."""


class Field(NamedTuple):
    """One field, and where it, its value and what follows it begin."""

    number: int
    wire: int
    start: int
    first: int
    last: int


def field_header(number: int, length: int) -> bytes:
    """What stands before a field of that length: its number, its wire type and the length."""
    return _varint(number << 3 | BYTES) + _varint(length)


def fields(pages: mmap.mmap, start: int, end: int) -> Iterator[Field]:
    """The fields of a message.

    Raises:
        FormatError: They do not end where the message does.
    """
    position = start
    while position < end:
        tag, first = read_varint(pages, position, end)
        wire = tag & 7
        if wire == BYTES:
            length, first = read_varint(pages, first, end)
            last = first + length
        elif wire == VARINT:
            _, last = read_varint(pages, first, end)
        elif wire in _FIXED:
            last = first + _FIXED[wire]
        else:
            raise FormatError
        if last > end:
            raise FormatError
        yield Field(tag >> 3, wire, position, first, last)
        position = last


def read_varint(pages: mmap.mmap, position: int, end: int) -> tuple[int, int]:
    """The number that begins here, and where it ends.

    Raises:
        FormatError: It does not end.
    """
    value = shift = 0
    while position < end and shift < 64:
        byte = pages[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise FormatError


def _varint(value: int) -> bytes:
    sevens = bytearray()
    while value > 0x7F:
        sevens.append(value & 0x7F | 0x80)
        value >>= 7
    sevens.append(value)
    return bytes(sevens)
