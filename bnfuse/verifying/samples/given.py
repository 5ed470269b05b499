"""Inputs that someone gave: real data, or example inputs that say what the model accepts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bnfuse.errors import UsageError
from bnfuse.verifying.runtime.narrow_types import carried
from bnfuse.verifying.samples.drawing import Sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bnfuse.verifying.runtime.onnx_models import Port

__all__ = ["Given", "given_inputs"]

Array = np.ndarray[Any, Any]

_ROWS_AT_ONCE = 32


@dataclass(frozen=True)
class Given:
    """What was given, by input name.

    Attributes:
        example: Arrays to take sizes and integer ranges from.
        real: Whether the arrays are data to compare on, and nothing is to be made up.
        dynamic: Symbols of the axes of each input that may change, where the giver knows.
        extra: Arguments that the module takes and the ONNX model does not, with all the others.
    """

    example: Mapping[str, Array] = field(default_factory=dict)
    real: bool = False
    dynamic: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    def samples(self, ports: Sequence[Port]) -> list[Sample]:
        """Return the data as samples: in pieces along a dynamic batch, and one row alone."""
        if not self.example:
            return []
        if not self.real:
            return [Sample("given", dict(self.example))]
        rows = {value.shape[0] if value.ndim else 0 for value in self.example.values()}
        first = [port.dims[0] if port.dims else 0 for port in ports]
        if len(rows) != 1 or rows == {0}:
            return [Sample("given", dict(self.example))]
        (total,) = rows
        fixed = {dim for dim in first if isinstance(dim, int)}
        if fixed and (len(fixed) > 1 or total % max(1, *fixed)):
            return [Sample("given", dict(self.example))]
        step = fixed.pop() if fixed else _ROWS_AT_ONCE
        starts = range(0, total, step)
        pieces = [(start, min(start + step, total)) for start in starts]
        if not any(isinstance(dim, int) for dim in first):
            pieces += [(0, size) for size in (2, 1) if size < total]
        return [
            Sample("given", {name: value[a:b] for name, value in self.example.items()})
            for a, b in pieces
        ]

    def limited_to(self, ports: Sequence[Port]) -> tuple[Given, list[str]]:
        """Call dynamic only the axes that ``ports`` leave open; return notes on the others."""
        dynamic: dict[str, dict[int, str]] = {}
        notes = []
        for port in ports:
            for axis, symbol in self.dynamic.get(port.name, {}).items():
                size = port.dims[axis] if port.dims is not None and axis < len(port.dims) else None
                if isinstance(size, int):
                    notes.append(
                        f"the candidate takes dimension {axis} of {port.name!r} at {size} only, "
                        "and was compared at no other"
                    )
                else:
                    dynamic.setdefault(port.name, {})[axis] = symbol
        return replace(self, dynamic=dynamic), notes

    def symbolic(self, ports: Sequence[Port]) -> tuple[Port, ...]:
        """Return ``ports`` with the axes that may change made symbolic."""
        changed = []
        for port in ports:
            axes = self.dynamic.get(port.name, {})
            dims = port.dims
            if dims is not None and axes:
                dims = tuple(
                    axes[axis] if axis in axes and isinstance(dim, int) else dim
                    for axis, dim in enumerate(dims)
                )
            changed.append(replace(port, dims=dims))
        return tuple(changed)


def given_inputs(inputs: Any, ports: Sequence[Port]) -> Given:
    """Return ``inputs`` by the names of ``ports``.

    Args:
        inputs: None, a mapping of names to arrays, the path of an ``.npz`` file, an array or
            several in the order of the inputs, or an object with ``args`` and ``names`` such as
            :class:`bnfuse.loading.ExampleInputs`.
        ports: The inputs of the model.

    Raises:
        UsageError: An input has no value, or the file cannot be read.
    """
    if inputs is None:
        return Given()
    if isinstance(inputs, (str, Path)):
        return Given(_complete(_read(Path(inputs)), ports), real=True)
    if isinstance(inputs, Mapping):
        arrays = {name: _array(value) for name, value in inputs.items()}
        return Given(_complete(arrays, ports), real=True)
    if not hasattr(inputs, "args"):
        return Given(_in_order(inputs, ports))
    args = [_array(value) for value in inputs.args]
    names = [str(name) for name in (getattr(inputs, "names", None) or ())]
    by_name = dict(zip(names, args, strict=False))
    extra = dict(zip(names, inputs.args, strict=False)) if len(args) > len(ports) else {}
    if not {port.name for port in ports} <= set(by_name):
        by_name = dict(zip((port.name for port in ports), args, strict=False))
        names = [port.name for port in ports]
    example = {port.name: by_name[port.name] for port in ports if port.name in by_name}
    if len(example) < len(ports):
        return Given()
    dynamic = zip(names, getattr(inputs, "dynamic", None) or (), strict=False)
    return Given(example, dynamic={name: dict(axes) for name, axes in dynamic}, extra=extra)


def _in_order(inputs: Any, ports: Sequence[Port]) -> dict[str, Array]:
    values = inputs if isinstance(inputs, (list, tuple)) else [inputs]
    if len(values) != len(ports):
        raise UsageError(
            f"{len(values)} inputs were given, and the model takes {len(ports)} "
            f"({', '.join(port.name for port in ports)}).",
            "Give one for each of them, or a mapping of their names to arrays.",
        )
    return {
        port.name: _typed(_array(value), port) for port, value in zip(ports, values, strict=True)
    }


def _read(path: Path) -> dict[str, Array]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, AttributeError) as error:
        raise UsageError(
            f"{path} cannot be read as an .npz file: {error}.",
            "Write it with numpy.savez, one array per input, named like the input.",
        ) from error


def _complete(arrays: Mapping[str, Array], ports: Sequence[Port]) -> dict[str, Array]:
    missing = [port.name for port in ports if port.name not in arrays]
    if missing and len(arrays) == len(ports) == 1:
        return {ports[0].name: _typed(next(iter(arrays.values())), ports[0])}
    if missing:
        raise UsageError(
            f"The data have no array for input {missing[0]!r}.",
            f"The inputs are {', '.join(port.name for port in ports)}.",
        )
    return {port.name: _typed(arrays[port.name], port) for port in ports}


def _typed(value: Array, port: Port) -> Array:
    if port.dtype is None:
        return value
    return value.astype(port.dtype, copy=False).astype(carried(port.dtype), copy=False)


def _array(value: Any) -> Array:
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    return np.asarray(value)
