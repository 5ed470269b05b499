"""Pairs that one premise of the ops that are linear tells apart."""

from __future__ import annotations

from pairs_of_forms import (
    BEFORE_THE_LAST,
    KERNELS,
    MATRICES,
    OF_X,
    OF_X_AND_Z,
    OPEN,
    ROW,
    SCALES,
    SQUARE,
    floats,
    ints,
)
from premises import Pair

NORM = {
    "gamma": ROW,
    "beta": floats([1.0, -2.0, 0.5, 3.0]),
    "mean": floats([0.5, 0.25, -1.0, 2.0]),
    "variance": floats([1.0, 2.0, 0.5, 4.0]),
    "nothing": floats([0.0] * 4),
    "ones": floats([1.0] * 4),
    **SCALES,
}
STORED = "(x, gamma, beta, mean, variance)"
PADS = {
    "some": ints(0, 0, 1, 1, 0, 0, 1, 1),
    "one_more": ints(1, 0, 1, 1, 0, 0, 1, 1),
    "a_channel_more": ints(0, 1, 1, 1, 0, 0, 1, 1),
    "uneven": ints(0, 0, 2, 1, 0, 0, 0, 1),
    "of_three_axes": ints(0, 0, 0, 0, 0, 0),
    "exchanged": ints(0, 1, 3, 2),
    "number": floats(1.0),
    "channels": ints(1),
    **KERNELS,
}

OF_AFFINES = (
    Pair(
        "a constant along several axes",
        "m = Mul(x, two)  y = Flatten(m)",
        "m = Mul(x, of_five_axes)  y = Flatten(m)",
        constants=SCALES,
        cuts=BEFORE_THE_LAST,
    ),
    Pair(
        "not one number per channel",
        "y = Mul(x, two)",
        "y = Mul(x, of_channels)",
        inputs="float[N,M,6,6] x",
        constants=SCALES,
    ),
    Pair(
        "a sum of values of different rank",
        "s = Add(x, z)  y = Mul(s, column)",
        "m = Mul(x, column)  n = Mul(z, row)  y = Add(m, n)",
        inputs=f"{SQUARE}, float[4,4] z",
        constants=SCALES,
        cuts=OF_X_AND_Z,
    ),
    Pair(
        "a constant that may be larger",
        "y = Add(x, two)",
        "s = Shape(z)  e = Expand(two, s)  y = Add(x, e)",
        inputs="float[1,4] x, float[N,4] z",
        constants=SCALES,
    ),
    Pair(
        "a constant over a value, or a division by 0",
        "y = Div(x, two)",
        "y = Div(two, x)",
        constants=SCALES,
    ),
    Pair(
        "BatchNormalization in training mode",
        f"y = BatchNormalization{STORED}",
        f"y, p, q = BatchNormalization<training_mode = 1>{STORED}",
        constants=NORM,
        cuts=OF_X,
    ),
    Pair(
        "BatchNormalization in training mode",
        f"y = BatchNormalization{STORED}",
        f"y, p, q = BatchNormalization{STORED}",
        opset=9,
        constants=NORM,
        cuts=OF_X,
        why="several results are those of training",
    ),
    Pair(
        "BatchNormalization in training mode",
        f"y = BatchNormalization{STORED}",
        f"y = BatchNormalization{STORED}",
        opset=7,
        other=6,
        constants=NORM,
        cuts=OF_X,
        why="it trains where it is not told to test",
    ),
    Pair(
        "BatchNormalization of each place of its own",
        f"y = BatchNormalization{STORED}",
        f"y = BatchNormalization<spatial = 0>{STORED}",
        opset=8,
        constants=NORM,
        why="each place has its own numbers",
    ),
    Pair(
        "a Transpose of another rank",
        "y = Mul(x, two)",
        "m = Mul(x, two)  y = Transpose<perm = [0,1]>(m)",
        inputs=SQUARE,
        constants=SCALES,
        cuts=OF_X,
    ),
)

