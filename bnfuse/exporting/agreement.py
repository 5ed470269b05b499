"""Whether a graph runs and is about the module: one run, before anything is built on it.

An exporter or a simplifier that goes wrong goes wrong by far: a graph that no runtime opens, a size
that became a number, another path. So the comparison is loose; rounding is for the verifier.
"""

from __future__ import annotations

__all__ = ["elsewhere", "fault", "loosened", "wider"]

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import torch

from bnfuse.errors import ExportError
from bnfuse.exporting.opset import check
from bnfuse.exporting.request import one_sentence
from bnfuse.exporting.skeleton import TooLargeError, skeleton

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bnfuse.exporting.dimensions import Dimension
    from bnfuse.exporting.request import Request

    Sizes = Mapping[tuple[str, int], int]

_ANOTHER: tuple[Callable[[int], int], ...] = (
    lambda size: size + 1,
    lambda size: 2 * size,
    lambda size: size + 32,
    lambda size: size - 1,
)
_MORE_THAN_ONE = 2
_NO_KERNEL = ("NotImplemented", "NOT_IMPLEMENTED", "is not a registered function/op")


def fault(model: ir.Model, request: Request, dimensions: Sequence[Dimension] = ()) -> str:
    """Say what is wrong with an export of ``request``'s module, or return the empty string.

    The graph is checked and run as written on the example inputs, then with each dimension that it
    declares dynamic at another size that the module accepts, within the bounds of ``dimensions``.
    What ONNX Runtime has no kernel for, and a module that differs from itself, cannot be judged
    here and have no fault.
    """
    try:
        check(model)
    except ExportError as error:
        return f"it is not valid ONNX: {_clause(error)}"
    try:
        session, weights = _open(model)
    except TooLargeError:
        return ""
    except Exception as error:
        return "" if _lacks_kernel(error) else f"it does not open: {_clause(error)}"
    for sizes in ({}, *wider(model, request, dimensions)):
        try:
            wrong = _differs(session, weights, request, request.resized(sizes), _at(sizes))
        except _NoKernelError:
            return ""
        if wrong:
            return wrong
    return ""


def loosened(
    model: ir.Model, request: Request, dimensions: Sequence[Dimension]
) -> Sequence[Dimension]:
    """Drop the bounds of 2 where a graph without a fault is the module at 1 all the same.

    torch.export takes the path of a size of 1 for another, also where it computes the same.
    """
    if not any(dim.is_bounded and dim.low == _MORE_THAN_ONE for dim in dimensions):
        return dimensions
    try:
        session, weights = _open(model)
    except Exception:
        return dimensions

    def holds(bound: Dimension) -> bool:
        sizes = {(d.input, d.axis): 1 for d in dimensions if d.exported == bound.exported}
        try:
            return not _differs(session, weights, request, request.resized(sizes))
        except Exception:
            return False

    return [
        replace(dim, low=None) if dim.low == _MORE_THAN_ONE and holds(dim) else dim
        for dim in dimensions
    ]


def elsewhere(model: ir.Model, request: Request) -> str:
    """Say what is wrong with a graph without a fault on other numbers than the example's."""
    try:
        session, weights = _open(model)
    except Exception:
        return ""
    shuffled = [partial(_shuffled, seed=seed) for seed in range(4)]
    changes: list[Callable[[torch.Tensor], torch.Tensor]] = [_mirrored, _magnified, *shuffled]
    for change in changes:
        inputs = [change(tensor) for tensor in request.inputs.args]
        try:
            wrong = _differs(session, weights, request, inputs)
        except Exception:
            # The module takes no such numbers.
            continue
        if wrong:
            return wrong
    return ""


def _mirrored(tensor: torch.Tensor) -> torch.Tensor:
    """The largest number for the least."""
    if tensor.dtype is torch.bool or not tensor.numel():
        return tensor
    return (tensor.max() - tensor) + tensor.min()


def _magnified(tensor: torch.Tensor) -> torch.Tensor:
    """Ten times the number; of what may be an index the least alone."""
    if tensor.dtype is torch.bool or not tensor.numel():
        return tensor
    return 10 * tensor if tensor.is_floating_point() else tensor.min().expand_as(tensor).clone()


