"""Ops of random graphs that a norm may pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from random_linear import batch_norm, conv1, norm
from random_shapes import ANY, IMAGE, Made, Makers, Shape, like

if TYPE_CHECKING:
    from random_graphs import RandomNet


_REDUCTIONS = ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2")


def _unary(r: RandomNet, x: str, shape: Shape) -> Made:
    op_type = ("Relu", "LeakyRelu", "Identity", "Neg", "Sigmoid", "Dropout", "Abs")[r.number(7)]
    return r.net.op(op_type, x), shape


def _prelu(r: RandomNet, x: str, shape: Shape) -> Made:
    slope = r.net.param(int(shape[1]), *(1,) * (len(shape) - 2))
    return r.net.op("PRelu", x, slope), shape


def _pool(r: RandomNet, x: str, shape: Shape) -> Made:
    if any(int(n) < 2 for n in shape[2:]):
        return None
    rank = len(shape) - 2
    pad = r.number(2)
    attributes = {"kernel_shape": [2] * rank, "pads": [pad] * (2 * rank)}
    op_type = ("AveragePool", "MaxPool")[r.number(2)]
    if op_type == "AveragePool":
        attributes["count_include_pad"] = r.number(2)
    y = r.net.op(op_type, x, **attributes)
    return y, [*shape[:2], *(int(n) + 2 * pad - 1 for n in shape[2:])]


def _global_pool(r: RandomNet, x: str, shape: Shape) -> Made:
    op_type = ("GlobalAveragePool", "GlobalMaxPool")[r.number(2)]
    return r.net.op(op_type, x), [*shape[:2], *(1 for _ in shape[2:])]


def _reduce(r: RandomNet, x: str, shape: Shape) -> Made:
    axis, keep = 1 + r.number(len(shape) - 1), r.number(2)
    if len(shape) == 2 and not keep:
        return None
    op_type = _REDUCTIONS[r.number(len(_REDUCTIONS))]
    y = r.net.op(op_type, x, r.net.ints(axis), keepdims=keep)
    kept: Shape = [1 if i == axis else n for i, n in enumerate(shape) if keep or i != axis]
    return y, kept


def _transpose(r: RandomNet, x: str, shape: Shape) -> Made:
    rest = list(range(1, len(shape)))
    turn = r.number(len(rest))
    perm = [0, *rest[turn:], *rest[:turn]]
    return r.net.op("Transpose", x, perm=perm), [shape[i] for i in perm]


def _merge(r: RandomNet, x: str, shape: Shape) -> Made:
    """Join two neighbouring axes."""
    axis = 1 + r.number(len(shape) - 2)
    merged: Shape = [*shape[:axis], int(shape[axis]) * int(shape[axis + 1]), *shape[axis + 2 :]]
    target = [0 if isinstance(n, str) else n for n in merged]
    return r.net.op("Reshape", x, r.net.ints(*target)), merged


def _split_axis(r: RandomNet, x: str, shape: Shape) -> Made:
    """Part an axis of 4 in two."""
    axes = [i for i, n in enumerate(shape) if n == 4 and i > 0]
    if not axes or len(shape) == 5:
        return None
    axis = r.pick(axes)
    parted: Shape = [*shape[:axis], 2, 2, *shape[axis + 1 :]]
    target = [-1 if isinstance(n, str) else n for n in parted]
    return r.net.op("Reshape", x, r.net.ints(*target)), parted


def _shuffle(r: RandomNet, x: str, shape: Shape) -> Made:
    """A channel shuffle in two groups."""
    if int(shape[1]) % 2 or len(shape) > 4:
        return None
    front = [0 if isinstance(n, str) else n for n in shape[:1]]
    half, rest = int(shape[1]) // 2, [int(n) for n in shape[2:]]
    y = r.net.op("Reshape", x, r.net.ints(*front, 2, half, *rest))
    perm = [0, 2, 1, *range(3, len(shape) + 1)]
    y = r.net.op("Transpose", y, perm=perm)
    return r.net.op("Reshape", y, r.net.ints(*front, 2 * half, *rest)), shape


def _flatten(r: RandomNet, x: str, shape: Shape) -> Made:
    length = int(np.prod([int(n) for n in shape[1:]]))
    return r.net.op("Flatten", x), [shape[0], like(shape[1], length)]


def _flatten_at_run_time(r: RandomNet, x: str, shape: Shape) -> Made:
    """``x.view(x.shape[0], -1)``."""
    batch = r.net.op("Gather", r.net.op("Shape", x), r.net.ints(0), axis=0)
    length = int(np.prod([int(n) for n in shape[1:]]))
    rest = r.net.ints(-1 if r.number(2) else length)
    y = r.net.op("Reshape", x, r.net.op("Concat", batch, rest, axis=0))
    return y, [shape[0], like(shape[1], length)]


def _reshape_as(r: RandomNet, x: str, shape: Shape) -> Made:
    """Through another shape and back by ``reshape_as``, perhaps with an op between."""
    flat = r.net.op("Reshape", x, r.net.ints(0, -1))
    if r.number(2):
        flat = r.net.op(("Relu", "Identity")[r.number(2)], flat)
    return r.net.op("Reshape", flat, r.net.op("Shape", x)), shape


def _unsqueeze(r: RandomNet, x: str, shape: Shape) -> Made:
    if len(shape) == 5:
        return None
    axis = 1 + r.number(len(shape))
    return r.net.op("Unsqueeze", x, r.net.ints(axis)), [*shape[:axis], 1, *shape[axis:]]


def _squeeze(r: RandomNet, x: str, shape: Shape) -> Made:
    ones = [i for i, n in enumerate(shape) if n == 1 and i > 0]
    if not ones or len(shape) == 2:
        return None
    axis = r.pick(ones)
    return r.net.op("Squeeze", x, r.net.ints(axis)), [*shape[:axis], *shape[axis + 1 :]]


def _concat(r: RandomNet, x: str, shape: Shape) -> Made:
    other = r.other(shape)
    axis = 1 + r.number(len(shape) - 1)
    if other is None or int(shape[axis]) > 4:
        return None
    y = r.net.op("Concat", x, other, axis=axis)
    return y, [*shape[:axis], like(shape[axis], 2 * int(shape[axis])), *shape[axis + 1 :]]


def _concat_constant(r: RandomNet, x: str, shape: Shape) -> Made:
    """A token in front, as a vision transformer has it; the batch must be known."""
    axis = 1 + r.number(len(shape) - 1)
    if isinstance(shape[0], str) or int(shape[axis]) > 4:
        return None
    token = r.net.param(*(int(n) if i != axis else 1 for i, n in enumerate(shape)))
    y = r.net.op("Concat", token, x, axis=axis)
    return y, [*shape[:axis], like(shape[axis], int(shape[axis]) + 1), *shape[axis + 1 :]]


def _chunks(r: RandomNet, x: str, shape: Shape) -> Made:
    """Each half of the channels through its own op, and joined again, perhaps swapped."""
    if len(shape) < 2 or int(shape[1]) % 2:
        return None
    half: Shape = [shape[0], int(shape[1]) // 2, *shape[2:]]
    parts = r.net.ops("Split", x, count=2, axis=1, num_outputs=2)
    made = [(norm, batch_norm, _unary)[r.number(3)](r, part, half) for part in parts]
    names = [part[0] for part in made if part is not None]
    y = r.net.op("Concat", *(names if r.number(2) else reversed(names)), axis=1)
    return y, shape


def _split(r: RandomNet, x: str, shape: Shape) -> Made:
    axis = 1 + r.number(len(shape) - 1)
    if shape[axis] != 4:
        return None
    half: Shape = [*shape[:axis], like(shape[axis], 2), *shape[axis + 1 :]]
    first, second = r.net.ops("Split", x, count=2, axis=axis, num_outputs=2)
    r.values.append((first, half))
    return second, half


def _slice(r: RandomNet, x: str, shape: Shape) -> Made:
    axis = 1 + r.number(len(shape) - 1)
    if shape[axis] != 4:
        return None
    start, end, step, length = ((1, 3, 1, 2), (0, 4, 2, 2), (-1, -9, -1, 4))[r.number(3)]
    y = r.net.op("Slice", x, *(r.net.ints(n) for n in (start, end, axis, step)))
    return y, [*shape[:axis], like(shape[axis], length), *shape[axis + 1 :]]


def _gather(r: RandomNet, x: str, shape: Shape) -> Made:
    axis = 1 + r.number(len(shape) - 1)
    index = [r.number(int(shape[axis])) for _ in range(2 + r.number(2))]
    y = r.net.op("Gather", x, r.net.ints(*index), axis=axis)
    return y, [*shape[:axis], like(shape[axis], len(index)), *shape[axis + 1 :]]


def _space(r: RandomNet, x: str, shape: Shape) -> Made:
    channels, height, width = (int(n) for n in shape[1:])
    if channels % 4 == 0 and r.number(4):
        mode = ("DCR", "CRD")[r.number(2)]
        y = r.net.op("DepthToSpace", x, blocksize=2, mode=mode)
        return y, [shape[0], like(shape[1], channels // 4), 2 * height, 2 * width]
    if height % 2 or width % 2 or channels > 4:
        return None
    y = r.net.op("SpaceToDepth", x, blocksize=2)
    return y, [shape[0], like(shape[1], 4 * channels), height // 2, width // 2]


def _resize(r: RandomNet, x: str, shape: Shape) -> Made:
    if max(int(n) for n in shape[2:]) > 4:
        return None
    scales = r.net.const(np.array([1, 1, *(2 for _ in shape[2:])], np.float32))
    y = r.net.op("Resize", x, "", scales, mode=("nearest", "linear")[r.number(2)])
    return y, [*shape[:2], *(2 * int(n) for n in shape[2:])]


def _pad(r: RandomNet, x: str, shape: Shape) -> Made:
    if max(int(n) for n in shape[1:]) > 8:
        return None
    axis = 1 + r.number(len(shape) - 1)
    pads = [int(i == axis) for i in range(len(shape))]
    operands = [x, r.net.ints(*pads, *pads)]
    mode = ("constant", "edge")[r.number(2)]
    if mode == "constant" and r.number(2):
        operands.append(r.net.scalar(0.5))
    y = r.net.op("Pad", *operands, mode=mode)
    return y, [*shape[:axis], int(shape[axis]) + 2, *shape[axis + 1 :]]


def _binary(r: RandomNet, x: str, shape: Shape) -> Made:
    other = r.other(shape)
    if other is None:
        return None
    return r.net.op(("Add", "Sub", "Mul")[r.number(3)], x, other), shape


def _choice(r: RandomNet, x: str, shape: Shape) -> Made:
    """Two convolutions of one value, and one of them for each element."""
    channels = int(shape[1])
    parts = [conv1(r, x, shape), conv1(r, r.net.op("Tanh", x), shape)]
    if r.number(2):
        side = r.number(2)
        parts[side] = r.net.norm(parts[side], channels, len(shape) - 2, positive=True)
    op_type = ("Max", "Min", "Mean", "Where")[r.number(4)]
    if op_type == "Where":
        parts.insert(0, r.net.op("Greater", x, r.net.scalar(0.0)))
    return r.net.op(op_type, *parts), shape


def _clip(r: RandomNet, x: str, shape: Shape) -> Made:
    bounds = [(r.net.scalar(0.0),), (r.net.scalar(-0.5), r.net.scalar(0.7))][r.number(2)]
    return r.net.op("Clip", x, *bounds), shape


def _residual(r: RandomNet, x: str, shape: Shape) -> Made:
    """A block of convolution and norm added to what went in."""
    channels, rank = int(shape[1]), len(shape) - 2
    inner = r.net.conv(x, channels, channels, (1,) * rank)
    inner = r.net.norm(inner, channels, rank, positive=True)
    if r.number(2):
        inner = r.net.op("Relu", inner)
    return r.net.op("Add", inner, x), shape


def _expand(r: RandomNet, x: str, shape: Shape) -> Made:
    ones = [i for i, n in enumerate(shape) if n == 1 and i > 0]
    if not ones:
        return None
    axis = r.pick(ones)
    target = [1 if i != axis else 4 for i in range(len(shape))]
    return r.net.op("Expand", x, r.net.ints(*target)), [*shape[:axis], 4, *shape[axis + 1 :]]


def _constant(r: RandomNet, x: str, shape: Shape) -> Made:
    """A constant that varies over more than one axis."""
    constant = r.net.param(*(int(n) for n in shape[1:]), low=0.2)
    operands = (x, constant) if r.number(2) else (constant, x)
    return r.net.op(("Add", "Mul", "Sub", "Add")[r.number(4)], *operands), shape


def _gate(r: RandomNet, x: str, shape: Shape) -> Made:
    """Squeeze and excitation: a product or a sum with one number per channel of each sample."""
    gate = r.net.op("GlobalAveragePool", x)
    gate = conv1(r, gate, shape)
    op_type = ("Mul", "Add", "Div")[r.number(3)]
    if op_type == "Div":
        gate = r.net.op("Max", r.net.op("Abs", gate), r.net.scalar(0.5))
    elif r.number(2):
        gate = r.net.op("Sigmoid", gate)
    return r.net.op(op_type, x, gate), shape


def _attend(r: RandomNet, x: str, shape: Shape) -> Made:
    """Rows mixed by weights that sum to 1, or do not."""
    rank, rows, width = len(shape), shape[-2], int(shape[-1])
    if isinstance(rows, str):
        return None
    turned = r.net.op("Transpose", x, perm=[*range(rank - 2), rank - 1, rank - 2])
    weights = r.net.op("MatMul", r.net.op("Tanh", x), turned)
    if r.number(2):
        weights = r.net.op("Softmax", weights, axis=(-1, -2)[r.number(2)])
    values = r.net.op("MatMul", x, r.net.param(width, width)) if r.number(2) else x
    return r.net.op("MatMul", weights, values), shape


PASSED: Makers = (
    (_unary, ANY),
    (_prelu, ANY),
    (_pool, (3, 4)),
    (_global_pool, IMAGE),
    (_reduce, ANY),
    (_transpose, IMAGE),
    (_merge, IMAGE),
    (_split_axis, ANY),
    (_shuffle, ANY),
    (_flatten, ANY),
    (_unsqueeze, ANY),
    (_squeeze, ANY),
    (_concat, ANY),
    (_concat_constant, ANY),
    (_chunks, ANY),
    (_split, ANY),
    (_slice, ANY),
    (_gather, ANY),
    (_space, (4,)),
    (_space, (4,)),
    (_space, (4,)),
    (_resize, (4,)),
    (_resize, (4,)),
    (_pad, IMAGE),
    (_pad, IMAGE),
    (_binary, ANY),
    (_residual, IMAGE),
    (_gate, IMAGE),
    (_choice, IMAGE),
    (_clip, ANY),
    (_expand, ANY),
    (_expand, ANY),
    (_constant, ANY),
    (_flatten_at_run_time, ANY),
    (_reshape_as, IMAGE),
    (_attend, IMAGE),
)
