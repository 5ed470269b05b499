"""Facts about float types that numpy alone does not tell of all of them."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

__all__ = [
    "SUPPORTED",
    "TF32_UNIT",
    "classes",
    "is_finite",
    "is_float",
    "is_same",
    "largest",
    "smallest_normal",
    "unit_roundoff",
]

TF32_UNIT = 2.0**-11
"""Half the spacing at 1 of NVIDIA's TF32, which rounds float32 to 10 bits of mantissa."""

SUPPORTED = frozenset({"float16", "float32", "float64"})
"""Float types that numpy and ONNX Runtime's Python interface both carry."""


def is_float(dtype: np.dtype[Any]) -> bool:
    """Return whether a dtype is a float, bfloat16 and the 8-bit ones included."""
    return bool(np.issubdtype(dtype, np.floating)) or dtype.name.startswith(("bfloat", "float"))


def unit_roundoff(dtype: np.dtype[Any]) -> float:
    """Return half the spacing at 1: the largest relative error of one rounding."""
    return float(_facts(dtype).eps) / 2


def is_finite(value: np.ndarray[Any, Any]) -> bool:
    """Return whether an array holds no NaN and no infinity, as one of anything but floats does."""
    return not is_float(value.dtype) or bool(np.isfinite(value).all())


def is_same(one: np.ndarray[Any, Any], two: np.ndarray[Any, Any], part: float) -> bool:
    """Return whether two arrays differ by no more than a part of the first one's largest number."""
    if one.shape != two.shape:
        return False
    if not is_float(one.dtype):
        return bool(np.array_equal(one, two))
    one, two = (np.asarray(value, np.float64) for value in (one, two))
    with np.errstate(invalid="ignore"):
        apart = np.abs(one - two)
    room = part * np.abs(one[np.isfinite(one)]).max(initial=0.0)
    return bool((~(apart > room)).all() and np.array_equal(np.isnan(one), np.isnan(two)))


def smallest_normal(dtype: np.dtype[Any]) -> float:
    """Return the smallest positive number of full precision."""
    return float(_facts(dtype).tiny)


def largest(dtype: np.dtype[Any]) -> float:
    """Return the largest finite number."""
    return float(_facts(dtype).max)


def _facts(dtype: np.dtype[Any]) -> Any:
    return ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call]


def classes(values: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.int8]]:
    """Return 0 for finite, 1 for NaN, 2 for +Inf and 3 for −Inf, element by element."""
    found = np.zeros(values.shape, np.int8)
    found[np.isnan(values)] = 1
    found[values == np.inf] = 2
    found[values == -np.inf] = 3
    return found
