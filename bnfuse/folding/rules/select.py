"""Through ops that select channels: Split, Slice and Gather on constant indices.

``A(x[index]) = (A'(x))[index]`` where ``A'`` holds the constants of ``A`` at the channels that
``index`` names. The other channels feed nothing through this op, and nothing else reads ``x`` (a
Split's other outputs are left as they are), so they keep the identity.
"""

from __future__ import annotations

__all__ = ["MoveThroughSelection"]

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bnfuse.folding.plan import Answer, Refusal, Response
from bnfuse.folding.rules.channels import embed
from bnfuse.lifting.channel import static_dim

if TYPE_CHECKING:
    import onnx_ir as ir

    from bnfuse.affine import ChannelAffine
    from bnfuse.lifting.constants import ConstantEvaluator

Index = NDArray[np.intp]


class MoveThroughSelection:
    """Split, Slice and Gather."""

    op_types = ("Split", "Slice", "Gather")

    def backward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """The channels that are selected take their constants before the selection."""
        x = node.inputs[0]
        if x is None or x.shape is None:
            return _unknown(node)
        if affine.axis is None and len(node.outputs) == 1:
            return Answer(pull=((x, affine),))
        if affine.axis is None:
            axis: int | None = _axis_attribute(node, x)
        else:
            axis = _input_axis(node, affine.axis, len(x.shape))
        if axis is None:
            return _unknown(node)
        selected = _selected(node, index, axis, constants)
        channels = static_dim(x.shape, axis)
        if isinstance(selected, Refusal):
            return selected
        if selected is None:
            if len(node.outputs) > 1:
                return Refusal(
                    f"Split {node.name!r} gives other parts of the same channels", node.name or ""
                )
            return Answer(pull=((x, affine.along(axis)),))
        if channels is None:
            return _unknown(node)
        merged = _merged(affine, axis, selected, channels)
        if merged is None:
            return Refusal(
                f"Gather {node.name!r} takes a channel twice, with other constants each time",
                node.name or "",
            )
        return Answer(pull=((x, merged),))

    def forward(
        self, node: ir.Node, index: int, affine: ChannelAffine, constants: ConstantEvaluator
    ) -> Response:
        """The channels that are selected take their constants after the selection."""
        x = node.inputs[0]
        if index != 0 or x is None or x.shape is None:
            return _unknown(node)
        push: list[tuple[ir.Value, ChannelAffine]] = []
        for position, y in enumerate(node.outputs):
            if affine.axis is None:
                push.append((y, affine))
                continue
            axis = _output_axis(node, affine.axis)
            selected = _selected(node, position, affine.axis, constants)
            if axis is None:
                return _unknown(node)
            if isinstance(selected, Refusal):
                return selected
            part = affine if selected is None else affine.take(selected)
            push.append((y, part.along(axis)))
        return Answer(push=tuple(push))


def _selected(
    node: ir.Node, output: int, axis: int, constants: ConstantEvaluator
) -> Index | Refusal | None:
    """The channels along ``axis`` that an output holds; ``None`` where it holds all of them."""
    x = node.inputs[0]
    assert x is not None
    length = static_dim(x.shape, axis)
    if node.op_type == "Split":
        return _split(node, output, axis, length)
    if node.op_type == "Slice":
        return _sliced(node, axis, length, constants)
    if _axis_attribute(node, x) != axis:
        return None
    indices = constants.array(node.inputs[1]) if node.inputs[1] is not None else None
    if indices is None or indices.ndim != 1 or length is None:
        return _unknown(node)
    return np.asarray(indices % length, dtype=np.intp)


def _split(node: ir.Node, output: int, axis: int, length: int | None) -> Index | Refusal | None:
    x = node.inputs[0]
    assert x is not None
    if _axis_attribute(node, x) != axis:
        return None
    sizes = [static_dim(y.shape, axis) for y in node.outputs]
    known = [size for size in sizes if size is not None]
    if len(known) != len(sizes) or length is None or sum(known) != length:
        return _unknown(node)
    start = sum(known[:output])
    return np.arange(start, start + known[output])


