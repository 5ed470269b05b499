"""Random graphs over every op that the rules know, in double precision, as hypothesis draws them.

Sizes are small and square on purpose: channels, heights and widths are often the same number, so a
scale matched to an axis by its length goes wrong at once. Half of the steps are sandwiches, a
linear map, ops that a norm may pass and a norm, or the other way round, so that most norms meet
something that takes them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from graphs import Net
from hypothesis import strategies as st
from onnx import helper

if TYPE_CHECKING:
    import onnx

Draw = Callable[[st.SearchStrategy[int]], int]
Shape = list[int | str]
SIZES = (4, 4, 4, 2, 1)


class Seeded:
    """Draws plain random numbers: thousands of graphs in the time that hypothesis takes for one."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def below(self, count: int) -> int:
        return self._random.randrange(count)


class Channels(int):
    """The length of the axis that a linear map's channels run along, wherever it is moved to."""


def _like(old: int | str, new: int) -> int:
    return Channels(new) if isinstance(old, Channels) else new


def seeded_model(seed: int) -> onnx.ModelProto:
    """The graph of a seed."""
    draw = Seeded(seed)
    return RandomNet(draw).build(steps=2 + draw.below(7))


class RandomNet:
    """Grows a graph by one op at a time on values whose shapes it keeps track of."""

    def __init__(self, draw: Draw | Seeded) -> None:
        self._draw = draw
        self.net = Net(seed=self.number(1000))
        self.values: list[tuple[str, Shape]] = []
        self.outputs: list[str] = []

    def number(self, below: int) -> int:
        if isinstance(self._draw, Seeded):
            return self._draw.below(below)
        return self._draw(st.integers(0, below - 1))

    def pick(self, options: tuple[int, ...] | list[int]) -> int:
        return options[self.number(len(options))]

    def build(self, steps: int) -> onnx.ModelProto:
        rank = 2 + self.number(4)
        batch: int | str = "N" if self.number(2) else 4
        shape: Shape = [batch, *(self.pick(SIZES) for _ in range(rank - 1))]
        self.values.append((self.net.input(shape), shape))
        for _ in range(steps):
            self._step()
        consumed = {name for node in self.net.nodes for name in node.input}
        made = [name for node in self.net.nodes for name in node.output]
        inner = [name for name, _ in self.values[1:] if name in consumed]
        tapped = [name for name in dict.fromkeys(inner) if self.number(12) == 11]
        sinks = [name for name in made if name not in consumed]
        return self._declared(self.net.model(*tapped, *sinks))

    def _declared(self, model: onnx.ModelProto) -> onnx.ModelProto:
        """Declare the outputs whose shapes onnx cannot infer."""
        shapes = dict(self.values)
        for output in model.graph.output:
            if not output.type.tensor_type.HasField("shape"):
                element = output.type.tensor_type.elem_type
                info = helper.make_tensor_value_info(output.name, element, shapes.get(output.name))
                output.CopyFrom(info)
        return model

    def _step(self) -> None:
        back = self.number(4)
        current = self.values[-1 - (back if back < len(self.values) and back == 3 else 0)]
        for makers in self._recipe():
            made = self._make(makers, *current)
            if made is not None:
                self.values.append(made)
                current = made

    def _recipe(self) -> Iterator[Makers]:
        """A single op, or a sandwich of a linear map, ops that are passed, and a norm."""
        kind = self.number(4)
        if kind < 2:
            yield OPS
            return
        yield LINEAR if kind == 2 else NORMS
        for _ in range(self.number(4)):
            yield PASSED
        yield NORMS if kind == 2 else LINEAR

    def _make(self, makers: Makers, x: str, shape: Shape) -> Made:
        choices = [make for make, ranks in makers if len(shape) in ranks]
        for _ in range(3):
            made = choices[self.number(len(choices))](self, x, shape)
            if made is not None:
                return made
        return None

    def other(self, shape: Shape) -> str | None:
        same = [name for name, other in self.values if other == shape]
        return same[self.number(len(same))] if same else None


Made = tuple[str, Shape] | None
Makers = tuple[tuple[Callable[[RandomNet, str, Shape], Made], range | tuple[int, ...]], ...]


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
    return y, [*_plain(shape[:-1]), Channels(outputs)]


