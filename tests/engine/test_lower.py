"""What is written: one cheap op for what is left, under names that mean what they did."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from graphs import Net, assert_same_function, fold_model
from onnx import numpy_helper

CHEAP = {"Mul", "Add", "BatchNormalization"}


def _nodes(model: onnx.ModelProto, *op_types: str) -> list[onnx.NodeProto]:
    return [node for node in model.graph.node if node.op_type in op_types]


def _tensor(model: onnx.ModelProto, name: str) -> np.ndarray:
    (tensor,) = (t for t in model.graph.initializer if t.name == name)
    return numpy_helper.to_array(tensor)


def _core(model: onnx.ModelProto) -> bytes:
    """All of a graph but the shapes that were inferred on the way."""
    graph = onnx.GraphProto()
    graph.CopyFrom(model.graph)
    graph.ClearField("value_info")
    return graph.SerializeToString(deterministic=True)


@pytest.mark.parametrize("size", [[5], [4, 4], [2, 3, 4]])
def test_a_hand_written_norm_that_is_left_becomes_one_op(size):
    net = Net()
    h = net.op("Sigmoid", net.input(["N", 4, *size]))
    result = fold_model(net.model(net.op("Sigmoid", net.norm(h, 4, len(size)))))
    assert result.ops == ["Sigmoid", "BatchNormalization", "Sigmoid"]
    assert_same_function(result)


@pytest.mark.parametrize(
    ("shape", "trailing"), [(["N", 4], 0), (["N", 4, 4], 0), ([2, 3, 4, 4], 1)]
)
def test_where_no_batch_norm_fits_it_becomes_two(shape, trailing):
    net = Net()
    h = net.op("Sigmoid", net.input(shape))
    result = fold_model(net.model(net.op("Sigmoid", net.norm(h, 4, trailing))))
    assert len(result.ops) <= 4
    assert set(result.ops) <= CHEAP | {"Sigmoid"}
    assert_same_function(result)


@pytest.mark.parametrize(
    "ops", [("Mul", "Div"), ("Div", "Neg", "Mul"), ("Sub", "Add"), ("Add", "Sub", "Add")]
)
@pytest.mark.parametrize("shape", [["N", 4, 3, 3], ["N", 4]])
def test_scales_alone_and_shifts_alone_become_one_op(ops, shape):
    net = Net()
    y = net.op("Sigmoid", net.input(shape))
    for op_type in ops:
        operands = () if op_type == "Neg" else (net.param(4, *(1,) * (len(shape) - 2), low=0.3),)
        y = net.op(op_type, y, *operands)
    result = fold_model(net.model(net.op("Sigmoid", y)))
    assert len(result.ops) == 3
    assert result.ops[1] in CHEAP
    assert_same_function(result)


@pytest.mark.parametrize("op_type", ["Mul", "Add", "Sub", "Div"])
@pytest.mark.parametrize("first", [False, True])
def test_a_single_op_that_is_left_stays_as_it_was(op_type, first):
    if op_type == "Div" and first:
        op_type = "Mul"
    net = Net()
    h, constant = net.op("Sigmoid", net.input([2, 4, 3, 3])), net.param(4, 1, 1, low=0.3)
    operands = (constant, h) if first else (h, constant)
    model = net.model(net.op("Sigmoid", net.op(op_type, *operands)))
    assert _core(fold_model(model).after) == _core(model)


def test_a_batch_norm_that_is_left_stays_as_it_was():
    net = Net()
    h = net.op("Sigmoid", net.input([2, 4, 3, 3]))
    model = net.model(net.op("Sigmoid", net.batch_norm(h, 4)))
    assert _core(fold_model(model).after) == _core(model)


def test_a_batch_norm_that_the_runtime_would_misread_becomes_a_product_and_a_sum():
    # ONNX Runtime folds it into the MatMul, whose columns are not the norm's channels.
    net = Net()
    h = net.op("MatMul", net.input([8, 4]), net.param(4, 4))
    h = net.op("Reshape", h, net.const(np.array([-1, 4, 4])))
    result = fold_model(net.model(net.batch_norm(h, 4)))
    assert result.ops == ["MatMul", "Reshape", "Mul", "Add"]
    assert_same_function(result)
    assert _core(fold_model(result.after).after) == _core(result.after)


def test_four_ops_that_change_nothing_are_gone():
    net = Net()
    y = net.op("Sigmoid", net.input([2, 4, 3, 3]))
    zero, one = net.const(np.zeros((4, 1, 1))), net.const(np.ones((4, 1, 1)))
    for op_type, constant in (("Sub", zero), ("Div", one), ("Mul", one), ("Add", zero)):
        y = net.op(op_type, y, constant)
    result = fold_model(net.model(net.op("Sigmoid", y)))
    assert result.ops == ["Sigmoid", "Sigmoid"]
    assert_same_function(result)


def test_a_norm_that_changes_nothing_but_names_a_graph_output_keeps_the_name():
    net = Net()
    h = net.op("Sigmoid", net.input([2, 4, 3, 3]))
    y = net.op("Mul", h, net.const(np.ones((4, 1, 1))))
    result = fold_model(net.model(y, h))
    assert [output.name for output in result.after.graph.output] == [y, h]
    assert_same_function(result)


def test_the_folded_conv_bears_the_norms_name_and_the_value_before_it_is_gone():
    net = Net()
    conv = net.conv(net.input(["N", 3, 6, 6]), 3, 4, name="conv1")
    y = net.batch_norm(conv, 4)
    result = fold_model(net.model(net.op("Tanh", y)))
    (folded,) = _nodes(result.after, "Conv")
    assert (folded.name, list(folded.output)) == ("conv1", [y])
    assert conv not in {name for node in result.after.graph.node for name in node.output}


def test_new_numbers_have_new_names():
    net = Net()
    conv = net.conv(net.input(["N", 3, 6, 6]), 3, 4, bias=True)
    result = fold_model(net.model(net.norm(conv, 4, 2)))
    old = {tensor.name for tensor in result.before.graph.initializer}
    assert not old & {tensor.name for tensor in result.after.graph.initializer}


def test_a_value_that_means_something_else_on_the_way_has_a_new_name():
    net = Net()
    conv = net.conv(net.input(["N", 3, 6, 6]), 3, 4)
    pooled = net.op("AveragePool", conv, kernel_shape=[2, 2])
    y = net.norm(pooled, 4, 2)
    result = fold_model(net.model(y))
    names = [name for node in result.after.graph.node for name in node.output]
    assert names[-1] == y
    assert not {conv, pooled} & set(names)


def test_a_value_that_means_the_same_keeps_its_name():
    net = Net()
    x = net.input(["N", 4, 6, 6])
    h = net.op("Sigmoid", x)
    y = net.conv(net.norm(h, 4, 2), 4, 3)
    result = fold_model(net.model(y))
    assert [list(node.output) for node in result.after.graph.node] == [[h], [y]]


def test_a_new_name_is_none_that_the_graph_has():
    net = Net()
    x = net.input(["N", 3, 6, 6])
    conv = net.conv(x, 3, 4, name="conv")
    pooled = net.op("MaxPool", conv, kernel_shape=[2, 2], name="pool")
    taken = net.op("Sigmoid", net.op("Tanh", x, name="pool.folded"), name="conv.folded")
    y = net.norm(pooled, 4, 2, positive=True)
    assert_same_function(fold_model(net.model(y, taken)))


def test_nothing_internal_is_left():
    net = Net()
    x = net.input(["N", 4, 6, 6])
    y = net.op("Sigmoid", net.norm(net.op("Tanh", net.norm(net.conv(x, 4, 4), 4, 2)), 4, 2))
    result = fold_model(net.model(y))
    assert {node.domain for node in result.after.graph.node} == {""}
    assert [(o.domain, o.version) for o in result.after.opset_import] == [("", 20)]
    assert result.after.ir_version == result.before.ir_version


def test_metadata_of_the_linear_op_stays_with_it():
    net = Net()
    conv = net.conv(net.input(["N", 3, 6, 6]), 3, 4, name="conv")
    net.nodes[-1].metadata_props.add(
        key="pkg.torch.onnx.name_scopes", value="['', 'stem', 'conv2d']"
    )
    result = fold_model(net.model(net.batch_norm(conv, 4)))
    assert {p.value for p in result.after.graph.node[0].metadata_props} == {
        "['', 'stem', 'conv2d']"
    }


def test_the_attributes_of_a_conv_stay():
    net = Net()
    attributes = {"strides": [2, 1], "dilations": [1, 2], "pads": [0, 1, 1, 2], "group": 2}
    conv = net.conv(net.input(["N", 4, 9, 9]), 4, 6, **attributes)
    result = fold_model(net.model(net.batch_norm(conv, 6)))
    assert result.after.graph.node[0].attribute == result.before.graph.node[0].attribute


def test_a_gemm_loses_the_factors_that_went_into_its_constants():
    net = Net()
    y = net.op(
        "Gemm", net.input(["N", 4]), net.param(5, 4), net.param(5), alpha=0.5, beta=3.0, transB=1
    )
    result = fold_model(net.model(net.norm(y, 5, 0)))
    (gemm,) = result.after.graph.node
    assert {a.name for a in gemm.attribute} == {"transB"}
    assert_same_function(result)


def test_a_shift_alone_leaves_the_weight_as_it_is():
    net = Net()
    conv = net.conv(net.input(["N", 3, 6, 6]), 3, 4)
    result = fold_model(net.model(net.op("Add", conv, net.param(4, 1, 1))))
    assert result.ops == ["Conv"]
    assert result.after.graph.node[0].input[1] == result.before.graph.node[0].input[1]


def test_a_matmul_gets_an_add_and_keeps_the_one_it_had():
    net = Net()
    product = net.op("MatMul", net.input(["N", 3, 4]), net.param(4, 5), name="fc")
    result = fold_model(net.model(net.norm(product, 5, 0)))
    assert result.ops == ["MatMul", "Add"]
    assert len({node.name for node in result.after.graph.node}) == 2
    again = fold_model(result.after)
    assert _core(again.after) == _core(result.after)
