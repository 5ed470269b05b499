"""``bnfuse`` as a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import forks

COMMAND = [sys.executable, "-m", "bnfuse"]


@dataclass
class Ended:
    """How a process ended."""

    code: int
    out: bytes
    err: str


def run(folder: Path, *args: object, **environment: str) -> Ended:
    """Run the command in ``folder`` with ``args``; with another environment from its very start."""
    if not environment and hasattr(os, "fork"):
        with TemporaryDirectory() as streams:
            out, err = Path(streams, "out"), Path(streams, "err")
            code = forks.run(folder, list(map(str, args)), out, err)
            return Ended(code, out.read_bytes(), err.read_text("utf-8"))
    ran = subprocess.run(
        [*COMMAND, *map(str, args)],
        capture_output=True,
        check=False,
        cwd=folder,
        env={**os.environ, **environment},
    )
    encoding = environment.get("PYTHONIOENCODING", "utf-8")
    return Ended(ran.returncode, ran.stdout, ran.stderr.decode(encoding))


def on_terminal(folder: Path, width: int, *args: object) -> tuple[int, str]:
    """Run the command in a terminal of that width: its exit code, and what it shows there."""
    import fcntl
    import struct
    import termios

    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    environment = {key: value for key, value in os.environ.items() if key != "COLUMNS"}
    ran = subprocess.Popen(
        [*COMMAND, *map(str, args)],
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        env={**environment, "TERM": "xterm", "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"},
    )
    os.close(theirs)
    shown = b""
    # Linux says that the other end is closed by an error.
    with suppress(OSError):
        while piece := os.read(ours, 1 << 16):
            shown += piece
    os.close(ours)
    return ran.wait(), re.sub(r"\x1b\[[0-9;]*m", "", shown.decode().replace("\r", ""))
