"""Pairs that differ in numbers: what constants come to, what an op makes of them, what is lost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator
from open_pairs import pair
from premises import Pair

from bnfuse.checker.check import Cut
from bnfuse.checker.relations import IDENTITY

X = "float[1,3] x"


def scalars(**given: float) -> dict[str, Any]:
    """Numbers in float32."""
    return {name: np.float32(value) for name, value in given.items()}


def evaluated(
    op: str, given: dict[str, Any], opset: int, results: str = "c", why: str = ""
) -> Pair:
    """An op on stored numbers, against what ONNX's reference implementation has for it."""
    text = (
        f'<ir_version: 10, opset_import: ["" : {opset}]> g () => (float c) {{ {results} = {op} }}'
    )
    model = onnx.parser.parse_model(text)
    for name, array in given.items():
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    value = np.asarray(ReferenceEvaluator(model).run(None, {})[0], np.float32)
    return pair(
        f"{results} = {op}  y = Mul(x, c)",
        "y = Mul(x, found)",
        f"float[{','.join(map(str, value.shape))}] x",
        given | {"found": value},
        opset=opset,
        why=why,
    )


def drawn(*dims: int) -> Any:
    """Numbers that stand for any."""
    return np.random.default_rng(sum(dims)).standard_normal(dims).astype(np.float32)


def recurrence(op: str, gates: int) -> Pair:
    """A recurrence that cuts off what it sums."""
    return evaluated(
        f"{op}<hidden_size = 2, clip = 0.3>(i, w, r)",
        {"i": drawn(3, 1, 2), "w": drawn(1, 2 * gates, 2), "r": drawn(1, 2 * gates, 2)},
        14,
        "c, h",
        "the reference implementation leaves the clip out",
    )


def activated(attributes: str, formula: str) -> Pair:
    """A Gemm with an activation, against the activation written out."""
    return pair(
        f"y = com.microsoft.FusedGemm<{attributes}>(x, w)",
        f"g = Gemm(x, w)  y = {formula}",
        X,
        {"w": np.eye(3, dtype=np.float32)},
        why="each number has its name, whatever their order",
    )


def skipped(epsilon: float) -> Pair:
    """A SkipLayerNormalization that gives no epsilon."""
    return pair(
        "y = com.microsoft.SkipLayerNormalization(x, s, g, b)",
        f"t = Add(x, s)  y = LayerNormalization<epsilon = {epsilon:.12f}>(t, g, b)",
        "float[1,2,4] x, float[1,2,4] s",
        {"g": np.ones(4, np.float32), "b": np.zeros(4, np.float32)},
        why="ONNX Runtime adds 1e-12, which its schema does not say",
    )


def simplified(epsilon: float) -> Pair:
    """A SkipSimplifiedLayerNormalization that gives no epsilon."""
    return pair(
        "y = com.microsoft.SkipSimplifiedLayerNormalization(x, s, g)",
        "t = Add(x, s)  q = Mul(t, t)  v = ReduceMean(q, last)  u = Add(v, e)  r = Sqrt(u)  "
        "d = Div(t, r)  y = Mul(d, g)",
        "float[1,2,4] x, float[1,2,4] s",
        {"g": np.ones(4, np.float32), "e": np.float32(epsilon), "last": [-1]},
        why="ONNX Runtime adds 1e-12, which its schema does not say",
    )


def undeclared(_: int, model: onnx.ModelProto) -> None:
    """Leave the shape of the result open."""
    model.graph.output[0].type.tensor_type.ClearField("shape")


def clipped(kind: str, bound: Any, **more: Any) -> Pair:
    """A Clip, against a Max and a Min with the same bounds."""
    return pair(
        "t = Max(x, low)  y = Min(t, high)",
        "y = Clip(x, low, high)",
        f"{kind} x",
        {"low": bound, "high": np.float32(9.0)},
        **more,
    )


def smallest(dtype: Any, up: float, again: float, second: tuple[int, int]) -> Pair:
    """A few steps of the smallest number, made large afterwards."""
    step = 2.0**-149 if dtype is np.float32 else 2.0**-24
    kind = "float" if dtype is np.float32 else "float16"
    rest = "r = Relu(p)  s = Mul(r, up)  y = Mul(s, again)"
    return pair(
        f"p = MatMul(x, w)  {rest}",
        f"p = MatMul(x, v)  {rest}",
        f"{kind}[1,2] x",
        {
            "w": (np.array([[3.0], [3.0]]) * step).astype(dtype),
            "v": (np.array(second).reshape(2, 1) * step).astype(dtype),
            "up": dtype(up),
            "again": dtype(again),
        },
        out=kind,
    )


