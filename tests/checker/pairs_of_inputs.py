"""Pairs that differ in what a node is given: its inputs, its bodies, its functions, its names."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from open_pairs import pair
from premises import Pair

NORMALISED = "float[1,3,4] x, float[3] bias, float[4] last"
NORMS = {
    "scale": np.ones(3, np.float32),
    "scales": np.ones(4, np.float32),
    "zero": np.zeros(3, np.float32),
    "zeros": np.zeros(4, np.float32),
    "stored": np.array([5.0, 6.0, 7.0], np.float32),
    "row": np.array([1.0, 2.0, 0.0, 3.0], np.float32),
}
NUMBERS = {
    "w": np.ones((3, 1), np.uint8),
    "zero": np.uint8(0),
    "one": np.uint8(1),
}
GATES = {
    "w": np.full((1, 6, 3), 0.1, np.float32),
    "r": np.full((1, 6, 2), 0.1, np.float32),
    "length": np.array([1], np.int32),
}
STEPS = "float[2,1,3] x, float[1,1,2] start, float[1,12] bias"
LOOPED = {
    "one": np.array([1.0], np.float32),
    "ten": np.array([10.0], np.float32),
    "true": np.array(True),
    "three": np.int64(3),
}
LOOP = """y = Loop ({times}, true, x) <body = again (int64 i, bool c, float[1] v)
    => (bool more, float[1] moved) {{ moved = Add(v, one)  more = Less(moved, ten) }}>"""


def norm(op: str, first: str, second: str) -> Pair:
    """A norm of two biases, or of a bias and none."""
    a, b = (f"y = {op.replace('?', given)}" for given in (first, second))
    return pair(a, b, NORMALISED, NORMS, opset=21)


def integers(first: str, second: str) -> Pair:
    """A product of integers with two zero points, or with one and none."""
    a, b = (f"y = MatMulInteger(x, w, {given}, zero)" for given in (first, second))
    return pair(a, b, "uint8[1,3] x", NUMBERS, out="int32")


def gated(first: str, second: str) -> Pair:
    """A GRU with its optional inputs, not all of which the reference implementation reads."""
    a, b = (f"all, y = GRU<hidden_size = 2>(x, w, r, {given}, start)" for given in (first, second))
    why = "shorter sequences end in another state" if "length" in second else ""
    return pair(a, b, STEPS, GATES, why=why)


def looped(first: str, second: str) -> Pair:
    """A loop that ends by its count or by its condition."""
    a, b = (LOOP.format(times=given) for given in (first, second))
    return pair(a, b, "float[1] x", LOOPED)


def chosen(result: str, op: str, dims: str) -> str:
    """One op in both branches of an If."""
    branch = (
        f"{{name}} () => (float{dims} {{name}}_of_{result}) {{{{ {{name}}_of_{result} = {op} }}}}"
    )
    both = (
        f"then_branch = {branch.format(name='then')}, else_branch = {branch.format(name='other')}"
    )
    return f"{result} = If (c) <{both}>"


def softmax_in_a_body(opset: int, other: int) -> Pair:
    """A Softmax whose axis means something else since operator set 13."""
    body = chosen("y", "Softmax<axis = 1>(x)", "[1,2,2]")
    why = "the reference implementation reads no operator set in a body"
    return pair(body, body, "bool c, float[1,2,2] x", opset=opset, other=other, why=why)


def with_default(first: float, second: float) -> Pair:
    """An input that need not be fed, and what it is then."""

    def make(side: int, model: onnx.ModelProto) -> None:
        default = np.full(3, (first, second)[side], np.float32)
        model.graph.initializer.append(numpy_helper.from_array(default, "w"))

    body = "y = Mul(x, w)"
    return pair(
        body,
        body,
        "float[1,3] x, float[3] w",
        make=make,
        why="the input need not be fed, and is another number then",
    )


def clipped(first: float, second: float) -> Pair:
    """Bounds, and an input with the name that writing them out as constants makes up."""

    def make(_: int, model: onnx.ModelProto) -> None:
        model.graph.input[1].name = "y/0"

    a, b = (f"y = Clip<min = {bound:.1f}, max = 6.0>(x)" for bound in (first, second))
    return pair(a, b, "float[1,3] x, float unused", opset=10, make=make)


def leaking(alpha: float, given: str = "") -> Pair:
    """A function with a default for its attribute, against the op that it is made of."""

    def make(side: int, model: onnx.ModelProto) -> None:
        if side == 1:
            return
        node = helper.make_node("LeakyRelu", ["a"], ["b"])
        node.attribute.add(name="alpha", ref_attr_name="alpha", type=onnx.AttributeProto.FLOAT)
        sets = [helper.make_opsetid("", 20)]
        default = [helper.make_attribute("alpha", 0.5)]
        function = helper.make_function(
            "own", "F", ["a"], ["b"], [node], sets, attribute_protos=default
        )
        model.functions.append(function)
        model.graph.output[0].type.CopyFrom(model.graph.input[0].type)

    return pair(
        f"y = own.F{given}(x)", f"y = LeakyRelu<alpha = {alpha}>(x)", "float[1,3] x", make=make
    )


def renamed(body: str) -> Pair:
    """A function that negates, called as one of ONNX's own ops."""

    def make(side: int, model: onnx.ModelProto) -> None:
        if side == 1:
            return
        node = helper.make_node("Neg", ["a"], ["b"])
        sets = [helper.make_opsetid("", 20)]
        model.functions.append(helper.make_function("", "Relu", ["a"], ["b"], [node], sets))

    return pair(
        "y = Relu(x)",
        body,
        "float[1,3] x",
        make=make,
        why="ONNX Runtime computes the op, not the function",
    )


