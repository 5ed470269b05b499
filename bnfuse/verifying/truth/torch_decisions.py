"""The decisions that a module's code takes by floats, recorded or taken otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from bnfuse.verifying.ops import Fact, has, onnx_name
from bnfuse.verifying.truth.decisions import Decision

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DecisionMode", "Taken"]

Array = np.ndarray[Any, Any]

_KNOWN = (torch.float16, torch.float32, torch.float64)
_PAIRS = frozenset({"max", "min", "sort", "topk"})


def _decides(op: str) -> bool:
    return op in _PAIRS or has(onnx_name(op), Fact.DECIDES)


@dataclass(frozen=True)
class Taken:
    """One decision.

    Attributes:
        decision: What it decided by; its inputs are named after its position in the code.
        read: The floats that it compared.
        taken: What came of it.
    """

    decision: Decision
    read: tuple[Array, ...]
    taken: Array


class DecisionMode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records each decision in the order of the code.

    Attributes:
        found: The decisions as the code takes them, whatever it goes on with.
        substitutes: By position, what to go on with instead.
    """

    def __init__(self, substitutes: Mapping[int, Array] | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[Taken] = []
        self.substitutes = dict(substitutes or {})

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one op."""
        del types
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        op = func.overloadpacket.__name__
        first = args[0] if args and isinstance(args[0], torch.Tensor) else None
        if not _decides(op) or first is None or first.dtype not in _KNOWN:
            return result
        pair = op in _PAIRS
        if pair and not isinstance(result, tuple):
            return result  # the largest number of all
        index = result[1] if pair else result
        read = [first, *(item for item in args[1:2] if op in {"ge", "gt", "le", "lt"})]
        arrays = tuple(
            item.detach().numpy().copy()
            if isinstance(item, torch.Tensor)
            else np.asarray(item, np.float64)
            for item in read
        )
        place = {"topk": 2, "max": 1, "min": 1, "argmax": 1, "argmin": 1, "sort": 1}.get(op)
        axis = kwargs.get("dim", args[place] if place and len(args) > place else None)
        if place and axis is None:
            if op.startswith("arg"):
                return result
            axis = -1
        keepdims = op in {"topk", "sort"} or index.dim() == first.dim()
        position = len(self.found)
        names = tuple(f"{position}.{place}" for place in range(len(arrays)))
        decision = Decision(onnx_name(op), names, int(axis or 0), keepdims)
        self.found.append(Taken(decision, arrays, index.numpy().copy()))
        if position not in self.substitutes:
            return result
        other = torch.from_numpy(np.array(self.substitutes[position])).to(index.dtype)
        other = other.reshape(index.shape)
        if not pair:
            return other
        wide = other if keepdims else other.unsqueeze(decision.axis)
        values = torch.take_along_dim(first, wide, decision.axis)
        return type(result)((values if keepdims else values.squeeze(decision.axis), other))
