"""Time ONNX models against each other: interleaved, in one process, with the noise stated."""

from __future__ import annotations

from bnfuse.bench.compare import compare
from bnfuse.bench.memory import Memory
from bnfuse.bench.result import Comparison, Contestant, Difference
from bnfuse.bench.statistics import Quantiles, Ratio

__all__ = ["Comparison", "Contestant", "Difference", "Memory", "Quantiles", "Ratio", "compare"]
