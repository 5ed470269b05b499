"""``bnfuse`` as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

COMMAND = [sys.executable, "-m", "bnfuse"]


@dataclass
class Ended:
    """How a process ended."""

    code: int
    out: bytes
    err: str


def run(folder: Path, *args: object, **environment: str) -> Ended:
    """Run the command in ``folder`` with ``args``."""
    ran = subprocess.run(
        [*COMMAND, *map(str, args)],
        capture_output=True,
        check=False,
        cwd=folder,
        env={**os.environ, **environment},
    )
    encoding = environment.get("PYTHONIOENCODING", "utf-8")
    return Ended(ran.returncode, ran.stdout, ran.stderr.decode(encoding))
