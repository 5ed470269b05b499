"""Peak memory of a model: of a process of its own that opens it and runs it.

In one process the peak of all contestants would be one number, and freed memory is reused.
"""

from __future__ import annotations

__all__ = ["Memory", "measure_memory", "peak_bytes"]

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bnfuse.errors import LoadError

if TYPE_CHECKING:
    from collections.abc import Sequence

_RUNS = 3


@dataclass(frozen=True)
class Memory:
    """Bytes of memory that were resident at most.

    Attributes:
        base: Before the model was opened: the interpreter and its libraries.
        peak: After it ran.
    """

    base: int
    peak: int

    @property
    def model(self) -> int:
        """What the model took."""
        return self.peak - self.base


def measure_memory(
    model: Path,
    *,
    provider: str,
    threads: int,
    batch: int | None,
    input_shapes: Sequence[str],
    seed: int,
) -> Memory | None:
    """Open and run ``model`` in a process of its own; ``None`` where the system does not tell.

    Raises:
        LoadError: That process failed.
    """
    options = {
        "provider": provider,
        "threads": threads,
        "batch": batch,
        "input_shapes": list(input_shapes),
        "seed": seed,
    }
    child = subprocess.run(
        [sys.executable, "-m", "bnfuse.bench.memory", str(model), json.dumps(options)],
        capture_output=True,
        text=True,
        check=False,
    )
    if child.returncode:
        last = (child.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise LoadError(
            f"The process that measures the memory of {model} failed: {last}.",
            "Leave memory out with --no-memory.",
        )
    found = json.loads(child.stdout.splitlines()[-1])
    return None if found is None else Memory(**found)


def peak_bytes() -> int | None:
    """The most memory that this process had resident so far; ``None`` if the system keeps none."""
    status = Path("/proc/self/status")
    if status.exists():
        # ru_maxrss would not do: on Linux a child inherits its parent's.
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _child(model: Path, options: str) -> Memory | None:
    from bnfuse.bench.feeds import draw_feeds
    from bnfuse.bench.sessions import full_name, open_runner
    from bnfuse.verifying.runtime.onnx_models import onnx_source

    request = json.loads(options)
    provider = full_name(request["provider"])
    base = peak_bytes()
    runner = open_runner(model, provider, request["threads"])
    feeds = draw_feeds(
        runner,
        onnx_source(model, str(model)),
        batch=request["batch"],
        input_shapes=request["input_shapes"],
        seed=request["seed"],
    )
    for _ in range(_RUNS):
        runner.run(feeds)
    peak = peak_bytes()
    return None if base is None or peak is None else Memory(base, peak)


if __name__ == "__main__":
    measured = _child(Path(sys.argv[1]), sys.argv[2])
    sys.stdout.write(json.dumps(None if measured is None else asdict(measured)) + "\n")
