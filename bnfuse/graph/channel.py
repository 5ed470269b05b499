"""Which axis of ``x`` a constant runs along: tracked through broadcasting, never by length.

Numpy-style broadcasting aligns shapes from the right, so a constant of shape (C, 1, 1) against an
``x`` of rank 4 runs along axis 1 whatever C is. Its length only serves as a check that nothing is
broadcast *up*: an ``x`` with one channel against C constants grows, and is not a per-channel map.
"""

from __future__ import annotations

__all__ = [
    "ChannelConstant",
    "NotPerChannel",
    "channel_constant",
    "static_dim",
]

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import onnx_ir as ir
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class ChannelConstant:
    """A constant that is one number per index of ``axis``; a scalar when ``axis`` is ``None``."""

    axis: int | None
    vector: NDArray[np.float64]


@dataclass(frozen=True)
class NotPerChannel:
    """Why a constant is not one number per channel."""

    reason: str


def static_dim(shape: ir.Shape | None, axis: int) -> int | None:
    """The length of an axis, where it is known before a run."""
    if shape is None or axis >= len(shape):
        return None
    dim = shape[axis]
    return dim if isinstance(dim, int) else None


def channel_constant(
    array: NDArray[Any], shape: ir.Shape | None
) -> ChannelConstant | NotPerChannel:
    """Read ``array`` as per-channel constants of an ``x`` with this shape.

    Args:
        array: Any float or integer array that is combined with ``x`` elementwise.
        shape: The shape of ``x``; its rank must be known.

    Returns:
        The axis and a float64 vector of shape (C,), or () for a scalar; or the reason why not.
    """
    if shape is None:
        return NotPerChannel("the rank of its input is not known")
    if array.size == 0:
        return NotPerChannel("its constant is empty")
    rank = len(shape)
    if array.ndim > rank:
        return NotPerChannel(f"a constant of rank {array.ndim} raises its input's rank {rank}")
    offset = rank - array.ndim
    for position, length in enumerate(array.shape):
        known = static_dim(shape, offset + position)
        if length != 1 and known != length:
            found = "an unknown number of" if known is None else str(known)
            return NotPerChannel(
                f"a constant of {length} entries meets {found} along axis {offset + position}"
            )
    varying = [axis for axis in range(array.ndim) if _varies(array, axis)]
    if len(varying) > 1:
        axes = ", ".join(str(offset + axis) for axis in varying)
        return NotPerChannel(f"its constant varies over more than one axis ({axes})")
    if not varying:
        # Equal numbers along one named axis are still that axis's constants: a fresh norm's ones.
        named = [axis for axis in range(array.ndim) if array.shape[axis] > 1]
        if len(named) != 1:
            return ChannelConstant(None, array.reshape(-1)[0].astype(np.float64))
        varying = named
    (axis,) = varying
    index = tuple(slice(None) if i == axis else 0 for i in range(array.ndim))
    return ChannelConstant(offset + axis, array[index].astype(np.float64))


def _varies(array: NDArray[Any], axis: int) -> bool:
    if array.shape[axis] == 1:
        return False
    first = np.take(array, [0], axis=axis)
    return not np.array_equal(
        np.broadcast_to(first, array.shape), array, equal_nan=array.dtype.kind == "f"
    )
