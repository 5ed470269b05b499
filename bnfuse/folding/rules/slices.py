"""What a Slice takes along each axis, given by attributes before opset 10, by inputs since."""

from __future__ import annotations

__all__ = ["python_slice", "slices_of"]

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bnfuse.folding.rules.crossing import Crossing


def slices_of(at: Crossing) -> dict[int, tuple[int, int, int]] | None:
    """Per sliced axis its start, end and step; ``None`` unless all of them are constant."""
    node, shape = at.node, at.x.shape
    assert shape is not None
    if "starts" in node.attributes:
        given = [node.attributes.get_ints(key, []) for key in ("starts", "ends", "axes")]
        read = [list(numbers) if numbers else None for numbers in given]
    else:
        arrays = [at.array(place) for place in range(1, len(node.inputs))]
        missing = zip(node.inputs[1:], arrays, strict=True)
        if any(value is not None and array is None for value, array in missing):
            return None
        read = [None if array is None else [int(n) for n in array] for array in arrays]
    starts, ends, axes, steps = (*read, None, None)[:4]
    assert starts is not None
    assert ends is not None
    rows = zip(axes or range(len(starts)), starts, ends, steps or [1] * len(starts), strict=True)
    return {axis % len(shape): (start, end, step) for axis, start, end, step in rows}


def python_slice(start: int, end: int, step: int, length: int) -> slice:
    """The same part of an axis of this length in Python."""
    # ONNX clamps a negative end of a downward slice to "before the first"; Python needs None.
    return slice(start, None if step < 0 and end < -length else end, step)
