"""Two graphs side by side: what became of each node."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest
from graphs import Net, fold_model

from bnfuse.inspecting import compare
from bnfuse.inspecting.compare import Comparison, Fate
from bnfuse.onnxfiles.protos import model_of


def side_by_side(before: onnx.ModelProto, after: onnx.ModelProto) -> Comparison:
    return compare(model_of(before), model_of(after))


def fates(found: Comparison) -> list[tuple[str, str]]:
    return [(node.op, node.fate.value) for node in found.nodes]


@pytest.fixture
def two_norms() -> onnx.ModelProto:
    net = Net()
    x = net.op("Relu", net.norm(net.conv(net.input(["N", 3, 8, 8]), 3, 4), 4, 2))
    return net.model(net.op("Sigmoid", net.batch_norm(net.conv(x, 4, 4), 4)))


def renamed(model: onnx.ModelProto) -> onnx.ModelProto:
    """Every value but the inputs and outputs by another name, and no node by any."""
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    ends = {value.name for value in (*copy.graph.input, *copy.graph.output)}

    def other(name: str) -> str:
        return name if name in ends or not name else f"other/{name}"

    for node in copy.graph.node:
        node.name = ""
        node.input[:] = map(other, node.input)
        node.output[:] = map(other, node.output)
    for tensor in copy.graph.initializer:
        tensor.name = other(tensor.name)
    return copy


def test_a_model_is_itself(two_norms: onnx.ModelProto) -> None:
    assert set(side_by_side(two_norms, two_norms).counts) == {Fate.KEPT}


def test_a_norm_that_was_folded_is_absorbed_by_what_took_it(two_norms: onnx.ModelProto) -> None:
    after = fold_model(two_norms).after
    found = side_by_side(two_norms, after)
    assert found.counts == Counter({Fate.CHANGED: 2, Fate.ABSORBED: 7, Fate.KEPT: 2})
    convs = [node.name for node in found.nodes if node.op == "Conv"]
    into = {node.into for node in found.nodes if node.fate is Fate.ABSORBED}
    assert into == {f"Conv {name}" for name in convs}


def test_names_do_not_matter_where_constants_do(two_norms: onnx.ModelProto) -> None:
    found = side_by_side(two_norms, renamed(two_norms))
    # The last value is an output, whose name stays.
    assert set(fates(found)[:-1]) == {
        (node.op_type, "renamed") for node in two_norms.graph.node[:-1]
    }
    assert fates(found)[-1] == ("Sigmoid", "kept")


def test_an_op_that_is_there_no_more_and_one_that_was_not_there(two_norms) -> None:
    other = onnx.ModelProto.FromString(two_norms.SerializeToString())
    (relu,) = [node for node in other.graph.node if node.op_type == "Relu"]
    relu.op_type, relu.name = "Tanh", "tanh"
    replaced = [node for node in side_by_side(two_norms, other).nodes if node.fate is Fate.REPLACED]
    assert [(node.op, node.into) for node in replaced] == [("Relu", "Tanh tanh")]
    (reader,) = [node for node in other.graph.node if relu.output[0] in node.input]
    reader.input[0] = relu.output[0] = "tanh"
    found = side_by_side(two_norms, other)
    assert found.counts[Fate.GONE] == found.counts[Fate.NEW] == 1
    assert fates(found)[-1] == ("Tanh", "new")


def test_one_number_is_a_change(two_norms: onnx.ModelProto) -> None:
    other = onnx.ModelProto.FromString(two_norms.SerializeToString())
    weight = next(t for t in other.graph.initializer if len(t.dims) == 4)
    array = onnx.numpy_helper.to_array(weight).copy()
    array[0, 0, 0, 0] += 1
    weight.CopyFrom(onnx.numpy_helper.from_array(array, weight.name))
    assert side_by_side(two_norms, other).counts[Fate.CHANGED] == 1


def test_the_work_grows_with_the_nodes_and_no_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks at stored tensors, counted: each a fixed number of times."""
    from bnfuse.inspecting.compare import _Side

    looks: list[int] = []
    tensor = _Side.tensor

    def counted(value):
        looks[-1] += 1
        return tensor(value)

    monkeypatch.setattr(_Side, "tensor", staticmethod(counted))
    for count in (20, 200):
        net = Net(dtype=np.float32)
        x = net.input(["N", 2])
        for _ in range(count):
            x = net.op("Relu", net.op("Mul", x, net.param(2)))
        looks.append(0)
        side_by_side(net.model(x), net.model(x))
    assert looks[1] <= 10.5 * looks[0]


def test_the_work_of_nodes_that_are_all_gone_grows_no_faster() -> None:
    net = Net(dtype=np.float32)
    x = net.input(["N", 2])
    for _ in range(3000):
        x = net.op("Neg", x)
    single = Net(dtype=np.float32)
    found = side_by_side(net.model(x), single.model(single.op("Exp", single.input(["N", 2]))))
    assert found.counts == {Fate.GONE: 3000, Fate.NEW: 1}


def test_a_norm_that_stays_is_replaced_by_the_op_that_it_becomes() -> None:
    net = Net()
    x = net.norm(net.op("Sigmoid", net.conv(net.input(["N", 3, 8, 8]), 3, 4)), 4, 2)
    before = net.model(net.op("Sigmoid", x))
    after = fold_model(before).after
    found = side_by_side(before, after)
    # The other two compute the norm's deviation.
    replaced = [node.op for node in found.nodes if node.fate is Fate.REPLACED]
    assert replaced == ["Sub", "Add", "Sqrt", "Div", "Mul", "Add"]
    assert found.counts == {Fate.KEPT: 3, Fate.REPLACED: 6}
