"""Convolution and pooling in float64 as sums over kernel taps: one matrix product per tap.

``onnx.reference`` gathers every window into one matrix, which takes memory in proportion to the
kernel's size. A sum over taps reads strided views of the padded input, and the products go to
BLAS. The functions take numpy arrays of layout (N, C, *spatial) and ONNX attributes.
"""

from __future__ import annotations

import functools
import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["average_pool", "conv", "conv_transpose", "max_pool", "padding"]

Array = np.ndarray[Any, Any]


def conv(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    auto_pad: str | None = None,
    dilations: Sequence[int] | None = None,
    group: int | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Array:
    """Return the convolution of ``x`` (N, C, *spatial) by ``weight`` (O, C/group, *kernel)."""
    rank = x.ndim - 2
    kernel = weight.shape[2:]
    strides, dilations = _each(strides, rank), _each(dilations, rank)
    groups = group or 1
    begin, end = padding(x.shape[2:], kernel, strides, dilations, pads, auto_pad)
    padded = _pad(x, begin, end, 0.0)
    out = [
        (padded.shape[2 + i] - (kernel[i] - 1) * dilations[i] - 1) // strides[i] + 1
        for i in range(rank)
    ]
    batch, outputs = x.shape[0], weight.shape[0]
    total = np.zeros((batch, groups, outputs // groups, math.prod(out)), x.dtype)
    grouped = weight.reshape(groups, outputs // groups, weight.shape[1], -1)
    for at, view in _taps(padded, kernel, out, strides, dilations):
        columns = view.reshape(batch, groups, weight.shape[1], -1)
        # Without unit strides numpy multiplies in a loop of its own instead of BLAS.
        rows = np.ascontiguousarray(grouped[..., at])
        total += rows * columns if weight.shape[1] == 1 else rows @ columns
    result = total.reshape(batch, outputs, *out)
    return result if bias is None else result + bias.reshape(-1, *[1] * rank)


def conv_transpose(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    dilations: Sequence[int] | None = None,
    group: int | None = None,
    output_padding: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Array:
    """Return the transposed convolution by ``weight`` (C, O/group, *kernel)."""
    rank = x.ndim - 2
    kernel = weight.shape[2:]
    strides, dilations = _each(strides, rank), _each(dilations, rank)
    groups = group or 1
    extra = list(output_padding or [0] * rank)
    around = list(pads or [0] * 2 * rank)
    sizes = x.shape[2:]
    full = [
        (sizes[i] - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 + extra[i]
        for i in range(rank)
    ]
    batch, channels = x.shape[:2]
    outputs = weight.shape[1] * groups
    total = np.zeros((batch, outputs, *full), x.dtype)
    columns = x.reshape(batch, groups, channels // groups, -1)
    grouped = weight.reshape(groups, channels // groups, weight.shape[1], -1)
    for at, view in _taps(total, kernel, sizes, strides, dilations):
        rows = np.ascontiguousarray(grouped[..., at].swapaxes(1, 2))
        view += (rows @ columns).reshape(batch, outputs, *sizes)
    crop = tuple(slice(around[i], full[i] - around[rank + i]) for i in range(rank))
    result = total[(slice(None), slice(None), *crop)]
    return result if bias is None else result + bias.reshape(-1, *[1] * rank)


def max_pool(x: Array, **attributes: Any) -> Array:
    """Return the largest value of each window; the attributes are those of ``MaxPool``."""
    padded, _, taps = _windows(x, -np.inf, **attributes)
    return np.asarray(functools.reduce(np.maximum, taps(padded)))


def average_pool(x: Array, *, count_include_pad: int | None = None, **attributes: Any) -> Array:
    """Return the mean of each window, over its real values or over its declared padding too.

    The other attributes are those of ``AveragePool``.
    """
    padded, ends, taps = _windows(x, 0.0, **attributes)
    inside = np.zeros((1, 1, *padded.shape[2:]), x.dtype)
    # What ceil_mode adds beyond the declared padding counts in neither case.
    region = tuple(
        slice(0, before + size + after) if count_include_pad else slice(before, before + size)
        for before, size, after in zip(ends[0], x.shape[2:], ends[1], strict=True)
    )
    inside[(slice(None), slice(None), *region)] = 1.0
    none = np.zeros((), x.dtype)
    total, count = (functools.reduce(np.add, taps(value), none) for value in (padded, inside))
    return np.asarray(total / count)


def _windows(
    x: Array,
    value: float,
    *,
    kernel_shape: Sequence[int],
    auto_pad: str | None = None,
    ceil_mode: int | None = None,
    dilations: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> tuple[Array, tuple[list[int], list[int]], Callable[[Array], Iterator[Array]]]:
    """Return the padded input, its declared padding, and what yields its windows' numbers.

    These come as one array for each place in a window.
    """
    rank = x.ndim - 2
    steps, spread = _each(strides, rank), _each(dilations, rank)
    begin, end = padding(x.shape[2:], kernel_shape, steps, spread, pads, auto_pad)
    out: list[int] = []
    beyond: list[int] = []
    for i in range(rank):
        size = x.shape[2 + i]
        reach = (kernel_shape[i] - 1) * spread[i] + 1
        room = size + begin[i] + end[i] - reach
        count = (-(-room // steps[i]) if ceil_mode else room // steps[i]) + 1
        # The last window has to start on the input or its leading padding.
        if ceil_mode and (count - 1) * steps[i] >= size + begin[i]:
            count -= 1
        out.append(count)
        beyond.append(max(0, (count - 1) * steps[i] + reach - size - begin[i] - end[i]))
    padded = _pad(x, begin, [e + b for e, b in zip(end, beyond, strict=True)], value)

    def taps(value: Array) -> Iterator[Array]:
        return (view for _, view in _taps(value, kernel_shape, out, steps, spread))

    return padded, (begin, end), taps


def _taps(
    padded: Array,
    kernel: Sequence[int],
    out: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> Iterator[tuple[int, Array]]:
    for at, tap in enumerate(itertools.product(*(range(size) for size in kernel))):
        starts = [tap[i] * dilations[i] for i in range(len(tap))]
        view = tuple(
            slice(starts[i], starts[i] + (out[i] - 1) * strides[i] + 1, strides[i])
            for i in range(len(tap))
        )
        yield at, padded[(slice(None), slice(None), *view)]


def _each(values: Sequence[int] | None, rank: int) -> list[int]:
    return [int(value) for value in values] if values else [1] * rank


def padding(
    sizes: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    pads: Sequence[int] | None,
    auto_pad: str | None,
) -> tuple[list[int], list[int]]:
    """Return how much is added before and after each spatial axis."""
    rank = len(sizes)
    if auto_pad in {"SAME_UPPER", "SAME_LOWER"}:
        begin, end = [], []
        for i in range(rank):
            reach = (kernel[i] - 1) * dilations[i] + 1
            total = max(0, (-(-sizes[i] // strides[i]) - 1) * strides[i] + reach - sizes[i])
            small, large = total // 2, total - total // 2
            begin.append(large if auto_pad == "SAME_LOWER" else small)
            end.append(small if auto_pad == "SAME_LOWER" else large)
        return begin, end
    if auto_pad == "VALID" or not pads:
        return [0] * rank, [0] * rank
    return [int(p) for p in pads[:rank]], [int(p) for p in pads[rank:]]


def _pad(x: Array, begin: Sequence[int], end: Sequence[int], value: float) -> Array:
    if not any(begin) and not any(end):
        return x
    widths = [(0, 0), (0, 0), *zip(begin, end, strict=True)]
    return np.pad(x, widths, constant_values=value)
