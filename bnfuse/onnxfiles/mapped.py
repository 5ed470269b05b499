"""Tensors that stay in their file: mapped while someone looks at them, and let go after.

``onnx_ir.ExternalTensor`` keeps its mapping, so a model that was read once stays in memory.
"""

from __future__ import annotations

__all__ = ["MappedFile", "MappedTensor"]

import mmap
import os
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from bnfuse.errors import LoadError

_SMALL = 1 << 16
"""Bytes that are read and not mapped: a mapping holds a file open for as long as it lasts."""


class MappedFile:
    """A file that tensors lie in, as it was when the model was read.

    It is opened anew for each tensor: a model may keep every one of thousands in a file of its own.

    Attributes:
        path: Where it is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp = _stamp(path.stat())

    def bytes(self, offset: int, length: int) -> NDArray[np.uint8]:
        """These bytes, read-only; what is mapped is let go with the last reference to the array.

        Raises:
            LoadError: The file was written to, replaced or removed since the model was read.
        """
        start = offset - offset % mmap.ALLOCATIONGRANULARITY
        try:
            with self.path.open("rb") as file:
                if _stamp(os.fstat(file.fileno())) != self._stamp:
                    raise self._changed()
                if length < _SMALL:
                    file.seek(offset)
                    return np.frombuffer(file.read(length), np.uint8)
                pages = mmap.mmap(
                    file.fileno(), offset - start + length, access=mmap.ACCESS_READ, offset=start
                )
        except FileNotFoundError as error:
            raise self._changed() from error
        return np.frombuffer(pages, np.uint8, length, offset - start)

    def _changed(self) -> LoadError:
        return LoadError(
            f"{self.path} was changed while it was being read.",
            "Leave it as it is until the result is written.",
        )


def _stamp(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


class MappedTensor(ir.LazyTensor):
    """A tensor whose elements lie in a file, little-endian and packed as raw data is."""

    __slots__ = ("file", "offset")

    def __init__(self, tensor: ir.ExternalTensor, file: MappedFile) -> None:
        super().__init__(
            self._look,
            tensor.dtype,
            tensor.shape,
            name=tensor.name,
            doc_string=tensor.doc_string,
            metadata_props=dict(tensor.metadata_props),
        )
        self.file = file
        self.offset = tensor.offset or 0

    def _look(self) -> ir.TensorProtocol:
        raw = self.file.bytes(self.offset, self.nbytes)
        shape = self.shape.numpy()
        if self.dtype.bitwidth % 8:
            packed = onnx.TensorProto(data_type=int(self.dtype), dims=shape)
            packed.raw_data = raw.tobytes()
            return ir.serde.deserialize_tensor(packed)
        stored = np.dtype(self.dtype.numpy()).newbyteorder("<")
        return ir.Tensor(raw.view(stored).reshape(shape), dtype=self.dtype, name=self.name)
