"""Pairs of which one premise of whole models, or of what is asked of a candidate, tells apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
from pairs_of_cuts import linear, turning
from pairs_that_were_proved import WRONG
from premises import Pair

FOUR = {
    "two": np.float32(2.0),
    "twice": 2.0 * np.eye(4, dtype=np.float32),
    "wide": np.array([2, 8]),
    "tall": np.array([8, 2]),
    "six": np.array([2, 6]),
    "back": np.array([4, 4]),
    "kernel": 2.0 * np.eye(4, dtype=np.float32).reshape(4, 4, 1, 1),
    "biases": np.zeros(3, np.float32),
    "twos": np.full(4, 2.0, np.float32),
    "none": np.zeros(4, np.float32),
    "ones": np.ones(4, np.float32),
}


def of_version_two(side: int, model: onnx.ModelProto) -> None:
    """Another version of the custom operator set on the second side."""
    for opset in model.opset_import:
        if opset.domain == "own":
            opset.version = 1 + side


def with_a_third_input(side: int, model: onnx.ModelProto) -> None:
    """A Mul of three."""
    if side:
        model.graph.node[0].input.append("two")


def of(name: str, reason: str) -> Pair:
    """A pair that was proved once, with the premise that refuses it now."""
    return replace(WRONG[name], reason=reason)


RESIZE = "a Resize of chosen axes, or that keeps the ratio of sizes"
MODELS: tuple[Pair, ...] = (
    of("a body of another operator set", "the body of If is of another operator set"),
    of("draws in bodies", "the body of If draws"),
    of("the default of an input", "an input that is not fed has another value"),
    of("an output that is named twice", "two outputs have one name"),
    of("a declared size of -1", "a size below 0"),
    of(
        "an AveragePool whose last window begins beyond the end",
        "sizes of AveragePool on which runtimes differ",
    ),
    of("a dilated MaxPool that keeps the size", "sizes of MaxPool on which runtimes differ"),
    of("the default of a function's attribute", "the function 'F' is not spoken of"),
    of("a function with the name of an op", "the function 'Relu' is not spoken of"),
    of("a Resize with its axes in another order", RESIZE),
    of("a Resize that keeps the proportions", RESIZE),
    of("a MatMul that fixes a size", "a size that only the candidate fixes"),
    of("a table that is not turned", "a claim that the axes are in another order"),
    of("terms that cancel in a claim", "what cancels in the original"),
    of("shifts that cancel", "what cancels in the original"),
    of("a shift of the candidate beside another channel's", "constants grow beyond 65536"),
    Pair(
        "constants on the way grow beyond 65536",
        "y = Mul(x, small)",
        "p = Add(x, large)  q = Mul(p, small)  y = Sub(q, taken)",
        constants={
            "small": np.float32(2.0**-12),
            "large": np.float32(2.0**27),
            "taken": np.float32(2.0**15),
        },
        why="beside 2**27 nothing is left of 3",
    ),
    Pair(
        "own::Foo is of another operator set",
        "y = own.Foo(x)",
        "y = own.Foo(x)",
        make=of_version_two,
        why="what a custom op is in another version, nobody tells",
    ),
    Pair(
        "Mul is not written as it should be",
        "y = Mul(x, two)",
        "y = Mul(x, two)",
        constants=FOUR,
        make=with_a_third_input,
        why="no runtime takes it",
    ),
    Pair(
        "nothing is reduced",
        "y = ReduceL2<noop_with_empty_axes = 1>(x)",
        "m = Neg(x)  y = ReduceL2<noop_with_empty_axes = 1>(m)",
        why="an op of no axes may give what it is given",
    ),
    Pair(
        "another shape of a Transpose",
        "r = Reshape(x, wide)  y = Transpose<perm = [1,0]>(r)",
        "t = Transpose<perm = [1,0]>(x)  y = Reshape(t, tall)",
        "float[4,4] x",
        FOUR,
        cuts=(linear("x", "t", "x", turning(1, 0)), linear("y", "y", "x:t")),
    ),
    Pair(
        "a shape of another number of elements",
        "y = Relu(x)",
        "v = Reshape(x, six)  b = Reshape(v, back)  y = Relu(b)",
        "float[4,4] x",
        FOUR,
    ),
    Pair(
        "not one number per channel",
        "y = Mul(x, two)",
        "y = BatchNormalization<epsilon = 0.0>(x, twos, none, none, ones)",
        "float[N,M,6,6] x",
        FOUR,
    ),
    Pair(
        "not one number per channel",
        "y = Mul(x, two)",
        "y = Conv(x, kernel, biases)",
        constants=FOUR,
    ),
    Pair(
        "weights of another rank",
        "y = Mul(x, two)",
        "n = Abs(none)  k = Squeeze(five, n)  y = Conv(x, k)",
        "float[N,4,6] x",
        FOUR | {"five": FOUR["kernel"].reshape(1, 4, 4, 1, 1), "none": np.array([0])},
        cuts=(linear("y", "y", "x"),),
    ),
)
