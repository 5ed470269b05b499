"""Pairs that one premise of files, their nodes and their interfaces tells apart."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from premises import Pair

from bnfuse.checker.check import Cut

TWO = {"two": np.float32(2.0)}
AXES = {"zero": np.array([0]), "first": np.array([1]), "last": np.array([2])}
SQUARE = "float[N,4,4] x"
CHOOSE = (
    "y = If (c) <then_branch = g1 () => (float[N,4,4] t) { t = Relu(z) },"
    " else_branch = g2 () => (float[N,4,4] e) { e = Neg(z) }>"
)


def _feeds_another(side: int, made: onnx.ModelProto) -> None:
    if side:
        made.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [1]))


def _gives_both(side: int, made: onnx.ModelProto) -> None:
    other = helper.make_tensor_value_info("z", TensorProto.FLOAT, ["N", 4, 6, 6])
    made.graph.output.insert(1 - side, other)


def _fixes_the_batch(side: int, made: onnx.ModelProto) -> None:
    if side:
        made.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2


def _gives_another_shape(side: int, made: onnx.ModelProto) -> None:
    if side:
        made.graph.output[0].type.tensor_type.shape.dim.add().dim_value = 5


def _trains(side: int, made: onnx.ModelProto) -> None:
    if side:
        made.training_info.add().initialization.name = "g"


def _stores_sparsely(side: int, made: onnx.ModelProto) -> None:
    if side:
        values = helper.make_tensor("two", TensorProto.FLOAT, [1], [3.0])
        places = helper.make_tensor("places", TensorProto.INT64, [1], [0])
        made.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [1]))


def _stores_twice(side: int, made: onnx.ModelProto) -> None:
    if side:
        three = np.full((), 3.0, np.float32)
        made.graph.initializer.insert(0, numpy_helper.from_array(three, "two"))


INTERFACES = (
    Pair(
        "the inputs have other names or another order",
        "y = Relu(x)",
        "d = Neg(w)  y = Relu(x)",
        make=_feeds_another,
    ),
    Pair(
        "the outputs have other names or another order",
        "z = Neg(x)  y = Relu(x)",
        "z = Neg(x)  y = Relu(x)",
        make=_gives_both,
    ),
    Pair(
        "the input 'x' has another type or shape",
        "y = Mul(x, two)",
        "n = Shape<start = 0, end = 1>(x)  f = Cast<to = 1>(n)  y = Mul(x, f)",
        constants=TWO,
        make=_fixes_the_batch,
    ),
    Pair(
        "the output 'y' has another type or shape",
        "y = Relu(x)",
        "y = Relu(x)",
        make=_gives_another_shape,
        why="it declares what it does not give",
    ),
    Pair(
        "the output 'y' was not shown to be equal",
        "d = Neg(x)  y = Relu(x)",
        "d = Neg(x)  y = Abs(x)",
        cuts=(Cut("d", "d", "op"),),
    ),
)

SAME_OPS = (
    Pair("Sin and Cos are different ops", "y = Sin(x)", "y = Cos(x)", cuts=(Cut("y", "y", "op"),)),
    Pair(
        "RandomNormalLike draws",
        "r = RandomNormalLike(x)  y = Add(x, r)",
        "r = RandomNormalLike(x)  y = Add(x, r)",
    ),
    Pair(
        "Softmax means something else in another operator set",
        "y = Softmax<axis = 1>(x)",
        "y = Softmax<axis = 1>(x)",
        opset=11,
        other=13,
        why="of old it is over all axes from that one on",
    ),
    Pair(
        "alpha of LeakyRelu differs", "y = LeakyRelu<alpha = 0.1>(x)", "y = LeakyRelu<alpha = 2>(x)"
    ),
    Pair("Max has other inputs", "y = Max(x)", "y = Max(x, two)", constants=TWO),
    Pair(
        "axes of ReduceSum differs",
        "y = ReduceSum<keepdims = 0>(x, first)",
        "y = ReduceSum<keepdims = 0>(x, last)",
        inputs=SQUARE,
        constants=AXES,
    ),
    Pair(
        "the body of If reads 'z'",
        f"z = Neg(x)  {CHOOSE}",
        f"z = Abs(x)  {CHOOSE}",
        inputs=f"{SQUARE}, bool c",
        cuts=(Cut("y", "y", "op"),),
    ),
)

FILES = (
    Pair(
        "sparse initializers and training information are not spoken of",
        "y = Relu(x)",
        "y = Relu(x)",
        make=_trains,
        why="it trains otherwise",
    ),
    Pair(
        "sparse initializers and training information are not spoken of",
        "y = Mul(x, two)",
        "y = Mul(x, two)",
        constants=TWO,
        make=_stores_sparsely,
        why="which of both is meant, nobody tells",
    ),
    Pair(
        "two constants have one name",
        "y = Mul(x, two)",
        "y = Mul(x, two)",
        constants=TWO,
        make=_stores_twice,
        why="which of both is meant, nobody tells",
    ),
    Pair(
        "Cast reads a value that no node before it gives",
        "m = Neg(x)  y = Cast<to = 6>(m)",
        "y = Cast<to = 6>(m)  m = Neg(x)",
        cuts=(Cut("m", "m", "op"), Cut("y", "y", "op")),
    ),
    Pair(
        "two nodes give 'm'",
        "m = Neg(x)  n = Relu(m)  y = Abs(n)",
        "m = Sigmoid(x)  n = Relu(m)  m = Neg(x)  y = Abs(n)",
        cuts=tuple(Cut(name, name, "op") for name in "mny"),
    ),
    Pair(
        "Mul broadcasts as it did before operator set 7",
        "y = Mul<broadcast = 1, axis = 1>(x, c)",
        "y = Mul(x, c)",
        inputs="float[2,4,4,4] x",
        constants={"c": np.array([1.0, -2.0, 0.5, 3.0], np.float32)},
        opset=6,
        other=9,
        why="the numbers are those of the channels",
    ),
    Pair(
        "PRelu broadcasts as it did before operator set 7",
        "y = PRelu(x, c)",
        "y = PRelu(x, c)",
        inputs="float[2,4,4,4] x",
        constants={"c": np.array([1.0, -2.0, 0.5, 3.0], np.float32)},
        opset=6,
        other=9,
        why="the numbers are those of the channels",
    ),
)

GRAPHS: tuple[Pair, ...] = (*INTERFACES, *SAME_OPS, *FILES)
