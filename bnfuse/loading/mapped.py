"""Tensors that stay in their file: mapped while someone looks at them, and let go after.

``onnx_ir.ExternalTensor`` keeps its mapping, so a model that was read once stays in memory.
"""

from __future__ import annotations

__all__ = ["MappedFile", "MappedTensor"]

import mmap
import os
from pathlib import Path
from typing import IO

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from bnfuse.errors import LoadError


class MappedFile:
    """A file that tensors lie in, held open: removing or replacing it takes nothing away.

    Attributes:
        path: Where it was opened.
        size: Its bytes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[bytes] = path.open("rb")
        self._stamp = self._now()
        self.size = self._stamp[0]

    def bytes(self, offset: int, length: int) -> NDArray[np.uint8]:
        """These bytes, read-only; their pages are let go with the last reference to the array.

        Raises:
            LoadError: The file was written to since it was opened.
        """
        if length == 0:
            return np.empty(0, np.uint8)
        if self._now() != self._stamp:
            raise LoadError(
                f"{self.path} was changed while it was being read.",
                "Leave it as it is until the result is written.",
            )
        start = offset - offset % mmap.ALLOCATIONGRANULARITY
        pages = mmap.mmap(
            self._file.fileno(), offset - start + length, access=mmap.ACCESS_READ, offset=start
        )
        return np.frombuffer(pages, np.uint8, length, offset - start)

    def _now(self) -> tuple[int, int]:
        status = os.fstat(self._file.fileno())
        return status.st_size, status.st_mtime_ns


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
