"""Put a model where it was asked for, whole or not at all.

The model is first saved in a folder of its own beside the final path, under its final file names,
because external data is found by name. Only an accepted model is moved; an existing file stays as
it was until then.
"""

from __future__ import annotations

__all__ = ["Writing", "targets"]

import os
import shutil
import signal
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import onnx_ir as ir

from bnfuse.errors import OutputError
from bnfuse.writing.message import ModelMessage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType, TracebackType

    from bnfuse.writing.message import Heard

_INLINE_LIMIT = 1 << 30
"""Bytes of constants above which they go to a file beside the model: protobuf ends at 2 GiB."""


def targets(path: Path) -> tuple[Path, Path]:
    """The files that a model at ``path`` may take: its own, and that of its external data."""
    return path, path.with_name(f"{path.name}.data")


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

    def save(self, model: ir.Model, heard: Heard | None = None) -> int:
        """Save ``model`` aside and return its size in bytes, external data included.

        Args:
            model: Whose constants may be computed only now, one by one.
            heard: Is told how far it is.

        Raises:
            OutputError: The disk refuses.
            FoldError: A folded constant differs from its independent derivation.
        """
        try:
            return _save(model, self.candidate, heard or _unheard)
        except OSError as error:
            raise OutputError(
                f"{str(self.path)!r} cannot be written: {error.strerror or error}.",
                "Free some space or give another path with -o.",
            ) from error

    def accept(self) -> Path:
        """Move the model to its final path, its data first."""
        assert self._folder is not None
        with _uninterrupted():
            for file in sorted(self._folder.iterdir(), key=lambda f: f.name == self.path.name):
                os.replace(file, self.path.parent / file.name)
        return self.path

    def keep_unverified(self, model: ir.Model) -> Path:
        """Leave the model as ``*.unverified.onnx``; nothing lands at the final path."""
        aside = self.path.with_name(f"{self.path.stem}.unverified.onnx")
        with Writing(aside) as writing:
            writing.save(model)
            return writing.accept()


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Put an interrupt off until this is over: a model must not land beside another's data."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    put_off: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda number, frame: put_off.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    for caught in put_off[:1]:
        before(*caught)


def _unheard(done: int, total: int) -> None:
    del done, total


def _save(model: ir.Model, path: Path, heard: Heard) -> int:
    constants = [value.const_value for value in model.graph.initializers.values()]
    sizes = [tensor.nbytes for tensor in constants if tensor is not None]
    if sum(sizes) > _INLINE_LIMIT:
        _save_beside(model, path, heard)
    else:
        with path.open("wb") as file:
            ModelMessage.of(model).write(file, heard)
    return sum(file.stat().st_size for file in path.parent.iterdir())


def _save_beside(model: ir.Model, path: Path, heard: Heard) -> None:
    total = sum(
        value.const_value.nbytes
        for value in model.graph.initializers.values()
        if value.const_value is not None
    )

    def begun(tensor: ir.TensorProtocol, info: ir.external_data.CallbackInfo) -> None:
        del tensor
        heard(info.offset, total)

    ir.save(model, path, external_data=targets(path)[1].name, callback=begun)
