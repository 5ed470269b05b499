"""What is known of sizes before a run.

**The entries of tensors that hold sizes** are numbers where they are known, dimensions by their
names. ``Shape(x)`` is a constant as far as the shape of ``x`` is known, and so is what is cut out
of it: ``x.shape[1]`` is one although the batch is not.

**Sizes that ONNX's inference and the runtimes compute differently** count as unknown.
``floor(10 · 1.3)`` is 12 or 13 by the type it is computed in. A pool with ``ceil_mode`` may or may
not have a last window that begins in the padding. Where both give one number, that is the size.
"""

from __future__ import annotations

__all__ = [
    "Dim",
    "Window",
    "dims_of",
    "doubtful_axes",
    "entries_of",
    "known_sizes",
    "padded_by",
    "resize_scales",
    "same_shape",
    "windows_of",
]

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import onnx_ir as ir

from bnfuse.graph.access import given, input_of, is_op
from bnfuse.graph.channel import static_dim
from bnfuse.graph.slices import Constants, slices_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

Dim = int | str
_Entries = list[Dim | None]
_DEPTH = 24
_AS_THEY_ARE = frozenset({"Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze"})
_NEAR = 1e-4
"""How near to a whole number, relative to its size, a product can be rounded to either side."""


def dims_of(shape: ir.Shape | None) -> list[Dim] | None:
    """The lengths of a shape, or their names; ``None`` unless each has one."""
    return _complete(_lengths(shape))


def same_shape(one: ir.Shape | None, two: ir.Shape | None) -> bool:
    """Whether two shapes are known to be equal, lengths of a run by their names."""
    dims = dims_of(one)
    return dims is not None and dims == dims_of(two)


def entries_of(value: ir.Value, constants: Constants) -> list[Dim] | None:
    """An integer tensor's entries in order, sizes by their names; ``None`` unless all are known."""
    return _complete(_entries(value, constants, _DEPTH))


def known_sizes(value: ir.Value, constants: Constants) -> NDArray[np.int64] | None:
    """What a Shape, or a Gather or Slice of one, gives on every run; ``None`` where it may vary."""
    node = value.producer()
    if not is_op(node, "Gather", "Shape", "Slice") or value.dtype not in (None, ir.DataType.INT64):
        return None
    entries = _entries(value, constants, _DEPTH)
    if entries is None or not all(isinstance(entry, int) for entry in entries):
        return None
    index = constants.array(node.inputs[1]) if node.op_type == "Gather" else None
    return np.array(entries, dtype=np.int64).reshape(-1 if index is None else index.shape)


def _complete(entries: _Entries | None) -> list[Dim] | None:
    known = [entry for entry in entries or [] if entry is not None]
    return known if entries is not None and len(known) == len(entries) else None


def _entries(value: ir.Value | None, constants: Constants, depth: int) -> _Entries | None:
    node = None if value is None else value.producer()
    if node is not None and (depth == 0 or node.domain):
        return None
    if is_op(node, "Shape"):
        return _shape_entries(node)
    array = constants.array(value)
    if array is not None:
        return [int(n) for n in np.asarray(array).reshape(-1)]
    if is_op(node, "Concat"):
        pieces = [_entries(v, constants, depth - 1) for v in node.inputs]
        known = [piece for piece in pieces if piece is not None]
        return [d for piece in known for d in piece] if len(known) == len(pieces) else None
    if not is_op(node, "Gather", "Slice", *_AS_THEY_ARE):
        return None
    first = _entries(input_of(node), constants, depth - 1)
    if first is None or node.op_type in _AS_THEY_ARE:
        return first
    return (_gathered if node.op_type == "Gather" else _sliced)(node, first, constants)


def _gathered(node: ir.Node, entries: _Entries, constants: Constants) -> _Entries | None:
    index = constants.array(node.inputs[1])
    if index is None or any(not -len(entries) <= i < len(entries) for i in index.reshape(-1)):
        return None
    return [entries[int(i)] for i in index.reshape(-1)]


def _sliced(node: ir.Node, entries: _Entries, constants: Constants) -> _Entries | None:
    taken = slices_of(node, constants)
    return None if taken is None or set(taken) != {0} else entries[taken[0]]


def _shape_entries(node: ir.Node) -> _Entries | None:
    lengths = _lengths(input_of(node).shape)
    if lengths is None:
        return None
    start = node.attributes.get_int("start", 0)
    end = node.attributes.get_int("end", len(lengths))
    return lengths[start:end]