def _matmul_left(r: RandomNet, x: str, shape: Shape) -> Made:
    if not isinstance(shape[-2], int):
        return None
    outputs = r.pick(SIZES)
    y = r.net.op("MatMul", r.net.param(outputs, shape[-2]), x)
    return y, [*_plain(shape[:-2]), Channels(outputs), *_plain(shape[-1:])]


def _plain(shape: Shape) -> Shape:
    return [n if isinstance(n, str) else int(n) for n in shape]


def _axis(r: RandomNet, shape: Shape) -> int:
    """Most often the axis of the last linear map's channels, else any but the first."""
    channels = [i for i, n in enumerate(shape) if isinstance(n, Channels)]
    if channels and r.number(4):
        return channels[-1]
    return 1 if r.number(2) else 1 + r.number(len(shape) - 1)


def _norm(r: RandomNet, x: str, shape: Shape) -> Made:
    """A hand-written norm along an axis that is not dynamic."""
    axis = _axis(r, shape)
    y = r.net.norm(x, int(shape[axis]), len(shape) - 1 - axis, positive=bool(r.number(3)))
    return y, shape


def _batch_norm(r: RandomNet, x: str, shape: Shape) -> Made:
    return r.net.batch_norm(x, int(shape[1])), shape


def _affine_op(r: RandomNet, x: str, shape: Shape) -> Made:
    axis = _axis(r, shape)
    constant = r.net.param(int(shape[axis]), *(1,) * (len(shape) - 1 - axis), low=0.2)
    if r.number(4) == 3:
        constant = r.net.scalar(0.5)
    op_type = ("Mul", "Add", "Sub", "Div")[r.number(4)]
    operands = (constant, x) if op_type != "Div" and r.number(2) else (x, constant)
    return r.net.op(op_type, *operands), shape


def _unary(r: RandomNet, x: str, shape: Shape) -> Made:
    op_type = ("Relu", "LeakyRelu", "Identity", "Neg", "Sigmoid", "Dropout")[r.number(6)]
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
    op_type = ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin")[r.number(4)]
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
    return r.net.op("Flatten", x), [shape[0], _like(shape[1], length)]


def _flatten_at_run_time(r: RandomNet, x: str, shape: Shape) -> Made:
    """``x.view(x.shape[0], -1)``."""
    batch = r.net.op("Gather", r.net.op("Shape", x), r.net.ints(0), axis=0)
    length = int(np.prod([int(n) for n in shape[1:]]))
    rest = r.net.ints(-1 if r.number(2) else length)
    y = r.net.op("Reshape", x, r.net.op("Concat", batch, rest, axis=0))
    return y, [shape[0], _like(shape[1], length)]


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
    return y, [*shape[:axis], _like(shape[axis], 2 * int(shape[axis])), *shape[axis + 1 :]]


def _concat_constant(r: RandomNet, x: str, shape: Shape) -> Made:
    """A token in front, as a vision transformer has it; the batch must be known."""
    axis = 1 + r.number(len(shape) - 1)
    if isinstance(shape[0], str) or int(shape[axis]) > 4:
        return None
    token = r.net.param(*(int(n) if i != axis else 1 for i, n in enumerate(shape)))
    y = r.net.op("Concat", token, x, axis=axis)
    return y, [*shape[:axis], _like(shape[axis], int(shape[axis]) + 1), *shape[axis + 1 :]]


def _concat_two(r: RandomNet, x: str, shape: Shape) -> Made:
    """Two linear maps side by side."""
    conv = _conv1(r, x, shape), _conv1(r, x, shape)
    return r.net.op("Concat", *conv, axis=1), [shape[0], Channels(2 * int(shape[1])), *shape[2:]]


def _conv1(r: RandomNet, x: str, shape: Shape) -> str:
    channels = int(shape[1])
    return r.net.conv(x, channels, channels, (1,) * (len(shape) - 2), bias=bool(r.number(2)))


