"""Put a model where it was asked for, whole or not at all.

The model is first saved in a folder of its own beside the final path, under its final file names,
because external data is found by name. Only an accepted model is moved; an existing file stays as
it was until then.
"""

from __future__ import annotations

__all__ = ["Size", "Writing", "file_bytes", "measure"]

import logging
import os
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import onnx_ir as ir

from bnfuse.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

_INLINE_LIMIT = 1 << 30
"""Bytes of constants above which they go to a file beside the model: protobuf ends at 2 GiB."""


class Writing:
    """A model on its way to ``path``: saved aside, then accepted, or kept as unverified.

    Used as a context manager; whatever was not moved is gone afterwards.

    Attributes:
        path: Where the model is to end.
        candidate: Where it lies until then.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._folder: Path | None = None

    def __enter__(self) -> Writing:
        try:
            self._folder = Path(tempfile.mkdtemp(prefix=".bnfuse-", dir=self.path.parent))
        except OSError as error:
            raise OutputError(
                f"{str(self.path)!r} cannot be written: {error.strerror}.",
                "Give another path with -o.",
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def candidate(self) -> Path:
        """The file that is to be judged before it is accepted."""
        assert self._folder is not None
        return self._folder / self.path.name

    def save(self, model: ir.Model) -> int:
        """Save ``model`` aside and return its size in bytes, external data included.

        Raises:
            OutputError: The disk refuses.
        """
        try:
            return _save(model, self.candidate)
        except OSError as error:
            raise OutputError(
                f"{str(self.path)!r} cannot be written: {error.strerror or error}.",
                "Free some space or give another path with -o.",
            ) from error

    def accept(self) -> Path:
        """Move the model to its final path, its data first."""
        assert self._folder is not None
        for file in sorted(self._folder.iterdir(), key=lambda f: f.name == self.path.name):
            os.replace(file, self.path.parent / file.name)
        return self.path

    def keep_unverified(self, model: ir.Model) -> Path:
        """Leave the model as ``*.unverified.onnx``; nothing lands at the final path."""
        aside = self.path.with_name(f"{self.path.stem}.unverified.onnx")
        with Writing(aside) as writing:
            writing.save(model)
            return writing.accept()


@dataclass(frozen=True)
class Size:
    """How large a model is.

    Attributes:
        ops: Its nodes, constants not counted.
        bytes: Its file, external data included.
    """

    ops: int
    bytes: int


def measure(model: ir.Model) -> Size:
    """The size of a model without writing it or reading its constants."""
    ops = sum(node.op_type != "Constant" for node in model.graph.all_nodes())
    skeleton = model.clone()
    for value in skeleton.graph.initializers.values():
        value.const_value = None
    # What has no data is left out of the proto: its tensors are counted by their headers.
    logger = logging.getLogger("onnx_ir.serde")
    with _silenced(logger):
        frame = ir.serde.serialize_model(skeleton).ByteSize()
    return Size(ops, frame + sum(_field(_tensor_bytes(t)) for t in _tensors(model)))


def file_bytes(path: Path, model: ir.Model) -> int:
    """The size of an ONNX file and of the external data that its tensors lie in."""
    data = {Path(t.path) for t in _tensors(model) if isinstance(t, ir.ExternalTensor)}
    return sum(file.stat().st_size for file in {path, *data})


def _tensors(model: ir.Model) -> Iterator[ir.TensorProtocol]:
    for value in model.graph.initializers.values():
        if value.const_value is not None:
            yield value.const_value


def _tensor_bytes(tensor: ir.TensorProtocol) -> int:
    """The length of a TensorProto that holds ``tensor`` as raw data."""
    header = onnx.TensorProto(
        name=tensor.name, data_type=int(tensor.dtype), dims=tensor.shape.numpy()
    )
    return int(header.ByteSize()) + _field(tensor.nbytes)


def _field(length: int) -> int:
    """The bytes of a protobuf field of this length: a tag, the length in sevens of bits, it."""
    return 1 + max(1, -(-length.bit_length() // 7)) + length


@contextmanager
def _silenced(logger: logging.Logger) -> Iterator[None]:
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _save(model: ir.Model, path: Path) -> int:
    large = sum(t.nbytes for t in _tensors(model)) > _INLINE_LIMIT
    ir.save(model, path, external_data=f"{path.name}.data" if large else None)
    return sum(file.stat().st_size for file in path.parent.iterdir())
