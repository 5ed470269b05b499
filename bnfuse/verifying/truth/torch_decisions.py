"""The decisions that a module's code takes by floats, recorded or taken otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from bnfuse.verifying.truth.decisions import Decision

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DecisionMode", "Taken"]

Array = np.ndarray[Any, Any]

# What exporters write for them.
_KINDS = {
    "argmax": "ArgMax",
    "argmin": "ArgMin",
    "ceil": "Ceil",
    "floor": "Floor",
    "ge": "GreaterOrEqual",
    "gt": "Greater",
    "le": "LessOrEqual",
    "lt": "Less",
    "max": "ArgMax",
    "min": "ArgMin",
    "round": "Round",
    "sort": "TopK",
    "topk": "TopK",
}
_KNOWN = (torch.float16, torch.float32, torch.float64)
_PAIRS = frozenset({"max", "min", "sort", "topk"})


@dataclass(frozen=True)
class Taken:
    """One decision.

    Attributes:
        kind: The ONNX op that does it.
        read: The floats that it compared.
        taken: What came of it.
        axis: Along which it chose.
        keepdims: Whether the axis stays.
    """

    kind: str
    read: tuple[Array, ...]
    taken: Array
    axis: int = 0
    keepdims: bool = True

    def decision(self, name: str) -> Decision:
        """Return what it decided by; the inputs are named after the decision."""
        inputs = tuple(f"{name}.{place}" for place in range(len(self.read)))
        return Decision(self.kind, inputs, self.axis, self.keepdims)


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
        if op not in _KINDS or first is None or first.dtype not in _KNOWN:
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
        taken = Taken(_KINDS[op], arrays, index.numpy().copy(), int(axis or 0), keepdims)
        position = len(self.found)
        self.found.append(taken)
        if position not in self.substitutes:
            return result
        other = torch.from_numpy(np.array(self.substitutes[position])).to(index.dtype)
        other = other.reshape(index.shape)
        if not pair:
            return other
        wide = other if keepdims else other.unsqueeze(taken.axis)
        values = torch.take_along_dim(first, wide, taken.axis)
        return type(result)((values if keepdims else values.squeeze(taken.axis), other))