PLAIN = "y = Mul(x, one)"
AXES = "the reference implementation normalises one axis, the op all from its own on"
LAST = {"i": drawn(1, 2, 2)}
GATHERED = "y = Gather(table, i)"
TABLE = {"table": np.arange(40, dtype=np.float32).reshape(20, 2)}
LENGTHS = {
    "i": drawn(3, 2, 4),
    "w": drawn(1, 2, 4),
    "r": drawn(1, 2, 2),
    "b": drawn(1, 4),
    "lengths": np.array([1, 3], np.int32),
}
NORM = {
    "gamma": np.array([1.0, -2.0, 0.5], np.float32),
    "variance": np.array([0.3, 2.0, 1.0], np.float32),
    "epsilon": np.float32(1e-5),
}
NORM["stored"] = (
    NORM["gamma"] / np.sqrt(NORM["variance"].astype(float) + float(NORM["epsilon"]))
).astype(np.float32)

WRONG = {
    # What is lost where numbers of very different sizes meet.
    "a shift that is lost beside a scale": pair(
        "p = Div(x, s)  q = Div(p, s)  y = Mul(q, b)",
        "p = Add(x, k)  q = Sub(p, m)  y = Mul(q, one)",
        X,
        scalars(s=256.0, b=65536.0, k=1000.0, m=1050.0, one=1.0),
    ),
    "terms that cancel in a claim": pair(
        "p = Mul(x, big)  q = Sub(p, p)  y = Add(x, q)",
        "y = Mul(x, five)",
        X,
        scalars(big=1e8, five=5.0),
        cuts=(Cut("y", "y", "linear", IDENTITY, (("x", "x"),)),),
    ),
    "shifts that cancel": pair(
        "z = Sub(x, x)  p = Add(z, big)  q = Sub(p, big)  y = Add(x, q)",
        "y = Add(x, hundred)",
        X,
        scalars(big=1e8, hundred=100.0),
    ),
    "steps of the smallest float32": smallest(np.float32, 2.0**100, 2.0**49, (4, 2)),
    "steps of the smallest float16": smallest(np.float16, 2.0**12, 2.0**12, (4, 2)),
    "zeros of two signs": pair(
        "d = Div(x, plus)  y = Tanh(d)",
        "d = Div(x, minus)  y = Tanh(d)",
        X,
        scalars(plus=0.0, minus=-0.0),
    ),
    # What a model computes of its constants, in the type that they have.
    "constants that lose a summand": pair(
        PLAIN,
        "s = Add(one, big)  t = Sub(s, big)  y = Mul(x, t)",
        X,
        scalars(one=1.0, big=1e9),
    ),
    "constants that overflow": pair(
        PLAIN,
        "s = Mul(big, big)  t = Div(s, big)  v = Div(t, big)  y = Mul(x, v)",
        X,
        scalars(one=1.0, big=1e30),
    ),
    "an index that loses a summand": pair(
        "p = Add(one, big)  q = Sub(p, big)  j = Cast<to = 7>(q)  y = Gather(x, j)",
        "y = Gather(x, first)",
        "float[2] x",
        {"one": np.ones(1, np.float32), "big": np.float32(1e9), "first": [1]},
    ),
    # What the reference implementation makes of constants is not what the op is.
    "Softmax before operator set 13": evaluated("Softmax<axis = 1>(i)", LAST, 11, why=AXES),
    "LogSoftmax before operator set 13": evaluated("LogSoftmax<axis = 1>(i)", LAST, 11, why=AXES),
    "Hardmax before operator set 13": evaluated("Hardmax<axis = 1>(i)", LAST, 11, why=AXES),
    "BatchNormalization of operator set 9": evaluated(
        "BatchNormalization(i, g, h, m, v)",
        {
            "i": drawn(1, 2, 3),
            "g": drawn(2),
            "h": drawn(2),
            "m": drawn(2),
            "v": np.array([0.2, 0.4], np.float32),
        },
        9,
        why="the reference implementation takes the statistics of what it is given",
    ),
    "LpNormalization by absolute values": evaluated(
        "LpNormalization<p = 1>(i)",
        {"i": -np.abs(drawn(2, 3))},
        11,
        why="the reference implementation sums without taking absolute values",
    ),
    "LRN of many channels": evaluated(
        "LRN<size = 3, alpha = 0.1>(i)",
        {"i": 9.0 * drawn(1, 6, 1, 1)},
        13,
        why="the reference implementation reaches over other channels",
    ),
    "Resize by scales that are no integers": evaluated(
        'Resize<mode = "nearest", nearest_mode = "floor">(i, roi, s)',
        {
            "i": drawn(1, 1, 4, 5),
            "roi": np.zeros(0, np.float32),
            "s": np.array([1.0, 1.0, 1.5, 0.6], np.float32),
        },
        13,
        why="the reference implementation picks other elements",
    ),
    "RoiAlign of operator set 10": evaluated(
        "RoiAlign<output_height = 2, output_width = 2, sampling_ratio = 2>(i, roi, at)",
        {
            "i": drawn(1, 1, 6, 6),
            "roi": np.array([[0.0, 0.0, 3.0, 3.0]], np.float32),
            "at": np.array([0]),
        },
        10,
        why="the reference implementation shifts by half a pixel",
    ),
    "LpPool beyond the border": evaluated(
        "LpPool<kernel_shape = [2, 2], strides = [2, 2], ceil_mode = 1>(i)",
        {"i": drawn(1, 1, 5, 5)},
        18,
        why="the reference implementation makes something of elements that are not there",
    ),
    "RNN with a clip": recurrence("RNN", 1),
    "GRU with a clip": recurrence("GRU", 3),
    "LSTM with a clip": recurrence("LSTM", 4),
    "RNN with lengths": evaluated(
        "RNN<hidden_size = 2>(i, w, r, b, lengths)",
        LENGTHS,
        14,
        "c, h",
        "the reference implementation leaves the lengths out",
    ),
    # Formulas of ops that other ops define.
    "numbers of an activation in another order": activated(
        'activation = "HardSigmoid", activation_beta = 0.3, activation_alpha = 0.1',
        "HardSigmoid<alpha = 0.3, beta = 0.1>(g)",
    ),
    "SkipLayerNormalization without an epsilon": skipped(1e-5),
    "SkipSimplifiedLayerNormalization without an epsilon": simplified(1e-5),
    "a bound with an axis": clipped(
        "float",
        np.array([2.0], np.float32),
        make=undeclared,
        why="the result of a Max has the axis of the bound, that of a Clip has not",
    ),
    "a bound of three numbers": clipped(
        "float[1,3]",
        np.array([0.0, 2.0, 5.0], np.float32),
        why="a bound of a Clip is one number, and no runtime takes three",
    ),
    # Claims that nobody would make but who wants to deceive.
    "a table that is not turned": pair(
        GATHERED,
        "t = Gather(table, i)  y = Transpose<perm = [1, 0]>(t)",
        "int64[2] i",
        TABLE,
        cuts=(
            Cut("y", "t", "op", replace(IDENTITY, order=(1, 0))),
            Cut("y", "y", "linear", IDENTITY, (("y", "t"),)),
        ),
    ),
}

