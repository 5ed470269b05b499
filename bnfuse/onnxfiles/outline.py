"""The outline of an ONNX file: its message without the bytes of its large tensors.

Parsing a ModelProto copies every weight. The walk here goes over the message's fields as they
lie in the file and takes out each large ``raw_data``; in its place the tensor says what is true
of it, that its data lies in a file, this one, at that offset. What is left is small and parses as
ever.
"""

from __future__ import annotations

__all__ = ["outline"]

import mmap
from typing import IO, TYPE_CHECKING

import onnx

from bnfuse.onnxfiles.varint import varint

if TYPE_CHECKING:
    from collections.abc import Iterator

_LARGE = 1 << 14
"""Bytes of raw data that are worth a mapping of their own."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED = {_FIXED64: 8, _FIXED32: 4}
_INSIDE = {
    "model": {onnx.ModelProto.GRAPH_FIELD_NUMBER: "graph"},
    "graph": {
        onnx.GraphProto.NODE_FIELD_NUMBER: "node",
        onnx.GraphProto.INITIALIZER_FIELD_NUMBER: "tensor",
    },
    "node": {onnx.NodeProto.ATTRIBUTE_FIELD_NUMBER: "attribute"},
    "attribute": {onnx.AttributeProto.T_FIELD_NUMBER: "tensor"},
}
"""The messages that lead to a tensor, by the number of the field that holds them."""
_RAW = onnx.TensorProto.RAW_DATA_FIELD_NUMBER
_LOCATION = {
    onnx.TensorProto.EXTERNAL_DATA_FIELD_NUMBER,
    onnx.TensorProto.DATA_LOCATION_FIELD_NUMBER,
}


class _FormatError(Exception):
    """The bytes do not end where a field says that they do."""


def outline(file: IO[bytes], location: str) -> bytes | None:
    """A serialised ModelProto whose large tensors are external data of ``location``.

    Args:
        file: The model, open for reading.
        location: The file's own name.

    Returns:
        The message, or ``None`` where the file is not one: whoever parses it can say why.
    """
    file.seek(0, 2)
    if not file.tell():
        return None
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as pages:
        try:
            return b"".join(_message(pages, 0, len(pages), "model", location))
        except _FormatError:
            return None


def _message(pages: mmap.mmap, start: int, end: int, kind: str, location: str) -> Iterator[bytes]:
    """The bytes of a message in pieces, everything as it lies but the large tensors."""
    inside = _INSIDE[kind]
    copied = start
    for number, wire, field, first, last in _fields(pages, start, end):
        inner = inside.get(number)
        if inner is None or wire != _BYTES or last - first < _LARGE:
            continue
        yield pages[copied:field]
        if inner == "tensor":
            new = _tensor(pages, first, last, location)
        else:
            new = b"".join(_message(pages, first, last, inner, location))
        yield varint(number << 3 | _BYTES) + varint(len(new)) + new
        copied = last
    yield pages[copied:end]


def _tensor(pages: mmap.mmap, start: int, end: int, location: str) -> bytes:
    fields = list(_fields(pages, start, end))
    large = [field for field in fields if field[0] == _RAW and field[1] == _BYTES]
    # Two of them, or one beside a mention of another file, are for the parser to judge.
    if len(large) != 1 or _LOCATION & {number for number, *_ in fields}:
        return pages[start:end]
    ((_, _, field, first, last),) = large
    if last - first < _LARGE:
        return pages[start:end]
    there = onnx.TensorProto(data_location=onnx.TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", first), ("length", last - first)):
        there.external_data.add(key=key, value=str(value))
    # Messages that follow one another are merged: these fields are added to the tensor's own.
    added: bytes = there.SerializeToString()
    return pages[start:field] + pages[last:end] + added


def _fields(pages: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int, int, int, int]]:
    """Each field's number, wire type, and where it, its value and what follows it begin."""
    position = start
    while position < end:
        tag, first = _varint(pages, position, end)
        wire = tag & 7
        if wire == _BYTES:
            length, first = _varint(pages, first, end)
            last = first + length
        elif wire == _VARINT:
            _, last = _varint(pages, first, end)
        elif wire in _FIXED:
            last = first + _FIXED[wire]
        else:
            raise _FormatError
        if last > end:
            raise _FormatError
        yield tag >> 3, wire, position, first, last
        position = last


def _varint(pages: mmap.mmap, position: int, end: int) -> tuple[int, int]:
    """A number in sevens of bits, lowest first, and where it ends."""
    value = shift = 0
    while position < end and shift < 64:
        byte = pages[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise _FormatError
