"""Stdout and stderr that no text and no reader can make a command fail at."""

from __future__ import annotations

__all__ = ["forgiving_streams"]

import codecs
import io
import os
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_HANDLER = "bnfuse.plain"
_PLAIN = {
    "✓": "+",
    "·": "-",
    "→": "->",
    "…": "...",
    "±": "+-",
    "µ": "u",
    "×": "x",
    "–": "-",
    "─": "-",
    "━": "=",
}
"""What stands for the characters of bnfuse's own texts that an encoding has not."""


class _Stream:
    """A text stream whose reader may leave: what is written after that is dropped.

    Attributes:
        failure: Why something could not be written for another reason, such as a full disk.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.failure: OSError | None = None

    def write(self, text: str) -> int:
        """Write as far as it can be written."""
        with self._kept():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush as far as it can be flushed."""
        with self._kept():
            self._stream.flush()

    @contextmanager
    def _kept(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if not isinstance(error, BrokenPipeError):
                self.failure = error
            # What is in the buffer would be tried again, at the latest when Python ends.
            with suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def forgiving_streams() -> Iterator[_Stream]:
    """Let text that an encoding has not be spelt in ASCII, and a closed pipe stop nothing.

    Yields:
        Stdout, which knows after a flush whether something was lost.
    """
    codecs.register_error(_HANDLER, _plainly)
    before = sys.stdout, sys.stderr
    # Without a stream (a window, or >&-) there is nothing to write to.
    out, err = (_Stream(stream or io.StringIO()) for stream in before)
    for stream in (out, err):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_HANDLER)
    sys.stdout, sys.stderr = out, err
    try:
        yield out
    finally:
        sys.stdout, sys.stderr = before


def _plainly(error: UnicodeError) -> tuple[str, int]:
    """The characters that could not be encoded, one by one, in ASCII."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    bad = error.object[error.start : error.end]
    text = "".join(_PLAIN.get(c) or c.encode("ascii", "backslashreplace").decode() for c in bad)
    return text, error.end
