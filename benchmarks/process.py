"""What a whole process costs, from its start to its end."""

from __future__ import annotations

__all__ = ["Cost", "measure"]

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# A process begins with the peak memory of the one that started it, so that one has to be small.
_STARTER = """
import json, os, sys, time
start = time.perf_counter()
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[
    (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)])
_, status, used = os.wait4(child, 0)
wall = time.perf_counter() - start
cpu = used.ru_utime + used.ru_stime
print(json.dumps([os.waitstatus_to_exitcode(status), wall, cpu, used.ru_maxrss]))
"""


@dataclass(frozen=True)
class Cost:
    """Of one run of one command.

    Attributes:
        wall: Seconds on the clock.
        cpu: Seconds of all processors' time.
        peak: Bytes resident at most.
    """

    wall: float
    cpu: float
    peak: int


def measure(command: Sequence[str]) -> Cost:
    """Run ``command``, whose first word is a path, with its output thrown away.

    Raises:
        RuntimeError: It failed; its stderr is the message.
    """
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _STARTER, *command],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    code, wall, cpu, kilobytes = json.loads(done.stdout)
    if code:
        raise RuntimeError(f"{' '.join(command[1:4])} … left with {code}: {done.stderr[-500:]}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Cost(wall, cpu, kilobytes * unit)
