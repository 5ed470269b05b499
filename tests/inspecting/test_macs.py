"""Multiply-accumulates, against numbers counted by hand and by torch."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from graphs import Net

from bnfuse.examples import parse_input_shape
from bnfuse.inspecting.facts import Facts, facts_of
from bnfuse.onnxfiles.protos import model_of


def facts(net: Net, *outputs: str, shapes: tuple[str, ...] = ()) -> Facts:
    return facts_of(model_of(net.model(*outputs)), [parse_input_shape(s) for s in shapes])


@pytest.fixture
def net() -> Net:
    return Net(dtype=np.float32)


@pytest.mark.parametrize(
    ("options", "macs"),
    [
        # 6 · 6 positions, 8 outputs, 4 inputs, 3 · 3 taps.
        ({}, 36 * 8 * 4 * 9),
        ({"group": 2}, 36 * 8 * 2 * 9),
        ({"strides": [2, 2]}, 9 * 8 * 4 * 9),
        ({"pads": [1, 1, 1, 1]}, 64 * 8 * 4 * 9),
        ({"dilations": [2, 2]}, 16 * 8 * 4 * 9),
        # Each of 8 · 8 inputs is multiplied by 8 outputs and 9 taps, however far they go apart.
        ({"transposed": True}, 64 * 4 * 8 * 9),
        ({"transposed": True, "strides": [2, 2]}, 64 * 4 * 8 * 9),
        ({"transposed": True, "group": 2}, 64 * 4 * 4 * 9),
    ],
)
def test_convolutions(net: Net, options: dict, macs: int) -> None:
    found = facts(net, net.conv(net.input(["N", 4, 8, 8]), 4, 8, **options))
    assert found.macs.total.terms == {("N",): macs}
    assert not found.macs.uncounted


def test_matrix_products(net: Net) -> None:
    x = net.input(["N", "T", 5])
    y = net.op("MatMul", x, net.param(5, 7))
    found = facts(net, net.op("MatMul", y, net.op("Transpose", y, perm=[0, 2, 1])))
    assert found.macs.total.terms == {("N", "T"): 5 * 7, ("N", "T", "T"): 7}
    assert str(found.macs.total) == "35 × N × T + 7 × N × T × T"


@pytest.mark.parametrize(("trans", "shape"), [(0, ["N", 5]), (1, [5, "N"])])
def test_gemm(net: Net, trans: int, shape: list) -> None:
    found = facts(net, net.op("Gemm", net.input(shape), net.param(7, 5), transA=trans, transB=1))
    assert found.macs.by_op["Gemm"].terms == {("N",): 35}


@pytest.mark.parametrize(("op", "gates"), [("RNN", 1), ("GRU", 3), ("LSTM", 4)])
def test_recurrences(net: Net, op: str, gates: int) -> None:
    weights = net.param(2, gates * 6, 5), net.param(2, gates * 6, 6)
    x = net.input(["T", "N", 5])
    y = net.ops(op, x, *weights, count=2, hidden_size=6, direction="bidirectional")[0]
    assert facts(net, y).macs.total.terms == {("N", "T"): 2 * gates * 6 * (5 + 6)}


def test_an_einsum_multiplies_once_for_each_combination_of_its_indices(net: Net) -> None:
    x, w = net.input([2, 3, 4]), net.param(4, 5)
    assert facts(net, net.op("Einsum", x, w, equation="bij,jk->bik")).macs.total.terms == {
        (): 2 * 3 * 4 * 5
    }


def test_a_size_that_is_not_known_is_told_and_can_be_given(net: Net) -> None:
    x = net.input(["N", 4, "H", "W"])
    y = net.conv(net.conv(x, 4, 8), 8, 8)
    found = facts(net, y)
    assert not found.macs.total.terms
    assert found.macs.uncounted == {"Conv": 2}
    given = facts(net, y, shapes=("N,4,8,8",))
    assert given.macs.total.terms == {("N",): 36 * 8 * 4 * 9 + 16 * 8 * 8 * 9}
    assert given.inputs[0].shape == ("N", 4, "H", "W")


def test_what_runs_in_a_body_or_a_domain_of_its_own_is_told(net: Net) -> None:
    model = net.model(net.op("Relu", net.input(["N", 4])))
    model.graph.node[0].domain = "com.example"
    model.opset_import.add(domain="com.example", version=1)
    assert facts_of(model_of(model)).macs.uncounted == {"com.example.Relu": 1}


def test_numbers_stored_are_told_by_dtype_and_indices_are_no_parameters(net: Net) -> None:
    y = net.op("Reshape", net.conv(net.input([1, 4, 8, 8]), 4, 8), net.ints(1, -1))
    found = facts(net, y)
    assert found.elements == {"float32": 8 * 4 * 9, "int64": 2}
    assert found.parameters == 288
    assert (found.nodes, found.ops) == (2, {"Conv": 1, "Reshape": 1})


def test_torch_counts_the_same() -> None:
    torch = pytest.importorskip("torch")
    from torch import nn
    from torch.utils.flop_counter import FlopCounterMode

    import bnfuse

    module = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1, groups=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, groups=4, dilation=2),
        nn.ConvTranspose2d(8, 6, 3, stride=2),
        nn.Flatten(2),
        nn.Linear(9 * 9, 7),
    ).eval()
    x = torch.zeros(2, 3, 16, 16)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(x)
    model = onnx.load_from_string(onnx_bytes(bnfuse.export(module, x).model))
    found = facts_of(model_of(model), [parse_input_shape("2,3,16,16")])
    assert 2 * found.macs.total.terms[()] == counter.get_total_flops()


def onnx_bytes(model) -> bytes:
    import onnx_ir as ir

    return ir.serde.serialize_model(model).SerializeToString()


def test_amounts_add_and_are_told_by_their_largest_first() -> None:
    from bnfuse.inspecting.amount import Amount

    total = Amount({("N",): 1_500_000}) + Amount({(): 4, ("N",): 500_000})
    assert str(total) == "2 M × N + 4"
    assert total.to_json() == [{"count": 4, "symbols": []}, {"count": 2_000_000, "symbols": ["N"]}]
    assert str(Amount()) == "0"


def test_a_sequence_is_said_to_be_one() -> None:
    text = (
        '<ir_version: 8, opset_import: ["": 17]> g (float[N, 4] x) => (seq(float[N, 4]) y)'
        " { y = SequenceConstruct(x) }"
    )
    found = facts_of(model_of(onnx.parser.parse_model(text)))
    assert str(found.inputs[0]) == "x float32[N, 4]"
    assert str(found.outputs[0]) == "y sequence of float32[N, 4]"
