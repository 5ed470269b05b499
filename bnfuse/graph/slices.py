"""What a Slice takes along each axis, given by attributes before opset 10, by inputs since."""

from __future__ import annotations

__all__ = ["Constants", "is_whole", "slices_of"]

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import onnx_ir as ir
    from numpy.typing import NDArray

_TO_THE_END = (1 << 31) - 1
"""Exporters write the end of an axis as the largest number of 32 or 64 bits."""


class Constants(Protocol):
    """What knows a graph's constants."""

    def array(self, value: ir.Value | None) -> NDArray[Any] | None:
        """The numbers of a value; ``None`` where they are no constant."""


def slices_of(node: ir.Node, constants: Constants) -> dict[int, slice] | None:
    """What a Slice takes along each axis that it names, as Python slices.

    Returns:
        ``None`` unless the input's rank is known and every start, end, axis and step is constant.
    """
    x = node.inputs[0]
    if x is None or x.shape is None:
        return None
    read: list[list[int] | None]
    if "starts" in node.attributes:
        given = [node.attributes.get_ints(key, []) for key in ("starts", "ends", "axes")]
        read = [list(numbers) or None for numbers in given]
    else:
        arrays = [None if v is None else constants.array(v) for v in node.inputs[1:]]
        if any(v and array is None for v, array in zip(node.inputs[1:], arrays, strict=True)):
            return None
        read = [None if array is None else [int(n) for n in array] for array in arrays]
    starts, ends, axes, steps = (*read, None, None)[:4]
    if starts is None or ends is None:
        return None
    rows = zip(axes or range(len(starts)), starts, ends, steps or [1] * len(starts), strict=True)
    return {axis % len(x.shape): slice(start, end, step) for axis, start, end, step in rows}


def is_whole(taken: slice, length: int | None) -> bool:
    """Whether a slice takes an axis from its beginning to its end, whatever a length unknown is."""
    end = _TO_THE_END if length is None else length
    return bool(taken.start == 0 and taken.step == 1 and taken.stop >= end)
