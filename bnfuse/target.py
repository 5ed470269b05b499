"""Which file a path given for writing means: found out before any work is done for it.

A file is written beside its place and moved there whole. A device, a pipe or a socket would be
replaced by that move, so only a regular file is taken; a link stays, and what it leads to is
replaced.
"""

from __future__ import annotations

__all__ = ["STDOUT", "ClosedPipeError", "stdout_bytes", "target_of", "write_whole"]

import io
import os
import stat
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING
from uuid import uuid4

from bnfuse.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STDOUT = "-"
"""What names stdout in the place of a file."""


class ClosedPipeError(OutputError):
    """Whoever read stdout left before everything was written: what ends other tools by SIGPIPE."""

    exit_code = 141


_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
)
_LINKS = 40
"""Links that are followed, as many as Linux follows."""


def target_of(path: str | Path, option: str = "-o") -> Path:
    """The file that ``path`` means, links followed; it need not be there yet.

    Args:
        path: As a user gave it.
        option: What it was given with.

    Raises:
        OutputError: It is no regular file, it is write-protected, or its folder is not there or
            may not be written to.
    """
    try:
        target = _followed(Path(path))
        mode = _mode(target)
    except (OSError, ValueError) as error:
        # ValueError: a NUL in the path.
        raise _refusal(path, str(getattr(error, "strerror", None) or error), option) from error
    kind = next((name for is_kind, name in _KINDS if mode is not None and is_kind(mode)), None)
    if kind is not None:
        raise _refusal(path, f"it is {kind}, not a file", option)
    folder = target.parent
    if not folder.is_dir():
        raise _refusal(path, f"there is no folder {str(folder)!r}", option)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _refusal(path, f"the folder {str(folder)!r} is write-protected", option)
    if mode is not None and not os.access(target, os.W_OK):
        raise _refusal(path, "it is write-protected", option)
    return target


def write_whole(path: str | Path, write: Callable[[IO[bytes]], object], option: str = "-o") -> None:
    """Write beside ``path`` and move into place, so that no half file is ever seen there.

    Args:
        path: Where the file ends up, or ``-`` for stdout; a file that is there is replaced at the
            last moment.
        write: Called once with a binary file open for writing.
        option: What the path was given with.

    Raises:
        OutputError: The folder or the disk refuses; what was at ``path`` is as it was.
    """
    if str(path) == STDOUT:
        buffer = io.BytesIO()
        write(buffer)
        with stdout_bytes() as stdout:
            stdout.write(buffer.getbuffer())
        return
    target = target_of(path, option)
    beside = target.with_name(f".bnfuse-{uuid4().hex}.tmp")
    try:
        with beside.open("xb") as file:
            write(file)
        beside.replace(target)
    except OSError as error:
        raise _refusal(path, error.strerror or str(error), option) from error
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def stdout_bytes() -> Iterator[IO[bytes]]:
    """Stdout for bytes, which were all taken when the context is left.

    Raises:
        ClosedPipeError: Whoever read it left before the end.
        OutputError: It cannot be written for another reason.
    """
    try:
        sys.stdout.flush()
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    except BrokenPipeError as error:
        # What is still in the buffer would be tried again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise ClosedPipeError("stdout was closed before everything was written to it.") from error
    except OSError as error:
        raise OutputError(
            f"stdout cannot be written: {error.strerror or error}.", "Name a file instead."
        ) from error


def _mode(path: Path) -> int | None:
    # From Python 3.14 on, exists() is False as well for a name that no file can have.
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None


def _followed(path: Path) -> Path:
    for _ in range(_LINKS):
        if not path.is_symlink():
            return Path(os.path.realpath(path))
        # Links there lead to what a process has open, whatever the name of that is by now.
        if os.path.realpath(path.parent).startswith("/proc/"):
            raise OSError(0, "it is an open stream, not a file")
        path = path.parent / path.readlink()
    raise OSError(0, "its links lead in a circle")


def _refusal(path: str | Path, why: str, option: str) -> OutputError:
    stdout = "" if option == "--repro" else f", or {option} - for stdout"
    return OutputError(f"{str(path)!r} cannot be written: {why}.", f"Give another path{stdout}.")
