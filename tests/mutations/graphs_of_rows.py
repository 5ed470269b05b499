"""For each op of the table: graphs in which affines meet it from both sides, in every way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial

import numpy as np
import onnx
from graphs import Net
from mutation_registry import quiet

C, SIDE = 8, 6
Use = tuple[Callable[[Net, str], str], tuple[int, ...]]
"""What is made of a value of shape (2, C, SIDE, SIDE), and that result's shape."""

SAME = (2, C, SIDE, SIDE)


def _plain(op_type: str, shape: tuple[int, ...] = SAME, **attributes: object) -> Use:
    return lambda net, x: net.op(op_type, x, **attributes), shape


def _with(op_type: str, shape: tuple[int, ...], *constants: object, **attributes: object) -> Use:
    """With further inputs, None for one that is not given; integers are axes, floats numbers."""

    def use(net: Net, x: str) -> str:
        given = [
            "" if c is None else net.const(np.asarray(c, np.int64 if _whole(c) else net.dtype))
            for c in constants
        ]
        return net.op(op_type, x, *given, **attributes)

    return use, shape


def _whole(constant: object) -> bool:
    return np.asarray(constant).dtype.kind == "i"


def _other(net: Net) -> str:
    return net.conv(net.op("Tanh", "x"), C, C, (1, 1), bias=True)


def _closed(net: Net) -> str:
    """Of the same kind, and takes nothing."""
    return net.op("Exp", _other(net))


def _narrow(net: Net) -> str:
    return net.op("GlobalAveragePool", _other(net))


def _flat(net: Net, x: str) -> str:
    return net.op("ReduceMean", x, net.ints(0), keepdims=0)


def _one(net: Net) -> str:
    return net.op("ReduceMean", _other(net), net.ints(1), keepdims=1)


def _joined(op_type: str, shape: tuple[int, ...] = SAME, **attributes: object) -> list[Use]:
    """With another value, before it and behind it, which may be broadcast."""

    def use(other: Callable[[Net], str], first: bool, net: Net, x: str) -> str:
        pair = (x, other(net)) if first else (other(net), x)
        chooser = [net.op("Greater", "x", net.scalar(0.1))] if op_type == "Where" else []
        return net.op(op_type, *chooser, *pair, **attributes)

    ways = [(_other, True), (_other, False), (_closed, True), (_closed, False)]
    if op_type != "Concat":
        ways += [(_narrow, True), (_one, True)]
    uses: list[Use] = [(partial(use, other, first), shape) for other, first in ways]
    if op_type != "Concat":
        # onnx.reference computes no mean whose first value is the smaller one.
        orders = (False,) if op_type == "Mean" else (False, True)
        uses += [(lambda net, x, f=f: use(_other, f, net, _flat(net, x)), shape) for f in orders]
    return uses


def _dropped(net: Net, x: str) -> str:
    return net.op("Dropout", x, net.scalar(0.5), net.const(np.array(True)), seed=3)


def _with_indices(net: Net, x: str) -> str:
    y, indices = net.ops("MaxPool", x, count=2, **_POOL)
    net.op("Cast", indices, to=onnx.TensorProto.DOUBLE, name="indices")
    return y


def _repeated(net: Net, x: str) -> str:
    return net.op("Expand", net.op("ReduceMean", x, net.ints(2)), net.ints(*SAME))


def _split(net: Net, x: str) -> str:
    first, second = net.ops("Split", x, net.ints(3, C - 3), count=2, axis=1)
    return net.op("Concat", second, first, axis=1)


def _resized(net: Net, x: str) -> str:
    scales = net.const(np.array([1.0, 1.0, 2.0, 2.0], np.float32))
    return net.op("Resize", x, "", scales, mode="linear")


def _cropped(net: Net, x: str) -> str:
    crop = net.const(np.array([0.0, 0.0, -0.5, -0.5, 1.0, 1.0, 1.5, 1.5], np.float32))
    mode = {"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize"}
    return net.op("Resize", x, crop, "", net.ints(*SAME), extrapolation_value=7.0, **mode)