RIGHT = {
    "scales that come to one": pair(
        "p = Div(x, s)  y = Mul(p, s)", PLAIN, X, scalars(s=256.0, one=1.0)
    ),
    "shifts that come to none": pair(
        "p = Add(x, k)  y = Sub(p, k)", PLAIN, X, scalars(k=8.0, one=1.0)
    ),
    "equal steps of the smallest float32": smallest(np.float32, 2.0**100, 2.0**49, (3, 3)),
    "a division by one number": pair(
        "d = Div(x, n)  y = Tanh(d)", "d = Mul(x, m)  y = Tanh(d)", X, scalars(n=-4.0, m=-0.25)
    ),
    "the scale of a norm, from its statistics": pair(
        "v = Add(variance, epsilon)  d = Sqrt(v)  s = Div(gamma, d)  y = Mul(x, s)",
        "y = Mul(x, stored)",
        X,
        NORM,
    ),
    "an index that is counted": pair(
        "j = Sub(three, two)  y = Gather(x, j)",
        "y = Gather(x, first)",
        "float[2] x",
        {"three": [3], "two": [2], "first": [1]},
    ),
    "HardSigmoid, its alpha first": activated(
        'activation = "HardSigmoid", activation_alpha = 0.1, activation_beta = 0.3',
        "HardSigmoid<alpha = 0.1, beta = 0.3>(g)",
    ),
    "HardSigmoid, its beta first": activated(
        'activation = "HardSigmoid", activation_beta = 0.3, activation_alpha = 0.1',
        "HardSigmoid<alpha = 0.1, beta = 0.3>(g)",
    ),
    "LeakyRelu, its alpha last": activated(
        'activation = "LeakyRelu", activation_alpha = 0.2', "LeakyRelu<alpha = 0.2>(g)"
    ),
    "LeakyRelu, its alpha first": activated(
        'activation_alpha = 0.2, activation = "LeakyRelu"', "LeakyRelu<alpha = 0.2>(g)"
    ),
    "SkipLayerNormalization with its own epsilon": skipped(1e-12),
    "SkipSimplifiedLayerNormalization with its own epsilon": simplified(1e-12),
    "a bound that is one number": clipped("float[1,3]", np.float32(2.0)),
}
