"""How far a resize errs by the coordinates that it interpolates at, which are float32 numbers.

ONNX Runtime divides by the scale, PyTorch multiplies by its inverse. Where the scale is no power
of two one of them may be exact where the other errs, in proportion to the length of the axis.
"""

from __future__ import annotations

__all__ = ["coordinate_error"]

import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

_COORDINATE = 0.6
"""Rounding units of a coordinate at the end of an axis by which it errs: measured on the runtime,
for linear and cubic interpolation of square images."""


def coordinate_error(x: Array, resized: Array) -> Array:
    """Return how far an interpolation errs, in rounding units of 1, to be broadcast to the result.

    Args:
        x: What is resized.
        resized: The result, of as many axes.
    """
    found = np.zeros((1,) * resized.ndim)
    if x.ndim != resized.ndim:
        return found
    axes = [n for n in range(x.ndim) if x.shape[n] != resized.shape[n] and x.shape[n] > 1]
    for axis in axes:
        length = x.shape[axis]
        if not math.log2(max(resized.shape[axis], 1) / length).is_integer():
            steps = np.square(np.diff(x, axis=axis)).mean(axis=tuple(axes), keepdims=True)
            found = found + _COORDINATE * length * np.sqrt(steps)
    return found
