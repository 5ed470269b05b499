"""Pairs that one premise of the laws of ops tells apart."""

from __future__ import annotations

from typing import Any

import numpy as np
from premises import Pair

SHIFT = {"c": np.array([1.0, -2.0, 0.5, 3.0], np.float32).reshape(4, 1, 1)}
MIXED = {"c": np.array([1.0, -2.0, 0.5, 3.0], np.float32).reshape(4, 1, 1)}
UP = {"c": np.array([1.0, 2.0, 0.5, 3.0], np.float32).reshape(4, 1, 1)}
ROWS = {"c": np.array([1.0, 2.0, 0.5, 3.0, 4.0, 0.25], np.float32).reshape(6, 1)}
COLUMNS = {"c": np.array([1.0, 2.0, 0.5, 3.0, 4.0, 0.25], np.float32)}
TWO = {"c": np.float32(2.0)}
SQUARE = "float[N,4,4,6] x"
MATRICES = "float[N,5,6] x, float[N,6,4] z"
RECURRENT = "float[4,2,4] x"
WEIGHTS: dict[str, Any] = {
    "w": np.linspace(-1.0, 1.0, 12, dtype=np.float32).reshape(1, 3, 4),
    "v": np.linspace(-1.0, 1.0, 12, dtype=np.float32).reshape(1, 3, 4) / ROWS["c"].reshape(-1)[:4],
    "r": np.linspace(1.0, -0.5, 9, dtype=np.float32).reshape(1, 3, 3),
    "b": np.linspace(0.5, -0.5, 6, dtype=np.float32).reshape(1, 6),
    "other": np.linspace(0.5, -0.5, 6, dtype=np.float32).reshape(1, 6) * [1, 1, 1, 1, 1, 3],
    "c": np.array([1.0, 2.0, 0.5, 3.0], np.float32),
}
WEIGHTS["other"] = WEIGHTS["other"].astype(np.float32)
NORM = {"g": np.arange(1, 7, dtype=np.float32), "k": 2 * np.arange(1, 7, dtype=np.float32)}


def scaled(op: str, constants: dict[str, Any], reason: str, **more: Any) -> Pair:
    """A scale before the op and its inverse behind it."""
    b = f"m = Mul(x, c)  r = {op.replace('(x', '(m', 1)}  y = Div(r, c)"
    return Pair(reason, f"y = {op}", b, constants=constants, **more)


def moved(op: str, constants: dict[str, Any], reason: str = "a shift", **more: Any) -> Pair:
    """A shift before the op, taken back behind it."""
    b = f"m = Add(x, c)  r = {op.replace('(x', '(m', 1)}  y = Sub(r, c)"
    return Pair(reason, f"y = {op}", b, constants=constants, **more)


def vanished(op: str, constants: dict[str, Any], reason: str, by: str = "Mul", **more: Any) -> Pair:
    """An affine before the op, and nothing behind it."""
    b = f"m = {by}(x, c)  y = {op.replace('(x', '(m', 1)}"
    return Pair(reason, f"y = {op}", b, constants=constants, **more)


