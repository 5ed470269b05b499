"""Whether bytes are an ONNX model, told from the outer fields of the message alone."""

from __future__ import annotations

import enum
from typing import IO

from bnfuse.onnxfiles.wire import BYTES, VARINT

__all__ = ["OnnxLook", "look_at_onnx"]


class OnnxLook(enum.Enum):
    """What walking over the outermost fields showed."""

    MODEL = "a complete ModelProto"
    CUT = "a ModelProto that is cut off or damaged"
    OTHER = "something else"


_WIRE_TYPES = {
    1: VARINT,  # ir_version
    2: BYTES,  # producer_name
    3: BYTES,  # producer_version
    4: BYTES,  # domain
    5: VARINT,  # model_version
    6: BYTES,  # doc_string
    7: BYTES,  # graph
    8: BYTES,  # opset_import
    14: BYTES,  # metadata_props
    20: BYTES,  # training_info
    25: BYTES,  # functions
    26: BYTES,  # configuration
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
    numbers: list[int] = []
    while file.tell() < size:
        tag = _varint(file)
        if tag is None or _WIRE_TYPES.get(tag >> 3) != tag & 7:
            break
        value = _varint(file)
        if value is None or (tag >> 3 == 1 and not 1 <= value <= _LATEST_IR_VERSION):
            break
        numbers.append(tag >> 3)
        if tag & 7 == BYTES:
            if value > size - file.tell():
                break
            file.seek(value, 1)
    else:
        if _GRAPH in numbers:
            return OnnxLook.MODEL
    return OnnxLook.CUT if numbers[:1] == [1] and len(numbers) > 1 else OnnxLook.OTHER


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
