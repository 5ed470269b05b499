"""Torch ops in float64, whatever the code that calls them asks for."""

from __future__ import annotations

import math
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from bnfuse.verifying.ops import Fact, has, onnx_name
from bnfuse.verifying.runtime.calibration import SINGLE, lanes_of
from bnfuse.verifying.truth.branches import bent_sides
from bnfuse.verifying.truth.double import BudgetSpentError, NoTruthError
from bnfuse.verifying.truth.jitter import by_channel, lane_norm, running_norm, summed
from bnfuse.verifying.truth.partial_sums import chain_of, walk
from bnfuse.verifying.truth.resizing import coordinate_error

if TYPE_CHECKING:
    from bnfuse.verifying.truth.branches import BranchCounter
    from bnfuse.verifying.truth.jitter import Jitter

__all__ = ["DoubleMode"]

_NARROW = (torch.float32, torch.float16, torch.bfloat16)


# Where the constants of an op stand among its arguments.
_CONSTANTS = {
    "convolution": (1, 2),
    "mm": (1,),
    "bmm": (1,),
    "addmm": (0, 2),
    "baddbmm": (0, 2),
    "native_batch_norm": (1, 2, 3, 4),
    "_native_batch_norm_legit_no_training": (1, 2, 3, 4),
}
# Of ops that bend: the ONNX op, the names of the bounds among the arguments, the bounds.
_BENT: dict[str, tuple[str, tuple[str, ...], Any, Any]] = {
    "relu": ("Relu", (), None, None),
    "leaky_relu": ("LeakyRelu", (), None, None),
    "prelu": ("PRelu", (), None, None),
    "_prelu_kernel": ("PRelu", (), None, None),
    "clamp": ("Clip", ("min", "max"), None, None),
    "clamp_min": ("Clip", ("min",), None, None),
    "clamp_max": ("Clip", ("max",), None, None),
    "hardtanh": ("Clip", ("min", "max"), -1.0, 1.0),
    "hardswish": ("HardSwish", (), -3.0, 3.0),
    "where": ("Where", (), None, None),
    "maximum": ("Max", (), None, None),
    "minimum": ("Min", (), None, None),
}
_SCALING = frozenset({"add", "div", "mul", "sub"})


def _without_chance(func: Any, args: Any, kwargs: Any) -> Any:
    """Run an op, unless it draws: attention and dropout may, and do not at inference.

    Raises:
        NoTruthError: The op moved a generator on.
    """
    if torch.Tag.nondeterministic_seeded not in func.tags:
        return func(*args, **kwargs)
    generator = kwargs.get("generator") or torch.default_generator
    before = generator.get_state()
    result = func(*args, **kwargs)
    if not torch.equal(before, generator.get_state()):
        raise NoTruthError(f"the module draws random numbers ({func})")
    return result


