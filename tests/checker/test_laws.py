"""No law claims more than the numbers bear, and each refuses what violates one of its premises."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from premises import Pair
from related import Op, follow, holds, relate

from bnfuse.checker.laws import LAWS
from bnfuse.checker.nodes import NotProved
from bnfuse.checker.relations import Relation

CHANNELS = np.array([0.5, 2.0, 1.5, 3.0])
SIGNED = np.array([0.5, -2.0, 1.5, -3.0])
SHIFTS = np.array([1.0, -2.0, 0.25, 3.0])
UP = Relation.of(1, CHANNELS)
MIXED = Relation.of(1, SIGNED)
MOVED = Relation.of(1, CHANNELS, SHIFTS)
SHIFTED = Relation.of(1, np.ones(4), SHIFTS)
TWICE = Relation.of(None, 2.0, 1.0)
ROWS = Relation.of(2, np.arange(1.0, 7.0))

IMAGE = (2, 4, 6, 6)
SOME = np.linspace(-1.0, 1.0, 4).reshape(4, 1, 1)
TABLE = np.linspace(-2.0, 2.0, 20).reshape(5, 4)
INT = np.int64


def ints(*values: int) -> Any:
    return np.array(values, INT)


POOL = {"kernel_shape": [3, 3]}
OPS = {
    "Relu": Op("Relu"),
    "LeakyRelu": Op("LeakyRelu", attributes={"alpha": 0.1}),
    "PRelu": Op("PRelu", ("x", SOME)),
    "Abs": Op("Abs"),
    "MaxPool": Op("MaxPool", attributes=POOL),
    "MaxPool padded": Op("MaxPool", attributes={**POOL, "pads": [1, 1, 1, 1]}),
    "AveragePool": Op("AveragePool", attributes=POOL),
    "AveragePool padded": Op("AveragePool", attributes={**POOL, "pads": [1, 1, 1, 1]}),
    "AveragePool counting": Op(
        "AveragePool", attributes={**POOL, "pads": [1, 1, 1, 1], "count_include_pad": 1}
    ),
    "GlobalAveragePool": Op("GlobalAveragePool"),
    "GlobalMaxPool": Op("GlobalMaxPool"),
    "LpPool": Op("LpPool", attributes=POOL, opset=18),
    "ReduceMean": Op("ReduceMean", ("x", ints(2, 3))),
    "ReduceMean dropped": Op("ReduceMean", ("x", ints(0, 3)), {"keepdims": 0}),
    "ReduceMean channels": Op("ReduceMean", ("x", ints(1))),
    "ReduceMean old": Op("ReduceMean", attributes={"axes": [2, 3]}, opset=13),
    "ReduceSum": Op("ReduceSum", ("x", ints(2, 3))),
    "ReduceL2": Op("ReduceL2", ("x", ints(2, 3))),
    "ReduceMax": Op(
        "ReduceMax",
        (
            "x",
            ints(
                -1,
            ),
        ),
    ),
    "ReduceMin": Op(
        "ReduceMin",
        (
            "x",
            ints(
                -1,
            ),
        ),
    ),
    "Resize": Op("Resize", ("x", None, np.array([1, 1, 2, 2], np.float32)), {"mode": "linear"}),
    "Resize crop": Op(
        "Resize",
        ("x", np.array([0.0, 0, -0.5, -0.5, 1, 1, 1.5, 1.5]), None, ints(2, 4, 6, 6)),
        {
            "mode": "linear",
            "coordinate_transformation_mode": "tf_crop_and_resize",
            "extrapolation_value": 7.0,
        },
    ),
    "Identity": Op("Identity"),
    "Transpose": Op("Transpose", attributes={"perm": [0, 2, 3, 1]}),
    "Reshape flat": Op("Reshape", ("x", ints(0, 4, -1))),
    "Reshape merged": Op("Reshape", ("x", ints(2, -1))),
    "Reshape batch": Op("Reshape", ("x", ints(8, 6, 6))),
    "Reshape split": Op("Reshape", ("x", ints(2, 2, 2, 36))),
    "Flatten": Op("Flatten"),
    "Unsqueeze": Op("Unsqueeze", ("x", ints(1))),
    "Expand": Op("Expand", ("x", ints(3, 1, 1, 1, 1))),
    "Tile": Op("Tile", ("x", ints(1, 1, 2, 1))),
    "Slice": Op("Slice", ("x", ints(1), ints(4), ints(1), ints(2))),
    "Slice backward": Op("Slice", ("x", ints(3), ints(-5), ints(1), ints(-1))),
    "Slice negative": Op("Slice", ("x", ints(-3), ints(-1), ints(-3))),
    "Split": Op("Split", ("x", ints(1, 3)), {"axis": 1}, outputs=2),
    "Split rows": Op("Split", ("x",), {"axis": 2, "num_outputs": 3}, outputs=3),
    "Concat": Op("Concat", ("x", "x"), {"axis": 1}),
    "Concat rows": Op("Concat", ("x", "x"), {"axis": -1}),
    "Gather": Op("Gather", ("x", ints(2, 0, 2)), {"axis": 1}),
    "Gather one": Op("Gather", ("x", np.array(1)), {"axis": 2}),
    "Gather channel": Op("Gather", ("x", np.array(1)), {"axis": 1}),
    "Gather grid": Op("Gather", ("x", np.zeros((2, 2), INT)), {"axis": 0}),
    "Pad": Op("Pad", ("x", ints(0, 0, 1, 1, 0, 0, 1, 1))),
    "Pad edge": Op("Pad", ("x", ints(0, 0, 1, 1, 0, 0, 1, 1)), {"mode": "edge"}),
    "Pad channels": Op("Pad", ("x", ints(0, 1, 0, 0, 0, 0, 0, 0)), {"mode": "edge"}),
    "DepthToSpace": Op("DepthToSpace", attributes={"blocksize": 2}),
    "DepthToSpace CRD": Op("DepthToSpace", attributes={"blocksize": 2, "mode": "CRD"}),
    "SpaceToDepth": Op("SpaceToDepth", attributes={"blocksize": 2}),
    "Add": Op("Add", ("x", "x")),
    "Sub": Op("Sub", ("x", "x")),
    "Sum": Op("Sum", ("x", "x", "x")),
    "Mul": Op("Mul", ("x", "x")),
    "Div": Op("Div", ("x", "x")),
    "Add constant": Op("Add", ("x", SOME)),
    "Mul constant": Op("Mul", ("x", SOME)),
    "Max": Op("Max", ("x", "x")),
    "Max constant": Op("Max", ("x", SOME)),
    "MatMul": Op("MatMul", ("x", "x")),
    "Softmax": Op("Softmax", attributes={"axis": -1}),
    "Softmax channels": Op("Softmax", attributes={"axis": 1}),
    "Clip": Op("Clip", ("x", np.array(-1.0), np.array(1.0))),
    "Clip moved": Op(
        "Clip",
        ("x", np.array(-1.0), np.array(1.0)),
        moved={1: np.array(-1.0), 2: np.array(3.0)},
    ),
    "Clip above": Op("Clip", ("x", None, np.array(1.0)), moved={2: np.array(3.0)}),
    "LayerNormalization": Op("LayerNormalization", ("x", np.ones(6), np.zeros(6))),
    "InstanceNormalization": Op("InstanceNormalization", ("x", np.ones(4), np.zeros(4))),
    "Sigmoid": Op("Sigmoid"),
    "Cast": Op("Cast", attributes={"to": 1}),
    "Dropout": Op("Dropout"),
    "Where": Op("Where", (np.array([True, False, True, True, False, True]), "x", "x")),
}


@st.composite
def relations(draw: st.DrawFn) -> Relation:
    axis = draw(st.sampled_from([None, 0, 1, 2, 3]))
    size = 1 if axis is None else IMAGE[axis]
    scales = st.sampled_from([1.0, 1.0, 2.0, 0.5, 3.0, -1.0, -0.25])
    shifts = st.sampled_from([0.0, 0.0, 1.0, -2.5])
    scale = draw(st.lists(scales, min_size=size, max_size=size))
    shift = draw(st.lists(shifts, min_size=size, max_size=size))
    if draw(st.booleans()):
        scale = [abs(s) for s in scale]
    if draw(st.booleans()):
        shift = [0.0] * size
    return (
        Relation.of(axis, scale, shift)
        if axis is not None
        else Relation.of(None, scale[0], shift[0])
    )


@given(st.sampled_from(sorted(OPS)), relations(), st.integers(0, 99))
def test_what_a_law_admits_holds(name: str, relation: Relation, seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        proving, pairs = relate(OPS[name], relation, Path(folder))
    try:
        follow(proving)
    except NotProved:
        return
    x = np.random.default_rng(seed).standard_normal(IMAGE)
    for pair in pairs:
        assert holds(proving, pair, x), f"{name} of {relation}"


ADMITTED = [
    ("Relu", UP),
    ("LeakyRelu", UP),
    ("PRelu", UP),
    ("Abs", MIXED),
    ("MaxPool", MOVED),
    ("MaxPool padded", MOVED),
    ("AveragePool", MOVED),
    ("AveragePool padded", MIXED),
    ("GlobalAveragePool", MOVED),
    ("GlobalMaxPool", MOVED),
    ("LpPool", MIXED),
    ("ReduceMean", MOVED),
    ("ReduceMean dropped", MOVED),
    ("ReduceMean old", MOVED),
    ("ReduceSum", MIXED),
    ("ReduceL2", MIXED),
    ("ReduceMax", MOVED),
    ("ReduceMin", MOVED),
    ("Resize", MOVED),
    ("Identity", MOVED),
    ("Transpose", MOVED),
    ("Reshape flat", MOVED),
    ("Reshape merged", MOVED),
    ("Reshape batch", TWICE),
    ("Flatten", MOVED),
    ("Unsqueeze", MOVED),
    ("Expand", TWICE),
    ("Tile", MOVED),
    ("Tile", ROWS),
    ("Slice", MOVED),
    ("Slice backward", MOVED),
    ("Slice negative", MOVED),
    ("Split", MOVED),
    ("Split rows", MOVED),
    ("Concat", MOVED),
    ("Concat rows", MOVED),
    ("Gather", MOVED),
    ("Gather one", MOVED),
    ("Gather grid", MOVED),
    ("Pad", MIXED),
    ("Pad edge", MOVED),
    ("SpaceToDepth", MOVED),
    ("Add", MOVED),
    ("Sub", MOVED),
    ("Sum", MOVED),
    ("Mul", MIXED),
    ("Div", MIXED),
    ("Max", MOVED),
    ("Softmax", SHIFTED),
    ("InstanceNormalization", SHIFTED),
    ("Where", MIXED),
    ("Dropout", MOVED),
    ("Clip moved", TWICE),
    ("Clip above", TWICE),
]


@pytest.mark.parametrize(("name", "relation"), ADMITTED, ids=[name for name, _ in ADMITTED])
def test_a_law_admits_what_it_is_there_for(name: str, relation: Relation, tmp_path: Path) -> None:
    proving, pairs = relate(OPS[name], relation, tmp_path)
    follow(proving)
    x = np.random.default_rng(0).standard_normal(IMAGE)
    assert all(holds(proving, pair, x) for pair in pairs)


REFUSED = [
    ("Relu", MIXED, "positive"),
    ("Relu", SHIFTED, "shift"),
    ("LeakyRelu", MIXED, "positive"),
    ("PRelu", SHIFTED, "shift"),
    ("Abs", SHIFTED, "shift"),
    ("MaxPool", MIXED, "positive"),
    ("MaxPool", ROWS, "channels"),
    ("AveragePool counting", SHIFTED, "shift"),
    ("AveragePool", ROWS, "channels"),
    ("LpPool", SHIFTED, "shift"),
    ("ReduceMean channels", MOVED, "channels"),
    ("ReduceSum", SHIFTED, "shift"),
    ("ReduceMax", MIXED, "positive"),
    ("Resize", ROWS, "resized"),
    ("Resize crop", UP, "beyond the borders"),
    ("Reshape split", MOVED, "several axes"),
    ("Pad", SHIFTED, "padding"),
    ("Pad channels", MOVED, "padded"),
    ("DepthToSpace", MOVED, "spread"),
    ("Mul", SHIFTED, "shift"),
    ("Add constant", UP, "different scales"),
    ("Mul constant", SHIFTED, "shift"),
    ("Max", MIXED, "positive"),
    ("Max constant", MOVED, "another constant"),
    ("MatMul", ROWS, "cancel"),
    ("MatMul", SHIFTED, "shift"),
    ("Softmax", UP, "scale"),
    ("Softmax channels", SHIFTED, "differ where"),
    ("Clip", MOVED, "another constant|rounding units"),
    ("Clip moved", Relation.of(None, -2.0, 1.0), "rounding units|positive"),
    ("LayerNormalization", UP, "scale"),
    ("InstanceNormalization", UP, "scale"),
    ("Sigmoid", UP, "no law"),
    ("Cast", UP, "no law"),
]


@pytest.mark.parametrize(
    ("name", "relation", "reason"), REFUSED, ids=[f"{row[0]}-{row[2]}" for row in REFUSED]
)
def test_a_law_refuses_what_violates_one_premise(
    name: str, relation: Relation, reason: str, tmp_path: Path
) -> None:
    proving, _ = relate(OPS[name], relation, tmp_path)
    with pytest.raises(NotProved, match=reason):
        follow(proving)


def test_every_law_is_tried() -> None:
    elsewhere = {"GroupNormalization", "GlobalLpPool", "ReduceL1", "RMSNormalization"}
    elsewhere |= {"Shape", "Size", "Squeeze", "Upsample", "Min", "RNN", "GRU", "LSTM"}
    assert set(LAWS) <= {op.kind for op in OPS.values()} | elsewhere


def test_a_scale_of_what_is_normalised_is_none_of_its_mean() -> None:
    scale = np.arange(1, 7, dtype=np.float32)
    norm = "r, m = LayerNormalization(x, {})  q = Mul(r, m)  "
    pair = Pair(
        "",
        norm.format("g") + "y = Neg(q)",
        norm.format("k") + "d = Div(q, four)  y = Neg(d)",
        constants={"g": scale, "k": 2 * scale, "four": np.float32(4.0)},
    )
    assert not pair.is_proved()
    assert pair.is_wrong()