def _chunks(r: RandomNet, x: str, shape: Shape) -> Made:
    """Each half of the channels through its own op, and joined again, perhaps swapped."""
    if len(shape) < 2 or int(shape[1]) % 2:
        return None
    half: Shape = [shape[0], int(shape[1]) // 2, *shape[2:]]
    parts = r.net.ops("Split", x, count=2, axis=1, num_outputs=2)
    made = [(_norm, _batch_norm, _unary)[r.number(3)](r, part, half) for part in parts]
    names = [part[0] for part in made if part is not None]
    y = r.net.op("Concat", *(names if r.number(2) else reversed(names)), axis=1)
    return y, shape


def _split(r: RandomNet, x: str, shape: Shape) -> Made:
    axis = 1 + r.number(len(shape) - 1)
    if shape[axis] != 4:
        return None
    half: Shape = [*shape[:axis], _like(shape[axis], 2), *shape[axis + 1 :]]
    first, second = r.net.ops("Split", x, count=2, axis=axis, num_outputs=2)
    r.values.append((first, half))
    return second, half


def _slice(r: RandomNet, x: str, shape: Shape) -> Made:
    axis = 1 + r.number(len(shape) - 1)
    if shape[axis] != 4:
        return None
    start, end, step, length = ((1, 3, 1, 2), (0, 4, 2, 2), (-1, -9, -1, 4))[r.number(3)]
    y = r.net.op("Slice", x, *(r.net.ints(n) for n in (start, end, axis, step)))
    return y, [*shape[:axis], _like(shape[axis], length), *shape[axis + 1 :]]


def _gather(r: RandomNet, x: str, shape: Shape) -> Made:
    axis = 1 + r.number(len(shape) - 1)
    index = [r.number(int(shape[axis])) for _ in range(2 + r.number(2))]
    y = r.net.op("Gather", x, r.net.ints(*index), axis=axis)
    return y, [*shape[:axis], _like(shape[axis], len(index)), *shape[axis + 1 :]]


def _space(r: RandomNet, x: str, shape: Shape) -> Made:
    channels, height, width = (int(n) for n in shape[1:])
    if channels % 4 == 0 and r.number(4):
        mode = ("DCR", "CRD")[r.number(2)]
        y = r.net.op("DepthToSpace", x, blocksize=2, mode=mode)
        return y, [shape[0], _like(shape[1], channels // 4), 2 * height, 2 * width]
    if height % 2 or width % 2 or channels > 4:
        return None
    y = r.net.op("SpaceToDepth", x, blocksize=2)
    return y, [shape[0], _like(shape[1], 4 * channels), height // 2, width // 2]


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


def _expanded_constant(r: RandomNet, x: str, shape: Shape) -> Made:
    """A constant along one axis, expanded to the value's run-time shape."""
    axis = _axis(r, shape)
    constant = r.net.param(int(shape[axis]), *(1,) * (len(shape) - 1 - axis), low=0.2)
    expanded = r.net.op("Expand", constant, r.net.op("Shape", x))
    return r.net.op(("Mul", "Add")[r.number(2)], x, expanded), shape


def _gate(r: RandomNet, x: str, shape: Shape) -> Made:
    """Squeeze and excitation: a product or a sum with one number per channel of each sample."""
    gate = r.net.op("GlobalAveragePool", x)
    gate = _conv1(r, gate, shape)
    op_type = ("Mul", "Add", "Div")[r.number(3)]
    if op_type == "Div":
        gate = r.net.op("Max", r.net.op("Abs", gate), r.net.scalar(0.5))
    elif r.number(2):
        gate = r.net.op("Sigmoid", gate)
    return r.net.op(op_type, x, gate), shape


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


def _sequence(r: RandomNet, x: str, shape: Shape) -> Made:
    """Two linear maps with nothing or one norm between."""
    made = _conv(r, x, shape)
    if made is not None and r.number(2):
        made = _norm(r, *made)
    return None if made is None else _conv(r, *made)


def _embedding(r: RandomNet, x: str, shape: Shape) -> Made:
    """Rows of a table, by indices that the graph is given."""
    name = r.net.name("ids")
    r.net.input([shape[0], int(shape[1])], name, dtype=np.int64)
    rows = r.net.op("Gather", r.net.param(64, int(shape[2])), name)
    made = r.net.op("Add", rows, x) if r.number(3) else rows
    return made, [shape[0], int(shape[1]), Channels(shape[2])]


ANY, IMAGE = range(2, 6), range(3, 6)
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
    (_norm, ANY),
    (_batch_norm, ANY),
    (_affine_op, ANY),
    (_norm, ANY),
    (_expanded_constant, ANY),
)
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
    (_expand, ANY),
    (_expand, ANY),
    (_constant, ANY),
    (_flatten_at_run_time, ANY),
    (_reshape_as, IMAGE),
)
OPS: Makers = (*NORMS, *LINEAR, *PASSED, (_branches, (3, 4)), (_sequence, IMAGE))