class DoubleMode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Runs every op in float64, also where the code asks for a narrower float.

    Plain tensors that ``.double()`` does not reach are widened when an op reads them, and dtype
    arguments that name a narrower float are replaced.

    Attributes:
        pinned: Names of the ops whose dtype had to be replaced.
        ops: Names of all ops.
        deadline: ``time.monotonic()`` after which an op raises ``BudgetSpentError``.
        branches: Counts the sides of piecewise ops, if given.
        jitter: Makes each op err as a narrower float would, if given.
        stored: The rounding unit of the type that constants are stored in.
    """

    def __init__(
        self,
        deadline: float | None = None,
        branches: BranchCounter | None = None,
        jitter: Jitter | None = None,
        stored: float = SINGLE,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.pinned: set[str] = set()
        self.ops: set[str] = set()
        self.deadline = deadline
        self.branches = branches
        self.jitter = jitter
        self.stored = stored
        self._seen: dict[str, int] = {}
        self._elementary = ExitStack()

    def __enter__(self) -> Any:
        """Attention is taken apart too: one fused op would hide its branches and its roundings."""
        self._elementary.enter_context(sdpa_kernel(SDPBackend.MATH))
        return super().__enter__()  # type: ignore[no-untyped-call]

    def __exit__(self, *error: Any) -> None:
        """Leave the mode, and attention as it was."""
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        self._elementary.close()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one op, widened."""
        del types
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise BudgetSpentError
        mutable = func._schema.is_mutable
        self.ops.add(func.overloadpacket.__name__)

        def widen(value: Any) -> Any:
            if isinstance(value, torch.Tensor) and value.dtype in _NARROW and not mutable:
                return value.to(torch.float64)
            if isinstance(value, torch.dtype) and value in _NARROW:
                self.pinned.add(str(func))
                return torch.float64
            return value

        args, kwargs = tree_map(widen, args), tree_map(widen, kwargs or {})
        if self.jitter is not None:
            args = self._roughen(func, args)
        result = _without_chance(func, args, kwargs)
        if self.branches is not None:
            self._count(func, args, kwargs, result)
        return result if self.jitter is None or mutable else self._rough(func, args, result)

    def _roughen(self, func: Any, args: Any) -> Any:
        """Round the constants of linear and scaling ops: those errors are alike for all rows."""
        assert self.jitter is not None
        op = func.overloadpacket.__name__
        places = _CONSTANTS.get(op, ())
        if op in _SCALING and all(isinstance(item, torch.Tensor) for item in args[:2]):
            # The smaller operand of a broadcast is one value for many rows.
            one, two = args[0].numel(), args[1].numel()
            places = () if one == two else ((0,) if one < two else (1,))
        rounded = list(args)
        for place in places:
            value = args[place] if place < len(args) else None
            if isinstance(value, torch.Tensor) and value.dtype == torch.float64:
                rough = self.jitter.weight(value.numpy(), self.stored)
                rounded[place] = torch.from_numpy(np.asarray(rough))
        return tuple(rounded)

    def _rough(self, func: Any, args: Any, result: Any) -> Any:
        assert self.jitter is not None
        op = func.overloadpacket.__name__
        if isinstance(result, tuple) and not has(onnx_name(op), Fact.EXACT):
            normed = _normed(op, args)
            if normed is not None and self.jitter.unit >= SINGLE:
                return _laid_out(self.jitter.rounded(normed), result[0]), *result[1:]
            return tuple(self._rough(func, args, item) for item in result)
        if not isinstance(result, torch.Tensor) or result.dtype != torch.float64:
            return result
        # Views and copies of values round nothing; what writes into an alias must stay one.
        if has(onnx_name(op), Fact.EXACT) or func.is_view:
            return result
        value = result.numpy()
        terms = _reach(op, args)
        if terms:
            walked = self.jitter.walks.of(value, lambda: _walk(func, op, args, value, terms))
            rough = self.jitter.accumulated(value, walked, 1 if op == "convolution" else -1)
            return _laid_out(rough, result)
        if op in {"mean", "sum"} and result.numel() and args[0].dtype == torch.float64:
            rank = args[0].dim()
            dims = args[1] if len(args) > 1 and args[1] else range(rank)
            axes = sorted(int(axis) % rank for axis in dims)
            pool = self.jitter.pooled and rank > 2 and axes == list(range(2, rank))
            lanes = lanes_of("GlobalAveragePool" if pool else op)
            value = summed(args[0].numpy(), axes, result.dim() == rank, lanes)
            value = value * (result.numel() / args[0].numel() if op == "mean" else 1.0)
        first = args[0] if args and isinstance(args[0], torch.Tensor) else result
        if "avg_pool" in op and self.jitter.unit >= SINGLE:
            # Torch adds up one by one, as the runtime does.
            value = func(first.float(), *args[1:]).double().numpy()
        resizes = op.startswith(("upsample", "_upsample")) and "nearest" not in op
        beside = coordinate_error(first.numpy(), value) if resizes else None
        rough = self.jitter.rounded(value, op, first.numpy(), beside)
        return _laid_out(rough, result)

    def _count(self, func: Any, args: Any, kwargs: Any, result: Any) -> None:
        assert self.branches is not None
        op = func.overloadpacket.__name__.rstrip("_")
        if op not in _BENT:
            return
        position = self._seen[op] = self._seen.get(op, -1) + 1
        # In-place variants overwrite what went in.
        if func._schema.is_mutable:
            return
        kind, names, low, high = _BENT[op]
        bounds = {"low": low, "high": high, **kwargs, **dict(zip(names, args[1:], strict=False))}
        if kind == "Clip":
            low, high = bounds.get("min", bounds["low"]), bounds.get("max", bounds["high"])
        if not any(isinstance(bound, torch.Tensor) for bound in (low, high)):
            inputs = [item.numpy() for item in args if isinstance(item, torch.Tensor)]
            sides = bent_sides(kind, inputs, [result.numpy()], (low, high))
            self.branches.add(f"{op} {position}", op, sides, channels=op != "where")


def _laid_out(value: Any, like: torch.Tensor) -> torch.Tensor:
    """Return numbers as a tensor that lies in memory as ``like`` does: a view asks for that."""
    numbers = torch.from_numpy(np.asarray(value)).reshape(like.shape)
    return torch.empty_like(like).copy_(numbers)


def _normed(op: str, args: Any) -> Any:
    """Return a norm by its input's own statistics, taken in float32, or None."""
    lanes = lanes_of(op) if "norm" in op else 0
    runs = op == "native_layer_norm"
    if not (lanes or runs) or not args[0].numel() or args[0].dtype != torch.float64:
        return None
    if runs:
        x, shape, *affine, epsilon = args
        parts = [None if part is None else part.numpy() for part in affine]
        return running_norm(x.numpy(), -len(shape), parts, epsilon)
    x, weight, bias = args[:3]
    batch = op != "native_group_norm"
    if batch and not args[5]:
        return None
    values = x.numpy()
    if batch:
        # The statistics are those of the batch and all positions.
        moved = values.swapaxes(0, 1)
        normed = lane_norm(moved[None], len(moved), args[7], lanes)[0].swapaxes(0, 1)
    else:
        normed = lane_norm(values, args[6], args[7], lanes)
    return by_channel(normed, *(None if v is None else v.numpy() for v in (weight, bias)))


def _walk(func: Any, op: str, args: Any, value: Any, terms: int) -> Any:
    """Return how far the errors of an op's dot products walk."""
    one, two = (item.numpy() for item in (args[1:3] if op in {"addmm", "baddbmm"} else args[:2]))
    if op != "convolution":
        chain = chain_of(math.prod(value.shape[-1:]))
        return walk(np.matmul, one, two, terms, chain, (-1, max(-2, -two.ndim)))

    def run(a: Any, b: Any) -> Any:
        tensors = (torch.from_numpy(np.ascontiguousarray(item)) for item in (a, b))
        return func(*tensors, None, *args[3:]).numpy()

    chain = chain_of(math.prod(value.shape[2:]))
    plain = not args[6] and args[8] == 1
    return walk(run, one, two, terms, chain, (1, 1) if plain else None)


def _reach(op: str, args: Any) -> int:
    """Return how many terms each dot product of an op adds; 0 if it has none."""
    if op == "convolution":
        return int(args[1][0].numel())
    if op in {"mm", "bmm", "mv", "dot"}:
        return int(args[0].shape[-1])
    if op in {"addmm", "baddbmm"}:
        return int(args[1].shape[-1])
    return 0