OF_WEIGHTS = (
    Pair(
        "padding that depends on its input's size",
        "y = Conv(x, taps)",
        'y = Conv<auto_pad = "SAME_UPPER">(x, taps)',
        inputs=OPEN,
        constants=KERNELS,
    ),
    Pair(
        "a ConvTranspose with a given output shape",
        "y = ConvTranspose<strides = [2,2]>(x, taps)",
        "y = ConvTranspose<strides = [2,2], output_shape = [3,3]>(x, taps)",
        inputs=OPEN,
        constants=KERNELS,
    ),
    Pair(
        "a Gemm of a transposed value",
        "y = Gemm(x, w)",
        "y = Gemm<transA = 1>(x, w)",
        inputs="float[4,4] x",
        constants=MATRICES,
    ),
    Pair(
        "a Gemm whose C is no bias",
        "y = Gemm(x, w, bias)",
        "y = Gemm(x, w, bias_of_rows)",
        inputs="float[4,4] x",
        constants=MATRICES | KERNELS,
    ),
    Pair(
        "a MatMul whose constant is no matrix",
        "m = MatMul(x, w)  y = Flatten(m)",
        "m = MatMul(x, repeated)  y = Flatten(m)",
        inputs="float[N,4] x",
        constants=MATRICES,
        cuts=BEFORE_THE_LAST,
    ),
    Pair(
        "a MatMul whose constant is no matrix",
        "y = MatMul(w, x)",
        "y = MatMul(three, x)",
        inputs=SQUARE,
        constants=MATRICES,
    ),
    Pair(
        "a MatMul whose constant is no matrix",
        "y = MatMul(w, x)",
        "y = MatMul(others, x)",
        inputs="float[2,4,4] x",
        constants=MATRICES,
    ),
    Pair(
        "an AveragePool whose windows depend on its input's size",
        "y = AveragePool<kernel_shape = [2,2], strides = [2,2]>(x)",
        "y = AveragePool<kernel_shape = [2,2], strides = [2,2], ceil_mode = 1>(x)",
        inputs=OPEN,
    ),
    Pair(
        "an AveragePool whose windows depend on its input's size",
        "y = AveragePool<kernel_shape = [2,2]>(x)",
        'y = AveragePool<kernel_shape = [2,2], auto_pad = "SAME_UPPER">(x)',
        inputs=OPEN,
    ),
    Pair(
        "windows that differ at the border",
        "y = AveragePool<kernel_shape = [3,3], pads = [1,1,1,1], count_include_pad = 1>(x)",
        "y = AveragePool<kernel_shape = [3,3], pads = [1,1,1,1]>(x)",
    ),
    Pair(
        "a Pad with more than zeros",
        "y = Pad(x, some)",
        'y = Pad<mode = "edge">(x, some)',
        constants=PADS,
    ),
    Pair(
        "a Pad with more than zeros",
        "y = Pad(x, some)",
        "y = Pad(x, some, number)",
        constants=PADS,
    ),
    Pair(
        "a Pad of chosen axes, or less than nothing",
        "y = Pad(x, uneven)",
        "y = Pad(x, uneven, , exchanged)",
        constants=PADS,
    ),
    Pair(
        "a Pad of chosen axes, or less than nothing",
        "y = Conv(x, taps)",
        "n = Abs(of_three_axes)  p = Pad(x, n)  y = Conv(p, taps)",
        constants=PADS,
        cuts=OF_X,
    ),
    Pair("a Pad of the channels", "y = Pad(x, some)", "y = Pad(x, one_more)", constants=PADS),
    Pair(
        "a Pad of the channels",
        "m = Pad(x, some)  y = ReduceMean(m, channels)",
        "m = Pad(x, a_channel_more)  y = ReduceMean(m, channels)",
        constants=PADS,
        cuts=BEFORE_THE_LAST,
    ),
)

OF_EINSUMS = (
    Pair(
        "an Einsum of other than two operands",
        'y = Einsum<equation = "nab,cb->nac">(x, w)',
        'y = Einsum<equation = "nab,cb,c->nac">(x, w, row)',
        inputs=SQUARE,
        constants=MATRICES | SCALES,
    ),
    Pair(
        "no product with a matrix",
        'y = Einsum<equation = "nab,cb->nac">(x, w)',
        'y = Einsum<equation = "nab,bb->nab">(x, w)',
        inputs=SQUARE,
        constants=MATRICES,
        cuts=OF_X,
    ),
    Pair(
        "no product with a matrix",
        'y = Einsum<equation = "nabcd,ec->nabed">(x, w)',
        'y = Einsum<equation = "...d,ed->...e">(x, w)',
        inputs="float[N,1,1,4,4] x",
        constants=MATRICES,
        cuts=OF_X,
    ),
    Pair(
        "a product with a matrix, and its axes moved",
        'y = Einsum<equation = "nab,cb->nac">(x, w)',
        'y = Einsum<equation = "nab,cb->nca">(x, w)',
        inputs=SQUARE,
        constants=MATRICES,
        cuts=OF_X,
    ),
    Pair(
        "channels that do not fit",
        "y = MatMul(x, v)",
        'y = Einsum<equation = "nab,cb->nac">(x, w)',
        inputs="float[N,4,M] x",
        constants=MATRICES,
    ),
)

LINEAR_OPS = (*OF_AFFINES, *OF_WEIGHTS, *OF_EINSUMS)
