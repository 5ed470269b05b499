"""PyTorch's current exporter: torch.export captures the program, torch.onnx translates it.

A size that the program computes with cannot always stay symbolic. torch.export is left to find
which can (``Dim.AUTO``): asked to keep one that cannot be kept, it fails when all is done.
"""

from __future__ import annotations

__all__ = ["DataDependentError", "capture"]

import re
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import onnx_ir as ir
import torch

from bnfuse.exporting.decided import places
from bnfuse.exporting.dimensions import Dimension, apply_dimensions
from bnfuse.exporting.request import RefusedError, one_sentence, where

if TYPE_CHECKING:
    from bnfuse.exporting.request import Request


class DataDependentError(RefusedError):
    """The path depends on the numbers in a tensor: no choice of sizes helps."""


def capture(request: Request, *, dynamic: bool) -> tuple[ir.Model, list[Dimension]]:
    """Export by torch.export.

    Args:
        request: The job.
        dynamic: Keep the dimensions that were asked for dynamic, wherever that is possible.

    Returns:
        The graph, its dimensions named as asked, and what became of each that was.

    Raises:
        RefusedError: torch.export or the translation to ONNX does not take the module.
    """
    if isinstance(request.module, torch.jit.ScriptModule):
        raise RefusedError("a TorchScript program holds no Python for torch.export to follow")
    try:
        program = _export(request, torch.export.Dim.AUTO if dynamic else None)
    except Exception as error:
        data_dependent = _data_dependent(error.__cause__ or error)
        raise (DataDependentError if data_dependent else RefusedError)(_reason(error)) from error
    return program.model, _name_dimensions(program, request)


def _export(request: Request, hint: Any) -> torch.onnx.ONNXProgram:
    shapes = None
    if hint is not None:
        axes = [dict.fromkeys(symbols, hint) for symbols in request.inputs.dynamic]
        shapes = {
            name: tuple(value) if isinstance(value, (tuple, list)) else value
            for name, value in request.per_argument(axes).items()
        }
    with torch.no_grad():
        program = torch.onnx.export(
            request.module,
            request.args,
            kwargs=request.kwargs or None,
            dynamo=True,
            dynamic_shapes=shapes,
            opset_version=request.opset,
            # Its optimiser has rules that fuse batch norm into convolutions.
            optimize=False,
            verbose=False,
        )
    assert program is not None
    return program


def _data_dependent(cause: BaseException) -> bool:
    return "DataDependent" in type(cause).__name__ or "data-dependent" in str(cause)


def _reason(error: Exception) -> str:
    cause = error.__cause__ or error
    if _data_dependent(cause):
        return f"data-dependent control flow{_user_line(str(cause)) or where(cause)}"
    place = where(cause)
    while cause.__cause__ is not None:
        cause = cause.__cause__
    lines = [line.strip("- ") for line in str(cause).splitlines() if line.startswith("- ")]
    text = lines[0].rstrip(".") if lines else one_sentence(cause)
    return f"{text}{place}"


def _user_line(message: str) -> str:
    found = re.findall(r'File "([^"]+)", line (\d+)', message)
    if not found:
        return ""
    path, line = found[-1]
    return f" at {PurePath(path).name}:{line}"


def _name_dimensions(program: torch.onnx.ONNXProgram, request: Request) -> list[Dimension]:
    ranges = {
        str(symbol): bounds
        for symbol, bounds in getattr(program.exported_program, "range_constraints", {}).items()
    }
    found = []
    lines = places(program.exported_program)
    for name, symbols, value in zip(
        request.inputs.names, request.inputs.dynamic, program.model.graph.inputs, strict=True
    ):
        for axis, symbol in symbols.items():
            dim = value.shape[axis] if value.shape is not None else None
            text = dim.value if isinstance(dim, ir.SymbolicDim) else None
            low, high = _bounds(ranges.get(text or ""))
            fixed = dim if isinstance(dim, int) else low if low == high else None
            line = lines.get((name, axis), "")
            found.append(Dimension(name, axis, symbol, text, fixed, low, high, line))
    apply_dimensions(program.model, found)
    return [_checked(dim, found, request) for dim in found]


def _checked(dim: Dimension, all_dims: list[Dimension], request: Request) -> Dimension:
    """Drop a bound beyond which the module itself fails: it takes nothing away."""

    def accepts(size: int) -> bool:
        return request.accepts(
            {(d.input, d.axis): size for d in all_dims if d.exported == dim.exported}
        )

    low = dim.low if dim.low is not None and dim.low > 1 and accepts(dim.low - 1) else None
    high = dim.high if dim.high is not None and accepts(dim.high + 1) else None
    return replace(dim, low=low, high=high)


def _bounds(constraint: Any) -> tuple[int | None, int | None]:
    """A range's ends, None where an end is infinite (which no conversion to int survives)."""
    ends = (getattr(constraint, "lower", None), getattr(constraint, "upper", None))
    low, high = (int(str(end)) if getattr(end, "is_Integer", False) else None for end in ends)
    return low, high