def _sliced(
    node: ir.Node, axis: int, length: int | None, constants: ConstantEvaluator
) -> Index | Refusal | None:
    x = node.inputs[0]
    assert x is not None
    assert x.shape is not None
    parameters = _slice_parameters(node, len(x.shape), constants)
    if parameters is None:
        return _unknown(node)
    if axis not in parameters:
        return None
    if length is None:
        return _unknown(node)
    start, stop, step = parameters[axis]
    return np.arange(length)[_python_slice(start, stop, step, length)]


def _slice_parameters(
    node: ir.Node, rank: int, constants: ConstantEvaluator
) -> dict[int, tuple[int, int, int]] | None:
    """Per sliced axis its start, end and step; ``None`` unless the axes are constant."""
    if "starts" in node.attributes:
        starts, ends = (list(node.attributes.get_ints(k, [])) for k in ("starts", "ends"))
        axes = list(node.attributes.get_ints("axes", list(range(len(starts)))))
        steps = [1] * len(starts)
    else:
        arrays = [None if v is None else constants.array(v) for v in node.inputs[1:]]
        if any(v is not None and a is None for v, a in zip(node.inputs[1:], arrays, strict=True)):
            return None
        starts, ends = ([int(n) for n in a] for a in arrays[:2] if a is not None)
        given = arrays[2] if len(arrays) > 2 else None
        axes = list(range(len(starts))) if given is None else [int(n) for n in given]
        given = arrays[3] if len(arrays) > 3 else None
        steps = [1] * len(starts) if given is None else [int(n) for n in given]
    rows = zip(axes, starts, ends, steps, strict=True)
    return {axis % rank: (start, end, step) for axis, start, end, step in rows}


def _python_slice(start: int, end: int, step: int, length: int) -> slice:
    # ONNX clamps a negative end of a downward slice to "before the first"; Python needs None.
    if step < 0 and end < -length:
        return slice(start, None, step)
    return slice(start, end, step)


def _input_axis(node: ir.Node, axis: int, rank: int) -> int | None:
    """The input's axis under an output's; ``None`` where a Gather makes it from its indices."""
    if node.op_type != "Gather":
        return axis
    gathered, spread = _gathered(node)
    if spread is None:
        return None
    if axis < gathered:
        return axis
    if axis < gathered + spread:
        return gathered if spread == 1 else None
    return axis - spread + 1 if axis - spread + 1 < rank else None


def _output_axis(node: ir.Node, axis: int) -> int | None:
    if node.op_type != "Gather":
        return axis
    gathered, spread = _gathered(node)
    if spread is None or (axis == gathered and spread != 1):
        return None
    return axis if axis <= gathered else axis + spread - 1


def _gathered(node: ir.Node) -> tuple[int, int | None]:
    """The axis that a Gather selects along, and how many axes its indices put there."""
    data, indices = node.inputs[0], node.inputs[1]
    assert data is not None
    shape = None if indices is None else indices.shape
    return _axis_attribute(node, data), None if shape is None else len(shape)


def _axis_attribute(node: ir.Node, x: ir.Value) -> int:
    assert x.shape is not None
    return node.attributes.get_int("axis", 0) % len(x.shape)


def _merged(
    affine: ChannelAffine, axis: int, selected: Index, channels: int
) -> ChannelAffine | None:
    """Constants of all channels; ``None`` if one is selected twice with other constants."""
    merged = embed(affine, axis, selected, channels)
    scale, shift, _ = merged.expanded(channels)
    same = (scale[selected] == affine.scale) & (shift[selected] == affine.shift)
    return merged if bool(np.all(same)) else None


def _unknown(node: ir.Node) -> Refusal:
    return Refusal(
        f"which channels {node.op_type} {node.name!r} selects is not known before a run",
        node.name or "",
    )
