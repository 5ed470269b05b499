"""Rearrangements that undo each other go; none goes that only looks as if it did."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import Net, assert_folded, assert_left, assert_same_function, fold_model
from onnx import TensorProto, helper

TO_LAST, BACK = [0, 2, 3, 1], [0, 3, 1, 2]


def channels_last(net: Net, x: str, back: list[int] = BACK) -> str:
    return net.op("Transpose", net.norm(net.op("Transpose", x, perm=TO_LAST), 4, 0), perm=back)


def flattened(net: Net, x: str, *shape: int) -> str:
    flat = net.op("Reshape", x, net.ints(0, 0, -1))
    return net.op("Reshape", net.norm(flat, 4, 1), net.ints(*shape))


def like(net: Net, x: str) -> str:
    """Flattened, normed, and back to the shape of ``x``, as ``view_as`` exports."""
    flat = net.op("Reshape", x, net.ints(0, 0, -1))
    return net.op("Reshape", net.norm(flat, 4, 1), net.op("Shape", x))


def by_parts(net: Net, x: str) -> str:
    """The same, the shape put together from the entries of another one, as ``view`` exports."""
    shape = net.op("Shape", x)
    entries = [net.op("Gather", shape, net.ints(i), axis=0) for i in range(4)]
    flat = net.op("Reshape", x, net.op("Concat", *entries[:2], net.ints(-1), axis=0))
    return net.op("Reshape", net.norm(flat, 4, 1), net.op("Concat", *entries, axis=0))


def squeezed(net: Net, x: str) -> str:
    wide = net.op("Unsqueeze", x, net.ints(2))
    return net.op("Squeeze", net.norm(wide, 4, 3), net.ints(2))


WAYS = [channels_last, like, by_parts, squeezed]


@pytest.mark.parametrize("shape", [[2, 3, 6, 6], ["N", 3, 6, 6], ["N", 3, "H", "W"]])
@pytest.mark.parametrize("way", WAYS)
def test_there_and_back_leaves_nothing(way, shape):
    net = Net()
    x = net.conv(net.input(shape), 3, 4, pads=[1] * 4)
    y = net.conv(net.op("Relu", way(net, x)), 4, 2)
    assert_folded(fold_model(net.model(y)), ["Conv", "Relu", "Conv"])


def test_there_and_back_within_there_and_back():
    net = Net()
    turned = net.op("Transpose", net.conv(net.input(["N", 3, 6, 6]), 3, 4), perm=TO_LAST)
    flat = net.op("Reshape", turned, net.ints(-1, 4))
    wide = net.op("Reshape", net.norm(flat, 4, 0), net.ints(-1, 4, 4, 4))
    y = net.op("Relu", net.op("Transpose", wide, perm=BACK))
    assert_folded(fold_model(net.model(y)), ["Conv", "Relu"])


@pytest.mark.parametrize("way", WAYS)
def test_branches_with_norms_along_other_axes_still_become_one(way):
    net = Net()
    x = net.op("Relu", net.input(["N", 4, 6, 6]))
    wide = way(net, net.conv(x, 4, 4, pads=[1] * 4))
    narrow = way(net, net.conv(x, 4, 4, (1, 1)))
    total = net.op("Add", net.op("Add", wide, narrow), way(net, x))
    assert_folded(fold_model(net.model(net.op("Relu", total))), ["Relu", "Conv", "Relu"])


def test_a_norm_that_must_stay_stands_without_them():
    net = Net()
    y = channels_last(net, net.op("Relu", net.input([2, 4, 4, 4])))
    result = fold_model(net.model(net.op("Sigmoid", y)))
    assert result.ops == ["Relu", "BatchNormalization", "Sigmoid"]
    assert_left(result, "Relu")


def test_a_graph_output_keeps_its_name():
    net = Net()
    y = channels_last(net, net.conv(net.input([2, 3, 6, 6]), 3, 4))
    result = fold_model(net.model(y))
    assert_folded(result, ["Conv"])
    assert result.after.graph.node[0].output == [y]


def test_an_identity_that_names_an_output_goes():
    net = Net()
    x = net.norm(net.conv(net.input([2, 3, 6, 6]), 3, 4), 4, 2)
    result = fold_model(net.model(net.op("Identity", x)))
    assert_folded(result, ["Conv"])


def test_a_multiplication_by_ones_that_names_an_output_goes():
    net = Net()
    x = net.op("Relu", net.input([2, 4, 6, 6]))
    y = net.op("Mul", x, net.const(np.ones((4, 1, 1))))
    assert_folded(fold_model(net.model(y)), ["Relu"])


@pytest.mark.parametrize("made", ["input", "output"])
def test_what_a_caller_knows_by_both_names_stays_two_values(made):
    net = Net()
    x = net.input([2, 4, 4, 4])
    x = net.op("Relu", x) if made == "output" else x
    y = net.op("Identity", net.op("Transpose", net.op("Transpose", x, perm=TO_LAST), perm=BACK))
    model = net.model(*([x, y] if made == "output" else [y]))
    result = fold_model(model)
    assert [output.name for output in result.after.graph.output] == [
        output.name for output in model.graph.output
    ]
    assert_same_function(result)


def test_what_lies_between_may_have_other_readers():
    net = Net()
    x = net.conv(net.input([2, 3, 6, 6]), 3, 4)
    there = net.op("Transpose", x, perm=TO_LAST)
    back = net.op("Transpose", there, perm=BACK)
    result = fold_model(net.model(net.op("Relu", back), net.op("Softmax", there)))
    assert sorted(result.ops) == ["Conv", "Relu", "Softmax", "Transpose"]
    assert_same_function(result)


def test_a_norm_in_between_that_others_read_is_not_computed_twice():
    net = Net()
    x = net.op("Relu", net.input([2, 4, 4, 4]))
    normed = net.norm(net.op("Transpose", x, perm=TO_LAST), 4, 0)
    back = net.op("Transpose", normed, perm=BACK)
    result = fold_model(net.model(net.op("Sigmoid", back), net.op("Softmax", normed)))
    assert result.ops.count("Transpose") == 2
    assert_same_function(result)


@pytest.mark.parametrize("back", [[0, 2, 3, 1], [0, 2, 1, 3], [0, 3, 2, 1]])
def test_a_way_that_leads_elsewhere_stays(back):
    net = Net()
    y = net.op("Relu", channels_last(net, net.conv(net.input([2, 3, 6, 6]), 3, 4), back))
    result = fold_model(net.model(y))
    assert result.ops.count("Transpose") == 2
    assert_same_function(result)


@pytest.mark.parametrize("shape", [(2, 4, 2, 8), (2, 4, 8, 2), (4, 2, 4, 4), (2, 4, 16)])
def test_another_shape_of_the_same_size_stays(shape):
    net = Net()
    conv = net.conv(net.input([2, 3, 6, 6]), 3, 4)
    y = net.op("Relu", flattened(net, conv, *shape))
    result = fold_model(net.model(y))
    assert "Reshape" in result.ops
    assert_same_function(result)


def test_a_shape_known_but_for_two_sizes_stays():
    net = Net()
    x = net.op("Relu", net.input(["N", 4, "H", "W"]))
    height = net.input([1], name="height", dtype=np.int64)
    target = net.op("Concat", net.ints(0, 0), height, net.ints(-1), axis=0)
    flat = net.op("Reshape", x, net.ints(0, 0, -1))
    model = net.model(net.op("Sigmoid", net.op("Reshape", flat, target)))
    assert fold_model(model).ops.count("Reshape") == 2


def test_a_transpose_of_equal_axes_is_no_identity():
    net = Net()
    x = net.op("Relu", net.input([4, 4, 4, 4]))
    twice = net.op("Transpose", net.op("Transpose", x, perm=[1, 2, 3, 0]), perm=[1, 2, 3, 0])
    result = fold_model(net.model(net.op("Sigmoid", twice)))
    assert result.ops.count("Transpose") == 2
    assert_same_function(result)


def test_a_transpose_without_a_permutation_turns_all_axes():
    net = Net()
    x = net.op("Relu", net.input([2, 3, 4]))
    y = net.op("Sigmoid", net.op("Transpose", net.op("Transpose", x)))
    assert_folded(fold_model(net.model(y)), ["Relu", "Sigmoid"])


def test_another_domain_is_no_layout():
    net = Net()
    x = net.op("Relu", net.input([2, 3]))
    y = net.op("Identity", x, domain="elsewhere")
    output = helper.make_tensor_value_info("out", TensorProto.DOUBLE, [2, 3])
    net.nodes.append(helper.make_node("Sigmoid", [y], ["out"]))
    graph = helper.make_graph(net.nodes, "net", net.inputs, [output], net.constants)
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("elsewhere", 1)]
    model = helper.make_model(graph, opset_imports=opsets)
    assert fold_model(model).ops == ["Relu", "Identity", "Sigmoid"]
