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

from bnfuse.onnxfiles.wire import BYTES, FormatError, field_header, fields

if TYPE_CHECKING:
    from collections.abc import Iterator

_LARGE = 1 << 14
"""Bytes of raw data that are worth a mapping of their own."""

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
        except FormatError:
            return None


def _message(pages: mmap.mmap, start: int, end: int, kind: str, location: str) -> Iterator[bytes]:
    """The bytes of a message in pieces, everything as it lies but the large tensors."""
    inside = _INSIDE[kind]
    copied = start
    for number, wire, field, first, last in fields(pages, start, end):
        inner = inside.get(number)
        if inner is None or wire != BYTES or last - first < _LARGE:
            continue
        yield pages[copied:field]
        if inner == "tensor":
            new = _tensor(pages, first, last, location)
        else:
            new = b"".join(_message(pages, first, last, inner, location))
        yield field_header(number, len(new)) + new
        copied = last
    yield pages[copied:end]


def _tensor(pages: mmap.mmap, start: int, end: int, location: str) -> bytes:
    found = list(fields(pages, start, end))
    large = [field for field in found if field.number == _RAW and field.wire == BYTES]
    # Two of them, or one beside a mention of another file, are for the parser to judge.
    if len(large) != 1 or _LOCATION & {field.number for field in found}:
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
