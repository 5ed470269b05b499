"""Keep what a model or an exporter prints, logs and warns away from the user's streams."""

from __future__ import annotations

__all__ = ["quiet", "quiet_descriptors"]

import logging
import os
import sys
import threading
import warnings
from contextlib import ExitStack, contextmanager
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# The streams, the warning filters and PyTorch's tracing state belong to the process.
_LOCK = threading.RLock()


class _Muted:
    """A stream that drops what one thread writes and passes on what the others do.

    A progress display that another thread draws stays alive this way.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._owner = threading.get_ident()

    def write(self, text: str) -> int:
        if threading.get_ident() == self._owner:
            return len(text)
        return self._stream.write(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def quiet() -> Iterator[list[warnings.WarningMessage]]:
    """Mute this thread's stdout and stderr, all logging, and all warnings.

    One thread is inside at a time; every stream and filter is back afterwards, also after an
    exception.

    Yields:
        The warnings that were raised meanwhile, as they come.
    """
    with _LOCK, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        streams = sys.stdout, sys.stderr
        disabled = logging.root.manager.disable
        sys.stdout, sys.stderr = _muted(sys.stdout), _muted(sys.stderr)
        logging.disable(logging.CRITICAL)
        try:
            yield caught
        finally:
            logging.disable(disabled)
            sys.stdout, sys.stderr = streams


def _muted(stream: IO[str] | None) -> Any:
    # A process without a console has None here, and print() accepts that.
    return None if stream is None else _Muted(stream)


@contextmanager
def quiet_descriptors() -> Iterator[None]:
    """Mute what native code writes past Python's streams, of every thread; keep it short."""
    with _LOCK, ExitStack() as stack:
        sink = os.open(os.devnull, os.O_WRONLY)
        stack.callback(os.close, sink)
        for descriptor in (1, 2):
            try:
                saved = os.dup(descriptor)
            except OSError:
                continue
            stack.callback(os.close, saved)
            stack.callback(os.dup2, saved, descriptor)
            os.dup2(sink, descriptor)
        yield