def labelled(first: str, second: str) -> Pair:
    """Strings in a tensor that is an attribute, too long to lie where they are seen."""

    def make(side: int, model: onnx.ModelProto) -> None:
        strings = np.array([(first, second)[side]], object)
        node = helper.make_node(
            "LabelEncoder",
            ["x"],
            ["y"],
            domain="ai.onnx.ml",
            keys_tensor=numpy_helper.from_array(np.array([0])),
            values_tensor=numpy_helper.from_array(strings),
        )
        model.graph.node[0].CopyFrom(node)
        model.graph.output[0].type.tensor_type.elem_type = TensorProto.STRING
        model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 4))

    body = "y = Identity(x)"
    return pair(body, body, "int64[1] x", out="int64", make=make, why="another string")


def named_twice(first: int, second: int) -> Pair:
    """One result that is named as several outputs."""

    def make(side: int, model: onnx.ModelProto) -> None:
        for _ in range((first, second)[side] - 1):
            model.graph.output.append(model.graph.output[0])

    body = "y = Relu(x)"
    return pair(body, body, "float[1,3] x", make=make, why="another number of results")


LAYER = "LayerNormalization(x, scales?)"
INSTANCE = "InstanceNormalization(x, scale, ?)"
GROUP = "GroupNormalization<num_groups = 1>(x, scale, ?)"
DRAWN = chosen("r", "RandomNormal<shape = [3]>()", "[3]")

WRONG = {
    "a computed bias of LayerNormalization": norm(LAYER, "", ", last"),
    "a computed bias of InstanceNormalization": norm(INSTANCE, "zero", "bias"),
    "a computed bias of GroupNormalization": norm(GROUP, "zero", "bias"),
    "a zero point of the left factor": integers("", "one"),
    "lengths of the sequences": gated(", ", ", length"),
    "a computed bias of a GRU": gated(", ", "bias, "),
    "a count of a Loop": looped("", "three"),
    "the mean of a LayerNormalization": pair(
        "n, mean = LayerNormalization(x, one)  y = Add(n, mean)",
        "n, mean = LayerNormalization(x, two)  t = Add(n, mean)  y = Mul(t, half)",
        "float[1,3] x",
        {
            "one": np.ones(3, np.float32),
            "two": np.full(3, 2.0, np.float32),
            "half": np.float32(0.5),
        },
    ),
    "a body of another operator set": softmax_in_a_body(12, 13),
    "draws in bodies": pair(
        f"{DRAWN}  {DRAWN.replace('r', 's', 1)}  y = Sub(r, s)",
        f"{DRAWN}  y = Sub(r, r)",
        "bool c",
    ),
    "the default of an input": with_default(1.0, 5.0),
    "an input with the name of a constant that is made up": clipped(0.0, 2.5),
    "the default of a function's attribute": leaking(0.01),
    "a function with the name of an op": renamed("y = Neg(x)"),
    "strings of an attribute": labelled("a" * 3000, "b" * 3000),
    "an output that is named twice": named_twice(2, 1),
}

RIGHT = {
    "LayerNormalization with one stored bias": norm(LAYER, ", row", ", row"),
    "LayerNormalization with a bias of zeros": norm(LAYER, "", ", zeros"),
    "InstanceNormalization with one stored bias": norm(INSTANCE, "stored", "stored"),
    "GroupNormalization with one stored bias": norm(GROUP, "stored", "stored"),
    "equal zero points": integers("one", "one"),
    "equal lengths": gated(", length", ", length"),
    "an equal computed bias": gated("bias, ", "bias, "),
    "an equal count": looped("three", "three"),
    "a LayerNormalization without its mean": pair(
        "y = LayerNormalization(x, one)",
        "n = LayerNormalization(x, two)  y = Mul(n, half)",
        "float[1,3] x",
        {
            "one": np.ones(3, np.float32),
            "two": np.full(3, 2.0, np.float32),
            "half": np.float32(0.5),
        },
    ),
    "a body of the same operator set": softmax_in_a_body(13, 13),
    "equal defaults of an input": with_default(5.0, 5.0),
    "equal bounds beside such an input": clipped(2.5, 2.5),
    "equal strings of an attribute": labelled("a" * 3000, "a" * 3000),
    "one output each": named_twice(1, 1),
}
