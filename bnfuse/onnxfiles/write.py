"""Put a model where it was asked for, whole or not at all.

The model is first saved in a folder of its own beside the final path, under its final file names,
because external data is found by name. Only an accepted model is moved; an existing file stays as
it was until then. Where the path is a link, the link stays and the file that it leads to is
replaced.
"""

from __future__ import annotations

__all__ = ["Writing", "targets", "unverified"]

import os
import shlex
import shutil
import signal
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import onnx_ir as ir

from bnfuse.errors import OutputError
from bnfuse.onnxfiles.message import ModelMessage
from bnfuse.onnxfiles.provenance import seal
from bnfuse.target import target_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType, TracebackType

    from bnfuse.fingerprint import Fingerprint
    from bnfuse.onnxfiles.message import Heard

_INLINE_LIMIT = 1 << 30
"""Bytes of constants above which they go to a file beside the model: protobuf ends at 2 GiB."""


def targets(path: Path) -> tuple[Path, Path]:
    """The files that a model at ``path`` may take: its own, and that of its external data."""
    return path, path.with_name(f"{path.name}.data")


def unverified(path: Path) -> Path:
    """Where a candidate for ``path`` is left that did not pass."""
    return path.with_name(f"{path.stem}.unverified.onnx")


class Writing:
    """A model on its way to ``path``: saved aside, then accepted, or kept as unverified.

    Used as a context manager; whatever was not moved is gone afterwards.

    Attributes:
        path: Where the model is to end, as it was asked for.
        candidate: Where it lies until then.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._target = path
        self._folder: Path | None = None

    def __enter__(self) -> Writing:
        self._target = target_of(self.path)
        try:
            self._folder = Path(tempfile.mkdtemp(prefix=".bnfuse-", dir=self._target.parent))
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
        return self._folder / self._target.name

    def save(self, model: ir.Model, heard: Heard | None = None) -> int:
        """Save ``model`` aside and return its size in bytes, external data included.

        Args:
            model: Whose constants may be computed only now, one by one.
            heard: Is told how far it is.

        Raises:
            OutputError: The disk refuses.
            FoldError: A folded constant differs from its independent derivation.
        """
        with self._disk_errors():
            if _constant_bytes(model) > _INLINE_LIMIT:
                self._check_second_file()
            _save(model, self.candidate, heard)
        return sum(file.stat().st_size for file in self.candidate.parent.iterdir())

    def _check_second_file(self) -> None:
        """Readers look for the data beside the name that they were given, link or not."""
        target, data = targets(self._target)
        if target_of(data) != data or self.path.parent.resolve() != target.parent:
            raise OutputError(
                f"the weights need a second file, {str(data)!r}, and a link leads past it.",
                f"Write to the file itself: -o {shlex.quote(str(target))}",
            )

    def seal(self, verdict: str, proof: str = "") -> tuple[Fingerprint, ...]:
        """Put the verdict, and what was proved, behind the candidate.

        Returns:
            The fingerprints of its files, under the names that they will have when accepted.

        Raises:
            OutputError: The disk refuses.
        """
        candidate, data = targets(self.candidate)
        with self._disk_errors():
            files = seal(candidate, data if data.exists() else None, verdict, proof)
        names = map(str, targets(self.path))
        return tuple(replace(file, path=name) for file, name in zip(files, names, strict=False))

    def accept(self) -> Path:
        """Move the model to its final path, its data first."""
        assert self._folder is not None
        with self._disk_errors(), _uninterrupted():
            for file in sorted(self._folder.iterdir(), key=lambda f: f.name == self._target.name):
                os.replace(file, self._target.parent / file.name)
        return self.path

    def keep_unverified(self, model: ir.Model, verdict: str) -> Path:
        """Leave the candidate as ``*.unverified.onnx``; nothing lands at the final path."""
        aside = unverified(self.path)
        if not targets(self.candidate)[1].exists():
            with self._disk_errors():
                os.replace(self.candidate, target_of(aside))
            return aside
        # Its data is found by name, and has another name there.
        with Writing(aside) as writing:
            writing.save(model)
            writing.seal(verdict)
            return writing.accept()

    @contextmanager
    def _disk_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(
                f"{str(self.path)!r} cannot be written: {error.strerror or error}.",
                "Free some space or give another path with -o.",
            ) from error


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


def _save(model: ir.Model, path: Path, heard: Heard | None) -> None:
    if _constant_bytes(model) <= _INLINE_LIMIT:
        with path.open("wb") as file:
            ModelMessage.of(model).write(file, heard)
        return
    total = _constant_bytes(model)

    def begun(_: ir.TensorProtocol, info: ir.external_data.CallbackInfo) -> None:
        if heard is not None:
            heard(info.offset, total)

    ir.save(model, path, external_data=targets(path)[1].name, callback=begun)


def _constant_bytes(model: ir.Model) -> int:
    constants = [value.const_value for value in model.graph.initializers.values()]
    return sum(tensor.nbytes for tensor in constants if tensor is not None)