def _lengths(shape: ir.Shape | None) -> _Entries | None:
    if shape is None:
        return None
    return [dim if isinstance(dim, int) else dim.value for dim in shape]


def doubtful_axes(node: ir.Node, constants: Constants) -> tuple[int, ...]:
    """The axes of the first output whose length depends on who computes it."""
    if is_op(node, "Resize", "Upsample"):
        return tuple(_of_resize(node, constants))
    is_pool = is_op(node, "AveragePool", "LpPool", "MaxPool")
    if is_pool and node.attributes.get_int("ceil_mode", 0) == 1:
        return tuple(_of_pool(node))
    return ()


def _of_resize(node: ir.Node, constants: Constants) -> Iterator[int]:
    x = input_of(node)
    if x.shape is None:
        return
    rank = len(x.shape)
    axes = [axis % rank for axis in node.attributes.get_ints("axes", range(rank))]
    if node.attributes.get_string("keep_aspect_ratio_policy", "stretch") != "stretch":
        yield from axes
        return
    for axis, scale in (resize_scales(node, constants) or {}).items():
        length = static_dim(x.shape, axis)
        product = None if length is None else length * float(scale)
        # A product that is whole in exact arithmetic is so in any type.
        if product is not None and 0.0 < abs(product - round(product)) <= _NEAR * max(1.0, product):
            yield axis


def resize_scales(node: ir.Node, constants: Constants) -> dict[int, float] | None:
    """What a Resize or an Upsample scales each axis by; ``None`` where that is not given."""
    x = input_of(node)
    if x.shape is None:
        return None
    rank = len(x.shape)
    # Upsample's and Resize's of opset 10 are the second input, the others' the third.
    place = 1 if len(node.inputs) == 2 else 2
    array, scales = constants.array(given(node, place)), node.attributes.get_floats("scales", [])
    if array is not None:
        scales = [float(scale) for scale in array.reshape(-1)]
    axes = node.attributes.get_ints("axes", range(rank))
    if not scales or len(scales) != len(axes):
        return None
    return {axis % rank: scale for axis, scale in zip(axes, scales, strict=True)}


def _of_pool(node: ir.Node) -> Iterator[int]:
    automatic = node.attributes.get_string("auto_pad", "NOTSET") not in ("NOTSET", "")
    for axis, window in enumerate(windows_of(node), 2):
        length = static_dim(input_of(node).shape, axis)
        if length is None:
            continue
        free = length + window.begin + window.end - window.span - 1
        last = -(-free // window.stride) * window.stride
        if free % window.stride and (automatic or last >= length + window.begin):
            yield axis


class Window(NamedTuple):
    """How a kernel slides along one spatial axis.

    Attributes:
        taps: The kernel's size.
        stride: The stride.
        dilation: The dilation.
        begin: Padding before the input, as it is given.
        end: Padding after it.
    """

    taps: int
    stride: int = 1
    dilation: int = 1
    begin: int = 0
    end: int = 0

    @property
    def span(self) -> int:
        """From the first tap to the last."""
        return self.dilation * (self.taps - 1)


def windows_of(node: ir.Node, kernel: Sequence[int] | None = None) -> list[Window]:
    """The windows of a Conv, whose kernel is that of its weight, or of a pool."""
    attributes = node.attributes
    kernel = attributes.get_ints("kernel_shape", []) if kernel is None else kernel
    rank = len(kernel)
    strides, dilations = (attributes.get_ints(n, [1] * rank) for n in ("strides", "dilations"))
    pads = attributes.get_ints("pads", [0] * 2 * rank)
    parts = (kernel, strides, dilations, pads[:rank], pads[rank:])
    return [Window(*map(int, window)) for window in zip(*parts, strict=True)]


def padded_by(node: ir.Node, constants: Constants) -> list[tuple[int, int]] | None:
    """What a Pad adds before and after each axis; ``None`` where that is not known before a run."""
    shape, amounts, chosen = input_of(node).shape, given(node, 1), given(node, 3)
    added, some = constants.array(amounts), constants.array(chosen)
    is_open = (amounts is not None and added is None) or (chosen is not None and some is None)
    if shape is None or is_open:
        return None
    rank, by_attribute = len(shape), node.attributes.get_ints("pads", [])
    pads = [int(n) for n in (by_attribute if added is None else added)]
    axes = range(rank) if some is None else [int(axis) % rank for axis in some]
    if len(pads) != 2 * len(axes):
        return None
    pairs = [(0, 0)] * rank
    for axis, before, behind in zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True):
        pairs[axis] = (before, behind)
    return pairs
