"""How far ONNX Runtime's ops lie from the truth: a table that was measured on the runtime itself.

``python -m benchmarks.runtime_errors`` measures it anew. An op that is not in the table rounds
its result once. Those that are in it approximate: a ``Sigmoid`` errs by a part of 1, and is 0
where the truth is 1e-9.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from bnfuse.verifying.ops import onnx_name

__all__ = ["SINGLE", "TABLE", "OpError", "error_of", "has_absolute", "lanes_of"]

SINGLE = 2.0**-24
"""The rounding unit of float32, in which the table's numbers are."""

TABLE = Path(__file__).with_name("runtime_errors.json")


@dataclass(frozen=True)
class OpError:
    """How far an op's result ``y`` of ``x`` may lie from the truth.

    By at most ``relative * |y| + argument * |x| + absolute`` rounding units of float32.
    """

    relative: float = 1.0
    argument: float = 0.0
    absolute: float = 0.0


def error_of(op: str) -> OpError:
    """Return the error of an ONNX op or of a torch op's ONNX spelling."""
    return _errors().get(onnx_name(op), OpError())


def has_absolute(op: str) -> bool:
    """Return whether an op's error may be larger than its result."""
    error = error_of(op)
    norm = _SAME_SUMS.get(op, op) == "InstanceNormalization"
    return error.absolute > 0 or error.argument > 0 or norm


def lanes_of(op: str) -> int:
    """Return how many partial sums a mean, or a norm's, is added up in; 0 for any other op.

    At the optimisation level that takes the fewest.
    """
    return _lanes().get(_SAME_SUMS.get(op, op), 0)


_SAME_SUMS = dict.fromkeys(
    ("GroupNormalization", "native_group_norm", "native_batch_norm", "_native_batch_norm_legit"),
    "InstanceNormalization",
) | {"ReduceSum": "ReduceMean", "mean": "ReduceMean", "sum": "ReduceMean"}


@cache
def _read() -> dict[str, Any]:
    return dict(json.loads(TABLE.read_text()))


@cache
def _errors() -> dict[str, OpError]:
    return {op: OpError(**entry) for op, entry in _read()["errors"].items()}


@cache
def _lanes() -> dict[str, int]:
    return {op: int(count) for op, count in _read()["lanes"].items()}