_HALF = (2, C, SIDE // 2, SIDE // 2)
_WIDE = (2, C, 2 * SIDE, 2 * SIDE)
_POOLED = (2, C, 1, 1)
_POOL = {"kernel_shape": [2, 2], "strides": [2, 2]}

USES: dict[str, list[Use]] = {
    "Identity": [_plain("Identity")],
    "Dropout": [
        _with("Dropout", SAME, None, None),
        (
            lambda net, x: net.op("Dropout", x, net.scalar(0.5), net.const(np.array(True)), seed=3),
            SAME,
        ),
    ],
    "Relu": [_plain("Relu")],
    "LeakyRelu": [_plain("LeakyRelu"), _plain("LeakyRelu", alpha=0.3)],
    "PRelu": [(lambda net, x: net.op("PRelu", x, net.param(C, 1, 1)), SAME)],
    "Abs": [_plain("Abs")],
    "Clip": [
        _with("Clip", SAME, 0.0),
        _with("Clip", SAME, -0.5, 0.5),
        _with("Clip", SAME, None, 0.5),
    ],
    "AveragePool": [
        _plain("AveragePool", _HALF, **_POOL),
        _plain("AveragePool", SAME, kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=1),
        _plain("AveragePool", SAME, kernel_shape=[3, 3], pads=[1] * 4),
    ],
    "GlobalAveragePool": [_plain("GlobalAveragePool", _POOLED)],
    "MaxPool": [
        _plain("MaxPool", _HALF, **_POOL),
        _plain("MaxPool", SAME, kernel_shape=[3, 3], pads=[1] * 4),
        (_with_indices, _HALF),
    ],
    "GlobalMaxPool": [_plain("GlobalMaxPool", _POOLED)],
    **{
        f"Reduce{kind}": [
            _with(f"Reduce{kind}", _POOLED, [2, 3]),
            _with(f"Reduce{kind}", (2, C), [2, 3], keepdims=0),
            _with(f"Reduce{kind}", (C, SIDE, SIDE), [0], keepdims=0),
        ]
        for kind in ("Mean", "Sum", "Max", "Min", "L1", "L2")
    },
    "Resize": [
        (_resized, _WIDE),
        (_cropped, SAME),
    ],
    "Upsample": [(lambda net, x: _upsampled(net, x), _WIDE)],
    "Pad": [
        _with("Pad", (2, C, SIDE + 2, SIDE + 2), [0, 0, 1, 1, 0, 0, 1, 1]),
        _with("Pad", (2, C, SIDE + 2, SIDE), [0, 0, 1, 0, 0, 0, 1, 0], 0.5),
        _with("Pad", (2, C, SIDE + 2, SIDE + 2), [0, 0, 1, 1, 0, 0, 1, 1], mode="reflect"),
    ],
    "Expand": [
        (
            lambda net, x: net.op("Expand", net.op("ReduceMean", x, net.ints(2)), net.ints(*SAME)),
            SAME,
        ),
        _with("Expand", (3, *SAME), [3, *SAME]),
    ],
    "DepthToSpace": [
        _plain("DepthToSpace", (2, C // 4, 2 * SIDE, 2 * SIDE), blocksize=2),
        _plain("DepthToSpace", (2, C // 4, 2 * SIDE, 2 * SIDE), blocksize=2, mode="CRD"),
    ],
    "SpaceToDepth": [_plain("SpaceToDepth", (2, 4 * C, SIDE // 2, SIDE // 2), blocksize=2)],
    "Slice": [
        _with("Slice", (2, 2, SIDE, SIDE), [3], [0], [1], [-2]),
        _with("Slice", (2, C, 3, SIDE), [1], [4], [2]),
    ],
    "Gather": [
        _with("Gather", SAME, [7, 3, 1, 0, 2, 5, 6, 4], axis=1),
        _with("Gather", (2, 3, SIDE, SIDE), [2, 1, 2], axis=1),
        _with("Gather", (2, SIDE, SIDE), 1, axis=1),
        _with("Gather", (2, C, SIDE), 1, axis=2),
    ],
    "Split": [(_split, SAME)],
    "Concat": _joined("Concat", (2, 2 * C, SIDE, SIDE), axis=1)
    + _joined("Concat", (2, C, 2 * SIDE, SIDE), axis=2),
    **{
        op: _joined(op) for op in ("Add", "Sum", "Sub", "Mean", "Max", "Min", "Where", "Mul", "Div")
    },
}


def _upsampled(net: Net, x: str) -> str:
    scales = net.const(np.array([1.0, 1.0, 2.0, 2.0], np.float32))
    return net.op("Upsample", x, scales)


@cache
def graphs_of(op_type: str) -> tuple[onnx.ModelProto, ...]:
    """What an affine behind the op may go into before it, and the other way round."""
    return tuple(_graphs_of(op_type))


def _graphs_of(op_type: str) -> Iterator[onnx.ModelProto]:
    for use, shape in USES[op_type]:
        for kind, axis in KINDS:
            for front, behind in (
                (_conv, kind),
                (partial(_taker, axis), kind),
                (kind, partial(_taker, axis)),
                (kind, _conv),
            ):
                net = Net(seed=len(op_type), opset=9 if op_type == "Upsample" else 20)
                h = front(net, quiet(net, net.input(list(SAME))), SAME)
                outputs = [quiet(net, behind(net, use(net, h), shape))]
                yield net.model(*outputs, *(n.name for n in net.nodes if n.name == "indices"))


def _along(
    axis: int, shape: tuple[int, ...], numbers: Callable[[int], np.ndarray]
) -> np.ndarray | None:
    if axis >= len(shape) or shape[axis] == 1:
        return None
    return numbers(shape[axis]).reshape(-1, *(1,) * (len(shape) - 1 - axis))


Kind = Callable[[Net, str, tuple[int, ...]], str]


def _kind(op_type: str, axis: int | None, low: float, high: float) -> Kind:
    def build(net: Net, x: str, shape: tuple[int, ...]) -> str:
        if axis is None:
            return net.op(op_type, x, net.scalar(low))
        constants = _along(axis, shape, lambda n: np.linspace(low, high, n))
        return x if constants is None else net.op(op_type, x, net.const(constants))

    return build


def _all_shift(net: Net, x: str, shape: tuple[int, ...]) -> str:
    if shape != SAME:
        return x
    scale, shift = (np.tile(part, C // 4) for part in ([0.0, 0.5, 0.0, 2.0], [-1.0, 0.0, 0.5, 0.0]))
    scaled = net.op("Mul", x, net.const(scale.reshape(-1, 1, 1)))
    return net.op("Add", scaled, net.const(shift.reshape(-1, 1, 1)))


def _conv(net: Net, x: str, shape: tuple[int, ...]) -> str:
    """A Conv where there can be one, which takes everything along the channels."""
    if len(shape) != 4:
        return net.op("MatMul", x, net.param(shape[-1], 3))
    return net.conv(x, shape[1], C, (1, 1), bias=True)


def _taker(axis: int | None, net: Net, x: str, shape: tuple[int, ...]) -> str:
    """An affine, which takes others along the same axis, and such along none."""
    if axis is None or axis >= len(shape) or shape[axis] == 1:
        return net.op("Mul", x, net.scalar(0.7))
    constants = _along(axis, shape, lambda n: np.linspace(0.7, 1.3, n))
    return net.op("Mul", x, net.const(constants))


KINDS: tuple[tuple[Kind, int | None], ...] = (
    *((_kind("Mul", axis, 0.5, 2.0), axis) for axis in (1, 2, None)),
    (_kind("Mul", 1, -1.5, 2.0), 1),
    *((_kind("Add", axis, -1.0, 2.0), axis) for axis in (1, 2, None)),
    (_all_shift, 1),
)
