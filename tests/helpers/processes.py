"""``bnfuse`` as a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

import forks

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = [sys.executable, "-m", "bnfuse"]


@dataclass
class Ended:
    """How a process ended."""

    code: int
    out: bytes
    err: str


def run(folder: Path, *args: object, **environment: str) -> Ended:
    """Run the command in ``folder`` with ``args`` and what the environment has besides."""
    encoding = environment.get("PYTHONIOENCODING", "utf-8")
    # What else Python reads, it reads when it starts.
    known = {"PYTHONIOENCODING": encoding, "PYTHONUTF8": str(sys.flags.utf8_mode)}
    read = {name: value for name, value in environment.items() if name.startswith("PYTHON")}
    if hasattr(os, "fork") and read.items() <= known.items():
        with open(os.devnull) as none, TemporaryFile() as out, TemporaryFile() as err:
            ended = forks.begin(
                folder, list(map(str, args)), [none, out, err], {**os.environ, **environment}
            )
            code = ended()
            out.seek(0)
            err.seek(0)
            return Ended(code, out.read(), err.read().decode(encoding))
    ran = subprocess.run(
        [*COMMAND, *map(str, args)],
        capture_output=True,
        check=False,
        cwd=folder,
        env={**os.environ, **environment},
    )
    return Ended(ran.returncode, ran.stdout, ran.stderr.decode(encoding))


def on_terminal(folder: Path, width: int, *args: object) -> tuple[int, str]:
    """Run the command in a terminal of that width: its exit code, and what it shows there."""
    import fcntl
    import struct
    import termios

    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    environment = {key: value for key, value in os.environ.items() if key != "COLUMNS"}
    environment |= {"TERM": "xterm", "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"}
    with open(os.devnull, "r+") as none:
        ended = forks.begin(folder, list(map(str, args)), [none, theirs, none], environment)
    os.close(theirs)
    shown = b""
    # Linux says that the other end is closed by an error.
    with suppress(OSError):
        while piece := os.read(ours, 1 << 16):
            shown += piece
    os.close(ours)
    return ended(), re.sub(r"\x1b\[[0-9;]*m", "", shown.decode().replace("\r", ""))
