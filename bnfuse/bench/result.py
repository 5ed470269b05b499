"""What a comparison found, as data and as JSON."""

from __future__ import annotations

__all__ = ["Comparison", "Contestant", "Difference"]

from dataclasses import asdict, dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from bnfuse.bench.memory import Memory
    from bnfuse.bench.statistics import Quantiles, Ratio


class Difference(Enum):
    """What the samples say of a contestant beside the first."""

    FASTER = "faster"
    SLOWER = "slower"
    NOISE = "within noise"


@dataclass(frozen=True)
class Contestant:
    """One model's numbers.

    Attributes:
        path: The file.
        bytes: Its size, external data included.
        seconds: A run's time.
        ratio: Its time over the first's, of runs in the same rounds; exactly 1 for the first.
        memory: Of a process of its own; ``None`` where it was not asked for or cannot be known.
    """

    path: Path
    bytes: int
    seconds: Quantiles
    ratio: Ratio
    memory: Memory | None


@dataclass(frozen=True)
class Comparison:
    """Models timed against each other in one process, interleaved.

    Attributes:
        contestants: In the order given; the first is what the others are compared with.
        control: The first model in a second session of its own, over the first: the ratio of a
            model to itself. ``None`` where only one model was timed.
        provider: Where it ran.
        threads: Inside an op.
        rounds: Visits to each contestant.
        inputs: Shapes by input name.
        seed: Of the inputs' numbers.
        runtime: ONNX Runtime's version.
        notes: What else a reader of the numbers should know.
    """

    contestants: tuple[Contestant, ...]
    control: Ratio | None
    provider: str
    threads: int
    rounds: int
    inputs: dict[str, tuple[int, ...]]
    seed: int
    runtime: str
    notes: tuple[str, ...] = ()

    def difference(self, contestant: Contestant) -> Difference:
        """Whether ``contestant`` differs from the first by more than the first from itself.

        Its interval must leave out 1, and lie wholly on one side of the control's.
        """
        low = high = 1.0
        if self.control is not None:
            low, high = min(low, self.control.low), max(high, self.control.high)
        if contestant.ratio.high < low:
            return Difference.FASTER
        if contestant.ratio.low > high:
            return Difference.SLOWER
        return Difference.NOISE

    def to_json(self) -> dict[str, Any]:
        """Plain data; times in seconds, sizes in bytes."""
        return {
            "onnxruntime": self.runtime,
            "provider": self.provider,
            "threads": self.threads,
            "rounds": self.rounds,
            "seed": self.seed,
            "inputs": {name: list(shape) for name, shape in self.inputs.items()},
            "control": None if self.control is None else asdict(self.control),
            "models": [self._model_json(contestant) for contestant in self.contestants],
            "notes": list(self.notes),
        }

    def _model_json(self, contestant: Contestant) -> dict[str, Any]:
        first = contestant is self.contestants[0]
        return {
            "path": str(contestant.path),
            "bytes": contestant.bytes,
            "seconds": asdict(contestant.seconds),
            "ratio": None if first else asdict(contestant.ratio),
            "difference": None if first else self.difference(contestant).value,
            "memory": None if contestant.memory is None else asdict(contestant.memory),
        }
