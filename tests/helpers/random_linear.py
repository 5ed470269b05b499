"""Linear maps and norms of random graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from random_shapes import ANY, IMAGE, SIZES, Channels, Made, Makers, Shape, channel_axis, plain

if TYPE_CHECKING:
    from random_graphs import RandomNet


def _conv(r: RandomNet, x: str, shape: Shape) -> Made:
    channels, rank = int(shape[1]), len(shape) - 2
    group = channels if r.number(3) == 2 else (2 if channels % 2 == 0 and r.number(2) else 1)
    outputs = channels if group > 1 else r.pick(SIZES)
    kernel = 1 + 2 * r.number(2) if all(int(n) >= 3 for n in shape[2:]) else 1
    pad = (kernel // 2) * r.number(2)
    bias = bool(r.number(2))
    y = r.net.conv(
        x, channels, outputs, (kernel,) * rank, group=group, bias=bias, pads=[pad] * (2 * rank)
    )
    size = [int(n) + 2 * pad - kernel + 1 for n in shape[2:]]
    return y, [shape[0], Channels(outputs), *size]


def conv1(r: RandomNet, x: str, shape: Shape) -> str:
    channels = int(shape[1])
    return r.net.conv(x, channels, channels, (1,) * (len(shape) - 2), bias=bool(r.number(2)))


def _conv_transpose(r: RandomNet, x: str, shape: Shape) -> Made:
    channels, rank = int(shape[1]), len(shape) - 2
    group = 2 if channels % 2 == 0 and r.number(2) else 1
    y = r.net.conv(x, channels, channels, (2,) * rank, group=group, transposed=True)
    return y, [shape[0], Channels(channels), *(int(n) + 1 for n in shape[2:])]


def _gemm(r: RandomNet, x: str, shape: Shape) -> Made:
    inputs, outputs, transposed = int(shape[1]), r.pick(SIZES), r.number(2)
    weight = (outputs, inputs) if transposed else (inputs, outputs)
    operands = [x, r.net.param(*weight)] + ([r.net.param(outputs)] if r.number(2) else [])
    y = r.net.op("Gemm", *operands, transB=transposed, alpha=1.5, beta=0.5)
    return y, [shape[0], Channels(outputs)]


def _matmul(r: RandomNet, x: str, shape: Shape) -> Made:
    inputs, outputs = int(shape[-1]), r.pick(SIZES)
    y = r.net.op("MatMul", x, r.net.param(inputs, outputs))
    if r.number(2):
        y = r.net.op("Add", y, r.net.param(outputs))
    return y, [*plain(shape[:-1]), Channels(outputs)]


def _matmul_left(r: RandomNet, x: str, shape: Shape) -> Made:
    if not isinstance(shape[-2], int):
        return None
    outputs = r.pick(SIZES)
    y = r.net.op("MatMul", r.net.param(outputs, shape[-2]), x)
    return y, [*plain(shape[:-2]), Channels(outputs), *plain(shape[-1:])]


def _concat_two(r: RandomNet, x: str, shape: Shape) -> Made:
    """Two linear maps side by side."""
    conv = conv1(r, x, shape), conv1(r, x, shape)
    return r.net.op("Concat", *conv, axis=1), [shape[0], Channels(2 * int(shape[1])), *shape[2:]]


def _embedding(r: RandomNet, x: str, shape: Shape) -> Made:
    """Rows of a table, by indices that the graph is given."""
    name = r.net.name("ids")
    r.net.input([shape[0], int(shape[1])], name, dtype=np.int64)
    rows = r.net.op("Gather", r.net.param(64, int(shape[2])), name)
    made = r.net.op("Add", rows, x) if r.number(3) else rows
    return made, [shape[0], int(shape[1]), Channels(shape[2])]


def _branches(r: RandomNet, x: str, shape: Shape) -> Made:
    """Parallel convolutions of several kernel sizes, the identity too, each with its norm."""
    channels, rank = int(shape[1]), len(shape) - 2
    kernels = [1 + 2 * r.number(2) for _ in range(1 + r.number(2))]
    parts = [
        r.net.conv(x, channels, channels, (k,) * rank, pads=[k // 2] * (2 * rank)) for k in kernels
    ]
    if r.number(2):
        parts.append(x)
    normed = [r.net.batch_norm(part, channels) for part in parts]
    y = normed[0]
    for part in normed[1:]:
        y = r.net.op("Add", y, part)
    return y, [shape[0], Channels(channels), *shape[2:]]


def _diverse(r: RandomNet, x: str, shape: Shape) -> Made:
    """Branches of a kernel, a deep one and an average, with their norms here and there."""
    channels, rank = int(shape[1]), len(shape) - 2
    border = r.number(2) if min(int(n) for n in shape[2:]) >= 3 else 1
    step = {"strides": [1 + r.number(2)] * rank}
    around = [border] * (2 * rank)
    parts = [r.net.conv(x, channels, channels, (3,) * rank, pads=around, **step)]
    for _ in range(1 + r.number(2)):
        one, bias = r.pick(SIZES), bool(r.number(2))
        sides = r.net.ints(0, 0, *[border] * rank, 0, 0, *[border] * rank)
        padded = r.net.op("Pad", x, sides) if border and r.number(2) else x
        own = around if padded is x else [0] * (2 * rank)
        if r.number(2):
            h = r.net.conv(padded, channels, one, (1,) * rank, bias=bias)
            parts.append(r.net.conv(h, one, channels, (3,) * rank, pads=own, **step))
        else:
            h = r.net.conv(padded, channels, channels, (1,) * rank, bias=bias)
            mean = {"kernel_shape": [3] * rank, "pads": own, "count_include_pad": 1}
            parts.append(r.net.op("AveragePool", h, **mean, **step))
    normed = [r.net.batch_norm(part, channels) if r.number(3) else part for part in parts]
    size = [(int(n) + 2 * border - 3) // step["strides"][0] + 1 for n in shape[2:]]
    return r.net.op("Sum", *normed), [shape[0], Channels(channels), *size]


def _sequence(r: RandomNet, x: str, shape: Shape) -> Made:
    """Two convolutions with nothing or one norm between, the middle wide or narrow."""
    channels, rank = int(shape[1]), len(shape) - 2
    group = channels if r.number(3) == 2 else 1
    middle, outputs = channels * (1 + r.number(3)), channels if group > 1 else r.pick(SIZES)
    kernels = [1 + 2 * r.number(2), 1 + r.number(2)]
    size = [int(n) for n in shape[2:]]
    h = x
    for width, kernel in zip((middle, outputs), kernels, strict=True):
        stride, pad = 1 + r.number(2), r.number(2) if min(size) >= kernel else kernel - 1
        h = r.net.conv(
            h,
            channels,
            width,
            (kernel,) * rank,
            group=group if r.number(2) else 1,
            bias=bool(r.number(2)),
            pads=[pad] * (2 * rank),
            strides=[stride] * rank,
        )
        size = [(n + 2 * pad - kernel) // stride + 1 for n in size]
        channels = width
        if width is middle and r.number(3) == 2:
            h = r.net.norm(h, middle, rank)
    return h, [shape[0], Channels(outputs), *size]


def _products(r: RandomNet, x: str, shape: Shape) -> Made:
    """Two or three matrix products in a row, on one side or the other."""
    for _ in range(2 + r.number(2)):
        on_left = len(shape) > 2 and r.number(4) == 3
        made = _matmul_left(r, x, shape) if on_left else _matmul(r, x, shape)
        if made is None:
            return None
        x, shape = made
    return x, shape


def norm(r: RandomNet, x: str, shape: Shape) -> Made:
    """A hand-written norm along an axis that is not dynamic."""
    axis = channel_axis(r, shape)
    y = r.net.norm(x, int(shape[axis]), len(shape) - 1 - axis, positive=bool(r.number(3)))
    return y, shape


def batch_norm(r: RandomNet, x: str, shape: Shape) -> Made:
    return r.net.batch_norm(x, int(shape[1])), shape


def _affine_op(r: RandomNet, x: str, shape: Shape) -> Made:
    axis = channel_axis(r, shape)
    constant = r.net.param(int(shape[axis]), *(1,) * (len(shape) - 1 - axis), low=0.2)
    if r.number(4) == 3:
        constant = r.net.scalar(0.5)
    op_type = ("Mul", "Add", "Sub", "Div")[r.number(4)]
    operands = (constant, x) if op_type != "Div" and r.number(2) else (x, constant)
    return r.net.op(op_type, *operands), shape


def _expanded_constant(r: RandomNet, x: str, shape: Shape) -> Made:
    """A constant along one axis, expanded to the value's run-time shape."""
    axis = channel_axis(r, shape)
    constant = r.net.param(int(shape[axis]), *(1,) * (len(shape) - 1 - axis), low=0.2)
    expanded = r.net.op("Expand", constant, r.net.op("Shape", x))
    return r.net.op(("Mul", "Add")[r.number(2)], x, expanded), shape


LINEAR: Makers = (
    (_conv, IMAGE),
    (_matmul, ANY),
    (_gemm, (2,)),
    (_conv, (3, 4)),
    (_conv_transpose, (3, 4)),
    (_matmul_left, IMAGE),
    (_concat_two, IMAGE),
    (_embedding, (3,)),
)
NORMS: Makers = (
    (norm, ANY),
    (batch_norm, ANY),
    (_affine_op, ANY),
    (norm, ANY),
    (_expanded_constant, ANY),
)
JOINED: Makers = (
    (_branches, (3, 4)),
    (_diverse, (3, 4)),
    (_sequence, IMAGE),
    (_products, ANY),
)