def _shuffled(tensor: torch.Tensor, seed: int) -> torch.Tensor:
    """The same numbers at other places, each perhaps several times."""
    generator = torch.Generator().manual_seed(seed)
    places = torch.randint(max(tensor.numel(), 1), (tensor.numel(),), generator=generator)
    return tensor.flatten()[places.to(tensor.device)].reshape(tensor.shape)


class _NoKernelError(Exception):
    """The runtime has no kernel for an op of the graph."""


def _differs(
    session: Any,
    weights: Mapping[str, Any],
    request: Request,
    inputs: Sequence[torch.Tensor],
    where: str = "",
) -> str:
    """How a graph differs from the module on these inputs; empty if it does not."""
    try:
        found = _run(session, weights, dict(zip(request.inputs.names, inputs, strict=True)))
    except Exception as error:
        if _lacks_kernel(error):
            raise _NoKernelError from error
        return f"it does not run{where}: {_clause(error)}"
    if _agree(found, request.call(*inputs)) or not _steady(request, inputs):
        return ""
    return f"it computes something else than the module{where}"


def wider(
    model: ir.Model, request: Request, dimensions: Sequence[Dimension] = ()
) -> Iterator[Sizes]:
    """Yield, for each dynamic dimension of the graph, another size that the module accepts.

    Dimensions of one name change together. A size next to the example's is tried first, then those
    that strides divide.
    """
    bounds = {(dim.input, dim.axis): dim for dim in dimensions}
    axes: dict[str, dict[tuple[str, int], int]] = {}
    for value, name, tensor in zip(
        model.graph.inputs, request.inputs.names, request.inputs.args, strict=True
    ):
        for axis, dim in enumerate(value.shape or ()):
            if isinstance(dim, ir.SymbolicDim):
                axes.setdefault(str(dim.value), {})[name, axis] = tensor.shape[axis]
    for places in axes.values():
        for another in _ANOTHER:
            sizes = {place: another(size) for place, size in places.items()}
            allowed = all(bounds[at].allows(size) for at, size in sizes.items() if at in bounds)
            if allowed and request.accepts(sizes):
                yield sizes
                break


def _open(model: ir.Model) -> tuple[Any, dict[str, Any]]:
    """Open the graph; its large weights are handed over with the inputs, so none is copied."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    bare = skeleton(model, keep_foldable=True)
    session = ort.InferenceSession(
        bare.proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    weights = {
        name: value.const_value.numpy()
        for name, value in bare.weights.items()
        if value.const_value is not None
    }
    return session, weights


def _run(
    session: Any, weights: Mapping[str, Any], feeds: Mapping[str, torch.Tensor]
) -> Sequence[Any]:
    taken = {value.name for value in session.get_inputs()}
    arrays = {name: tensor.cpu().numpy() for name, tensor in feeds.items() if name in taken}
    results: Sequence[Any] = session.run(None, {**weights, **arrays})
    return results


def _agree(found: Sequence[Any], expected: Sequence[torch.Tensor]) -> bool:
    return len(found) == len(expected) and all(
        _close(one, two.detach().cpu()) for one, two in zip(found, expected, strict=True)
    )


def _close(found: Any, expected: torch.Tensor) -> bool:
    if tuple(found.shape) != tuple(expected.shape):
        return False
    if not expected.is_floating_point():
        # An index or a decision may turn on rounding.
        return True
    # Far looser than rounding, even in half precision, and far tighter than another function.
    numbers = expected.double().numpy()
    scale = float(np.abs(numbers[np.isfinite(numbers)]).max(initial=0.0))
    return bool(np.allclose(found, numbers, rtol=0.05, atol=0.05 * scale, equal_nan=True))


def _steady(request: Request, inputs: Sequence[torch.Tensor]) -> bool:
    one = request.call(*inputs)
    # A call leaves the generator as it was: without this both would draw the same.
    torch.rand(())
    two = request.call(*inputs)
    return _agree([tensor.detach().cpu().numpy() for tensor in one], two)


def _lacks_kernel(error: Exception) -> bool:
    return type(error).__name__ in _NO_KERNEL or any(text in str(error) for text in _NO_KERNEL)


def _clause(error: Exception) -> str:
    text = one_sentence(error).removeprefix("[ONNXRuntimeError] : ")
    return text.removeprefix("The exporter produced an invalid ONNX model: ")


def _at(sizes: Sizes) -> str:
    return "".join(f" at a size of {size} of {name!r}" for (name, _), size in [*sizes.items()][:1])
