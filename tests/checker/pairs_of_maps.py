"""Pairs that one premise of linear maps tells apart."""

from __future__ import annotations

import numpy as np
from pairs_of_forms import BEFORE_THE_LAST, MATRICES, OF_X, OPEN, RNG, ROW, floats, ints
from premises import Pair

SHIFT = np.array([1.0, -2.0, 0.5, 3.0])
TAPS = RNG.standard_normal((4, 4, 3, 3))
POINT = RNG.standard_normal((4, 4, 1, 1))
ONE = RNG.standard_normal((4, 1, 1, 1))
FACTORS = SHIFT.reshape(4, 1, 1, 1)

KERNELS = {
    "taps": floats(TAPS),
    "point": floats(POINT),
    "first_of_taps": floats(TAPS[:, :, :2, :2]),
    "everywhere": floats(np.broadcast_to(POINT, TAPS.shape)),
    "to_one": floats(POINT[:1]),
    "to_four": floats(np.broadcast_to(POINT[:1], POINT.shape)),
    "to_scaled": floats(POINT[:1] * FACTORS),
    "of_one": floats(ONE),
    "of_four": floats(np.broadcast_to(ONE, POINT.shape)),
    "of_scaled": floats(ONE * SHIFT.reshape(1, 4, 1, 1)),
    "line": floats(np.eye(4)[:, :, None]),
    "shift": floats(SHIFT.reshape(4, 1, 1)),
    "numbers": floats(SHIFT),
    "nothing": floats(np.zeros(4)),
    "ones": floats(np.ones(4)),
    "of_shift": floats(np.einsum("oikl,i->o", TAPS, SHIFT)),
    "of_shift_turned": floats(np.einsum("iokl,i->o", TAPS, SHIFT)),
    "w_of_five_axes": MATRICES["w"].reshape(1, 4, 4, 1, 1),
    "channels": ints(1),
    "none": ints(0),
}
PADDED = "pads = [1,1,1,1]"
EXCHANGED = "<perm = [0,1,3,2]>"

MAPS = (
    Pair(
        "a convolution over axes in another order",
        "y = Conv(x, point)",
        f"t = Transpose{EXCHANGED}(x)  c = Conv<strides = [2,2]>(t, point)"
        f"  y = Transpose{EXCHANGED}(c)",
        inputs=OPEN,
        constants=KERNELS,
        cuts=OF_X,
    ),
    Pair(
        "channels that do not fit",
        "y = Conv(x, of_scaled)",
        "m = Mul(x, shift)  y = Conv(m, of_one)",
        constants=KERNELS,
        cuts=OF_X,
    ),
    Pair(
        "a constant before ConvTranspose is another at the border",
        "m = Add(x, shift)  y = ConvTranspose(m, taps)",
        "y = ConvTranspose(x, taps, of_shift_turned)",
        constants=KERNELS,
    ),
    Pair(
        "a constant before zero padding is another at the border",
        f"m = Add(x, shift)  y = Conv<{PADDED}>(m, taps)",
        f"y = Conv<{PADDED}>(x, taps, of_shift)",
        constants=KERNELS,
    ),
    Pair(
        "channels that do not fit",
        "m = Mul(x, column)  y = Gather<axis = 1>(m, turn)",
        "m = Mul(x, column)  y = Gather<axis = 2>(m, turn)",
        inputs="float[N,4,4] x",
        constants={"column": ROW.reshape(4, 1), "turn": ints(3, 1, 0, 2)},
        cuts=OF_X,
    ),
    Pair(
        "zero padding between two convolutions",
        "m = Conv(x, first_of_taps)  y = Conv(m, point)",
        f"m = Conv(x, first_of_taps)  y = Conv<{PADDED}>(m, point)",
        inputs=OPEN,
        constants=KERNELS,
        cuts=OF_X,
    ),
    Pair(
        "a convolution after one with a stride",
        "m = Conv(x, point)  y = Conv(m, point)",
        "m = Conv<strides = [2,2]>(x, point)  y = Conv(m, point)",
        inputs=OPEN,
        constants=KERNELS,
        cuts=OF_X,
    ),
    Pair(
        "a sum with a ConvTranspose",
        "y = ConvTranspose<strides = [2,2]>(x, taps)",
        "y = ConvTranspose<strides = [2,2], output_padding = [1,1]>(x, taps)",
        inputs=OPEN,
        constants=KERNELS,
        cuts=OF_X,
    ),
    Pair(
        "branches with different strides or channels",
        "y = Conv(x, point)",
        "y = Conv<strides = [2,2]>(x, point)",
        inputs=OPEN,
        constants=KERNELS,
        cuts=OF_X,
    ),
    Pair(
        "branches with different strides or channels",
        "m = Conv(x, to_one)  y = ReduceSum(m, channels)",
        "m = Conv(x, to_four)  y = ReduceSum(m, channels)",
        constants=KERNELS,
        cuts=BEFORE_THE_LAST,
    ),
    Pair(
        "branches with different strides or channels",
        "y = Conv(x, of_one)",
        "y = Conv(x, of_four)",
        inputs="float[N,M,6,6] x",
        constants=KERNELS,
        cuts=OF_X,
    ),
    Pair(
        "branches whose results differ in size",
        "y = Conv(x, point)",
        "y = Conv(x, everywhere)",
        inputs=OPEN,
        constants=KERNELS,
        cuts=OF_X,
    ),
)
