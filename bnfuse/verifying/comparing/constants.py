"""Gate 6: each folded constant against its independent float64 derivation.

The comparison of outputs cannot see one bias of many that is slightly off; this can. Who folded
a model says, for every constant it stored, what the exact value is and what one rounding unit of
it is measured against. A weight is rounded once, so it lies within half a unit in the last place
of ``|value|``. A folded bias ``beta - mean * scale`` may cancel; what it was rounded from is
``|mean * scale| + |beta|``, and that is its unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from bnfuse.verdict import Verdict
from bnfuse.verifying.runtime.floats import is_float, smallest_normal, unit_roundoff
from bnfuse.verifying.runtime.onnx_models import onnx_source
from bnfuse.verifying.verdicts.result import ConstantParity

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["ALLOWED_UNITS", "Derived", "check_constants"]

ALLOWED_UNITS = 1.01
"""Rounding units (half the spacing of the stored dtype, of the constant's own unit) that a stored
constant may lie from its derivation: one for the rounding, the rest for float64's own."""


@dataclass(frozen=True)
class Derived:
    """The exact value of one stored constant.

    Attributes:
        tensor: The initialiser's name in the candidate.
        value: float64, in the stored shape.
        unit: float64, broadcastable to ``value``: what rounding is measured against; None means
            ``|value|``.
        rule: The rewrite that made it.
        node: The node that uses it.
    """

    tensor: str
    value: np.ndarray[Any, Any]
    unit: np.ndarray[Any, Any] | None = None
    rule: str = ""
    node: str = ""


def check_constants(
    candidate: str | Path | onnx.ModelProto | Any, derived: Iterable[Derived]
) -> tuple[ConstantParity, ...]:
    """Compare each stored constant with its derivation.

    Args:
        candidate: The folded model.
        derived: What its constants should be.

    Returns:
        One finding per constant, in order.
    """
    # One at a time: together the derivations are larger than the model.
    remaining = iter(derived)
    first = next(remaining, None)
    if first is None:
        return ()
    proto = onnx_source(candidate, "candidate").proto()
    stored = _stored(proto.graph)
    return tuple(_check(item, stored.get(item.tensor)) for item in chain([first], remaining))


def _stored(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    """The constants of a graph and of the bodies of its nodes, by name."""
    stored = {item.name: item for item in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].HasField("t"):
            stored[node.output[0]] = node.attribute[0].t
        for attribute in node.attribute:
            for body in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                stored.update(_stored(body))
    return stored


def _check(item: Derived, tensor: onnx.TensorProto | None) -> ConstantParity:
    def finding(
        verdict: Verdict, reason: str = "", error: float = 0.0, index: tuple[int, ...] = ()
    ) -> ConstantParity:
        return ConstantParity(
            item.tensor, item.rule, item.node, verdict, error, ALLOWED_UNITS, index, reason
        )

    if tensor is None:
        return finding(Verdict.FAIL, "the candidate holds no constant of this name")
    value = onnx.numpy_helper.to_array(tensor)
    exact = np.asarray(item.value, np.float64)
    if value.shape != exact.shape:
        return finding(Verdict.FAIL, f"its shape is {list(value.shape)}, not {list(exact.shape)}")
    if not value.size:
        return finding(Verdict.PASS)
    # A constant that is no float has to be exact to what float64 resolves.
    dtype = value.dtype if is_float(value.dtype) else np.dtype(np.float64)
    unit = np.abs(exact) if item.unit is None else np.broadcast_to(np.abs(item.unit), exact.shape)
    # Below the smallest normal number the spacing no longer shrinks with the value.
    spacing = unit_roundoff(dtype) * np.maximum(
        np.maximum(unit, np.abs(exact)), smallest_normal(dtype)
    )
    with np.errstate(invalid="ignore"):
        error = np.abs(value.astype(np.float64) - exact) / spacing
    error = np.where(np.isnan(error), np.inf, error)
    index = np.unravel_index(int(np.argmax(error)), error.shape)
    worst = float(error[index])
    at = tuple(int(i) for i in index)
    if worst <= ALLOWED_UNITS:
        return finding(Verdict.PASS, error=worst, index=at)
    return finding(
        Verdict.FAIL,
        f"{value[index]:.9g} at {list(at)} lies {worst:.3g} rounding units from its float64 "
        f"derivation {exact[index]:.9g} ({item.rule or 'unnamed rule'}, {item.node or 'no node'})",
        worst,
        at,
    )