POOL = "kernel_shape = [3, 3], pads = [1, 1, 1, 1]"
LAWS = (
    # Rows: which scales, which shifts, which channels.
    moved("Relu(x)", SHIFT),
    vanished("Abs(x)", SHIFT, "a shift", "Add"),
    moved("ReduceSum(x, last)", SHIFT | {"last": [3]}),
    scaled("Relu(x)", MIXED, "a scale that is not positive"),
    scaled("LeakyRelu(x)", MIXED, "a scale that is not positive"),
    scaled("GlobalMaxPool(x)", MIXED, "a scale that is not positive"),
    scaled("ReduceMax(x, last)", MIXED | {"last": [3]}, "a scale that is not positive"),
    moved(
        "MaxPool<kernel_shape = [2, 2], pads = [1, 1, 1, 1], dilations = [4, 4]>(x)",
        SHIFT,
        inputs="float[N,4,3,3] x",
        why="a window without an element",
    ),
    moved("MaxPool<kernel_shape = [1, 1], strides = [2, 2], pads = [1, 1, 1, 1]>(x)", SHIFT),
    moved(
        "MaxPool<kernel_shape = [2, 2], strides = [2, 2], ceil_mode = 1>(x)",
        SHIFT,
        why="a window without an element",
    ),
    moved(f"AveragePool<{POOL}, count_include_pad = 1>(x)", SHIFT),
    moved(
        'AveragePool<kernel_shape = [3, 3], auto_pad = "SAME_UPPER", count_include_pad = 1>(x)',
        SHIFT,
    ),
    moved(
        "AveragePool<kernel_shape = [4, 4], strides = [3, 3], ceil_mode = 1, "
        "count_include_pad = 1>(x)",
        SHIFT,
        why="what lies beyond the border may count",
    ),
    Pair(
        "another operand",
        "y = PRelu(x, z)",
        "m = Mul(z, c)  y = PRelu(x, m)",
        "float[N,4] x, float[N,4] z",
        TWO,
    ),
    scaled(f"MaxPool<{POOL}>(x)", ROWS, "the numbers run along another axis than the channels"),
    vanished("Sigmoid(x)", TWO, "no law carries an affine through it"),
    Pair(
        "the channels themselves are reduced",
        "r = ReduceMean<keepdims = 0>(x, one)  y = Neg(r)",
        "m = Mul(x, c)  r = ReduceMean<keepdims = 0>(m, one)  d = Div(r, d1)  y = Neg(d)",
        SQUARE,
        UP | {"one": [1], "d1": UP["c"].reshape(4, 1)},
    ),
    # Resize.
    moved(
        'Resize<coordinate_transformation_mode = "tf_crop_and_resize">(x, roi, ones)',
        TWO
        | {"roi": np.array([0, 0, 0, 0, 1, 1, 2, 2], np.float32), "ones": np.ones(4, np.float32)},
        "what it fills in beyond the borders is not moved",
    ),
    scaled(
        'Resize<mode = "linear">(x, , stretched)',
        UP | {"stretched": np.array([1, 1.1, 1, 1], np.float32)},
        "the channels are resized",
    ),
    # Several operands.
    Pair(
        "the operands have different relations",
        "y = Max(x, z)",
        "m = Mul(x, c)  r = Max(m, z)  y = Div(r, c)",
        "float[N,4] x, float[N,4] z",
        TWO,
    ),
    Pair(
        "a scale that is not positive turns the order round",
        "y = Max(x, z)",
        "m = Neg(x)  n = Neg(z)  r = Max(m, n)  y = Neg(r)",
        "float[N,4] x, float[N,4] z",
    ),
    Pair(
        "the operands have different scales",
        "s = Sigmoid(x)  t = Sigmoid(z)  y = Add(s, t)",
        "s = Sigmoid(x)  t = Sigmoid(z)  m = Mul(s, c)  r = Add(m, t)  y = Div(r, c)",
        "float[N,4] x, float[N,4] z",
        TWO,
    ),
    Pair(
        "a shift does not pass Mul",
        "y = Mul(x, z)",
        "m = Add(x, c)  r = Mul(m, z)  y = Sub(r, c)",
        "float[N,4] x, float[N,4] z",
        TWO,
    ),
    Pair(
        "a shift does not pass Div",
        "y = Div(x, z)",
        "m = Add(z, c)  y = Div(x, m)",
        "float[N,4] x, float[N,4] z",
        TWO,
    ),
    Pair(
        "a shift does not pass MatMul",
        "y = MatMul(x, z)",
        "m = Add(x, c)  r = MatMul(m, z)  y = Sub(r, c)",
        MATRICES,
        TWO,
    ),
    Pair(
        "a shift does not pass MatMul",
        "p = Sigmoid(x)  y = MatMul(p, z)",
        "p = Sigmoid(x)  m = Add(z, c)  r = MatMul(p, m)  y = Sub(r, c)",
        MATRICES,
        TWO,
    ),
    Pair(
        "a shift along what is summed over",
        "p = Softmax(x)  r = MatMul(p, z)  y = Relu(r)",
        "p = Softmax(x)  m = Add(z, c)  r = MatMul(p, m)  y = Relu(r)",
        MATRICES,
        ROWS,
    ),
    Pair(
        "what is summed over does not cancel",
        "y = MatMul(x, z)",
        "m = Mul(x, c)  y = MatMul(m, z)",
        MATRICES,
        COLUMNS,
    ),
    # Normalisers.
    vanished(
        "LayerNormalization<epsilon = 1.0>(x, g)",
        TWO | NORM,
        "a scale does not pass LayerNormalization",
    ),
    vanished("LayerNormalization(x, g)", COLUMNS | NORM, "a shift", "Add"),
    vanished(
        "InstanceNormalization(x, g, h)",
        {"c": ROWS["c"], "g": np.ones(4, np.float32), "h": np.zeros(4, np.float32)},
        "a shift",
        "Add",
    ),
    Pair(
        "input 1 of LayerNormalization is computed",
        "y = LayerNormalization(x, z)",
        "m = Mul(z, c)  y = LayerNormalization(x, m)",
        "float[N,4,6] x, float[6] z",
        TWO,
    ),
    vanished("Softmax(x)", TWO, "a scale does not pass Softmax"),
    vanished("Softmax(x)", COLUMNS, "shifts that differ where it normalises", "Add"),
    vanished(
        "Softmax<axis = 1>(x)",
        ROWS,
        "a Softmax over several axes",
        "Add",
        opset=11,
        why="before operator set 13 it normalises over all axes from its own on",
    ),
    # What moves elements.
    Pair(
        "the channels are padded",
        "y = Pad(x, pads)",
        "m = Mul(x, c)  r = Pad(m, pads)  y = Div(r, c)",
        constants=UP | {"pads": [0, 1, 0, 0, 0, -1, 0, 0]},
        why="each channel lies where the one before it lay",
    ),
    # Recurrences.
    Pair(
        "the numbers run along another axis than the features",
        "y, h = RNN<hidden_size = 3>(x, w, r)",
        "m = Mul(x, steps)  y, h = RNN<hidden_size = 3>(m, v, r)",
        RECURRENT,
        WEIGHTS | {"steps": WEIGHTS["c"].reshape(4, 1, 1)},
    ),
    Pair(
        "other weights",
        "y, h = RNN<hidden_size = 3>(x, w, r)",
        "y, h = RNN<hidden_size = 3>(x, v, r)",
        RECURRENT,
        {
            "w": np.ones((1, 3, 4), np.float32),
            "v": np.ones((1, 1, 4), np.float32),
            "r": WEIGHTS["r"],
        },
        why="no runtime takes weights of such a shape",
    ),
    Pair(
        "a shift without a bias that takes it",
        "y, h = RNN<hidden_size = 3>(x, w, r)",
        "m = Add(x, c)  y, h = RNN<hidden_size = 3>(m, w, r)",
        RECURRENT,
        WEIGHTS,
    ),
    Pair(
        "another recurrence",
        "y, h = RNN<hidden_size = 3>(x, w, r, b)",
        "y, h = RNN<hidden_size = 3>(x, w, r, other)",
        RECURRENT,
        WEIGHTS,
    ),
    Pair(
        "another recurrence",
        "y, h = RNN<hidden_size = 3>(x, w, r, b, , z)",
        "m = Mul(z, two)  y, h = RNN<hidden_size = 3>(x, w, r, b, , m)",
        RECURRENT + ", float[1,2,3] z",
        WEIGHTS | {"two": np.float32(2.0)},
    ),
)
