"""How much a verified fold runs: ``python -m benchmarks.inferences``.

Prints for each net how often a session of ONNX Runtime ran, how often the float64 reference did,
how many of those runs simulated rounding or sought inputs, and the seconds of both. One net is
judged against a fold with one bias off by little: what a near miss costs. Exits with 1 if a
verified fold of ResNet-50 takes more than 40 inferences, or of the transformer more than 150.
"""

from __future__ import annotations

__all__ = ["Counts", "counted", "folded", "main", "nudged"]

import argparse
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
from onnx import numpy_helper
from rich.console import Console
from rich.table import Table

import bnfuse
from benchmarks import graphs
from benchmarks.environment import save
from bnfuse.verifying import Verification, verify
from bnfuse.verifying.runtime.sessions import Session
from bnfuse.verifying.truth.sources import OnnxTruth

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST = {"ResNet-50": 40, "transformer": 150}
_METHODS = (
    (Session, "run", "inferences"),
    (OnnxTruth, "values", "float64 runs"),
    # Those of its runs that err.
    (OnnxTruth, "watched", "simulated"),
    (OnnxTruth, "taped", "directed"),
)


@dataclass
class Counts:
    """How often things ran, and for how many seconds."""

    runs: Counter[str] = field(default_factory=Counter)
    seconds: Counter[str] = field(default_factory=Counter)


@contextmanager
def counted() -> Iterator[Counts]:
    """Count what verifications inside the block run."""
    counts = Counts()
    before = [(kind, name, getattr(kind, name)) for kind, name, _ in _METHODS]
    for kind, name, of in _METHODS:
        setattr(kind, name, _counting(getattr(kind, name), counts, of))
    try:
        yield counts
    finally:
        for kind, name, plain in before:
            setattr(kind, name, plain)


def _counting(plain: Any, counts: Counts, of: str) -> Any:
    def run(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        try:
            return plain(*args, **kwargs)
        finally:
            if of != "simulated" or kwargs.get("jitter") is not None:
                counts.runs[of] += 1
                counts.seconds[of] += time.perf_counter() - start

    return run


def folded(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return what ``bnfuse fold`` makes of a model."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "folded.onnx")
        bnfuse.fold(model, output=target, verified=False)
        return onnx.load(target)


def nudged(model: onnx.ModelProto, by: float = 1e-4) -> onnx.ModelProto:
    """Return a model whose last bias is off in one place, by a part of its largest number."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    name = next(n.input[2] for n in reversed(copy.graph.node) if n.op_type == "Gemm")
    tensor = next(item for item in copy.graph.initializer if item.name == name)
    values = numpy_helper.to_array(tensor).copy()
    values[0] += by
    tensor.CopyFrom(numpy_helper.from_array(values, name))
    return copy


def main() -> int:
    """Measure, print, save."""
    argparse.ArgumentParser(
        prog="python -m benchmarks.inferences", description=__doc__
    ).parse_args()
    rows: dict[str, dict[str, Any]] = {}
    for name, model, broken in (
        ("ResNet-50", graphs.resnet50(), False),
        ("transformer", graphs.transformer(), False),
        ("ResNet-18, a near miss", graphs.resnet18(), True),
    ):
        candidate = nudged(folded(model)) if broken else folded(model)
        rows[name] = _measured(model, candidate)
    console, table = Console(), Table("net", "verdict", *(of for *_, of in _METHODS), "seconds")
    for name, row in rows.items():
        runs = (str(row["runs"].get(of, 0)) for *_, of in _METHODS)
        table.add_row(name, row["verdict"], *runs, f"{row['seconds']:.1f}")
    console.print(table)
    console.print(f"saved to {save('inferences', rows)}")
    return int(any(rows[name]["runs"]["inferences"] > most for name, most in _MOST.items()))


def _measured(original: onnx.ModelProto, candidate: onnx.ModelProto) -> dict[str, Any]:
    with counted() as counts:
        start = time.perf_counter()
        result: Verification = verify(original, candidate, providers=["cpu"])
        seconds = time.perf_counter() - start
    return {
        "verdict": result.verdict.value,
        "samples": len(result.samples),
        "seconds": seconds,
        "runs": dict(counts.runs),
        "seconds in": dict(counts.seconds),
    }


if __name__ == "__main__":
    sys.exit(main())
