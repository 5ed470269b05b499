"""Whether bytes are an ONNX model, told from the outer fields of the message alone."""

from __future__ import annotations

import enum
from typing import IO

__all__ = ["OnnxLook", "look_at_onnx"]


class OnnxLook(enum.Enum):
    """What walking over the outermost fields showed."""

    MODEL = "a complete ModelProto"
    CUT = "a ModelProto that is cut off or damaged"
    OTHER = "something else"


_VARINT, _BYTES = 0, 2
_WIRE_TYPES = {
    1: _VARINT,  # ir_version
    2: _BYTES,  # producer_name
    3: _BYTES,  # producer_version
    4: _BYTES,  # domain
    5: _VARINT,  # model_version
    6: _BYTES,  # doc_string
    7: _BYTES,  # graph
    8: _BYTES,  # opset_import
    14: _BYTES,  # metadata_props
    20: _BYTES,  # training_info
    25: _BYTES,  # functions
    26: _BYTES,  # configuration
}
_GRAPH = 7
_LATEST_IR_VERSION = 64
"""Far above any version there is: larger numbers are not a version."""


def look_at_onnx(file: IO[bytes], size: int) -> OnnxLook:
    """Walk over the outermost fields of a protobuf message, skipping what they hold.

    Args:
        file: Open for reading at its start.
        size: Its bytes.
    """
    fields: list[int] = []
    complete = False
    while True:
        if file.tell() == size:
            complete = True
            break
        tag = _varint(file)
        if tag is None or _WIRE_TYPES.get(tag >> 3) != tag & 7:
            break
        number = tag >> 3
        value = _varint(file)
        if value is None or (number == 1 and not 1 <= value <= _LATEST_IR_VERSION):
            break
        fields.append(number)
        if tag & 7 == _BYTES:
            if value > size - file.tell():
                break
            file.seek(value, 1)
    if complete and _GRAPH in fields:
        return OnnxLook.MODEL
    return OnnxLook.CUT if fields[:1] == [1] and len(fields) > 1 else OnnxLook.OTHER


def _varint(file: IO[bytes]) -> int | None:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            return None
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    return None
