"""Reading a file without its large tensors: their bytes stay in the file until they are needed."""

from __future__ import annotations

__all__ = ["lean", "stored_bytes"]

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, external_data_helper, numpy_helper

_LARGE = 1 << 12
"""Bytes of a tensor from which on they stay in the file."""

_GRAPH, _INITIALIZER, _RAW_DATA = (number << 3 | 2 for number in (7, 5, 9))
"""The keys of the fields in ``onnx.proto``: their numbers, and that they have a length."""


def lean(path: Path) -> onnx.ModelProto:
    """The model of a file, large tensors as external data: at a place in a file without a name."""
    model = onnx.ModelProto()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for key, begin, content, end in _fields(data, 0, len(data)):
            if key != _GRAPH:
                model.MergeFromString(data[begin:end])
                continue
            for part, first, inner, last in _fields(data, content, end):
                if part != _INITIALIZER or last - inner < _LARGE:
                    model.graph.MergeFromString(data[first:last])
                else:
                    _without_bytes(model.graph.initializer.add(), data, inner, last)
    return model


def _without_bytes(tensor: TensorProto, data: mmap.mmap, begin: int, end: int) -> None:
    places: dict[str, str] = {}
    for key, first, content, last in _fields(data, begin, end):
        if key == _RAW_DATA:
            places = {"location": "", "offset": str(content), "length": str(last - content)}
        else:
            tensor.MergeFromString(data[first:last])
    if places and (tensor.external_data or tensor.data_location == TensorProto.EXTERNAL):
        raise ValueError("a tensor that lies in two places")
    for name, value in places.items():
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key=name, value=value)


def _fields(data: mmap.mmap, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """The fields of a protobuf message: key, begin, where the content begins, end."""
    while at < end:
        begin = at
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 2:
            size, content = _varint(data, at)
        else:
            content = at
            size = {0: _varint(data, at)[1] - at, 1: 8, 5: 4}.get(kind, end)
        at = content + size
        if at > end:
            raise ValueError("it is no ONNX file")
        yield key, begin, content, at


def _varint(data: mmap.mmap, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def stored_bytes(tensor: TensorProto, path: Path) -> Any:
    """The numbers of a tensor, wherever they lie."""
    if tensor.data_location != TensorProto.EXTERNAL:
        return numpy_helper.to_array(tensor)
    whole = TensorProto()
    whole.CopyFrom(tensor)
    info = external_data_helper.ExternalDataInfo(tensor)
    if info.location:
        external_data_helper.load_external_data_for_tensor(whole, str(path.parent))
        return numpy_helper.to_array(whole)
    with path.open("rb") as file:
        file.seek(info.offset or 0)
        whole.raw_data = file.read(info.length or 0)
    whole.data_location = TensorProto.DEFAULT
    del whole.external_data[:]
    return numpy_helper.to_array(whole)
