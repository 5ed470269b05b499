"""What is no constant map per channel is left, and the report says why."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from graphs import Net, assert_left, assert_same_function, fold_model
from onnx import helper
from spellings import Spelling, add, mul

from bnfuse.lifting import lift
from bnfuse.lifting.preparing.prepare import prepare

REFUSED = [
    ((1, 1, 4, 1, 1), "a constant of rank 5 raises its input's rank 4"),
    ((4, 1, 4), "its constant varies over more than one axis (1, 3)"),
    ((4, 4, 4), "its constant varies over more than one axis (1, 2, 3)"),
]


@pytest.mark.parametrize(("shape", "reason"), REFUSED)
def test_what_is_not_one_number_per_channel_is_said(shape, reason):
    net = Spelling()
    assert_left(fold_model(net.model(net.op("Mul", net.x, net.param(*shape)))), reason)


def test_a_constant_that_broadcasts_its_input_up_is_said():
    net = Net()
    h = net.op("Sigmoid", net.input([2, 1, 4, 4]))
    result = fold_model(net.model(net.op("Mul", h, net.param(4, 1, 1))))
    assert_left(result, "a constant of 4 entries meets 1 along axis 1")


def test_a_constant_that_meets_an_unknown_length_is_said():
    net = Net()
    h = net.op("Sigmoid", net.input([2, "C", 4, 4]))
    result = fold_model(net.model(net.op("Mul", h, net.param(3, 1, 1))))
    assert_left(
        result, "a constant of 3 entries meets an unknown number of along axis 1", sizes=(3,)
    )


def test_a_constant_of_an_input_of_unknown_rank_is_said():
    net = Net()
    target = net.op("Abs", net.input(["R"], "shape", dtype=np.int64))
    loose = net.op("Reshape", net.input([2, 4]), target)
    y = net.op("Reshape", net.op("Mul", loose, net.param(4)), net.ints(-1))
    assert "the rank of its input is not known" in fold_model(net.model(y)).reason()


def test_an_empty_constant_is_said():
    net = Net()
    x = net.input([2, 0, 3])
    result = fold_model(net.model(net.op("Mul", net.op("Sigmoid", x), net.param(0, 1))))
    assert "its constant is empty" in result.reason()


def test_one_constant_per_batch_entry_is_tracked_as_such():
    net = Net()
    conv = net.conv(net.input([4, 3, 4, 4]), 3, 4, (1, 1))
    result = fold_model(net.model(net.op("Mul", conv, net.param(4, 1, 1, 1))))
    assert_left(result, "its constants run along axis 0")


def test_constants_that_are_all_equal_still_run_along_their_axis():
    net = Spelling()
    y = net.op(
        "Add", net.op("Mul", net.x, net.const(np.ones(4))), net.const(np.full((4, 1, 1), 2.0))
    )
    assert_same_function(fold_model(net.model(y)))


RUN_TIME = [0, 1, 2, 3]


@pytest.mark.parametrize("which", RUN_TIME)
def test_a_batch_norm_with_a_run_time_parameter_is_left(which):
    net = Spelling()
    parameters = [net.param(4, low=0.3) for _ in range(4)]
    parameters[which] = net.op("Exp", net.input([4], "parameter"))
    y = net.op("BatchNormalization", net.x, *parameters)
    assert_left(fold_model(net.model(y)), "its parameters are computed at run time")


@pytest.mark.parametrize("which", range(4))
def test_a_hand_written_norm_with_a_run_time_parameter_stays_right(which):
    net = Spelling()
    parameters = [net.vector(low=0.3) for _ in range(4)]
    parameters[which] = net.op("Exp", net.input([4, 1, 1], "parameter"))
    y = net.x
    for op_type, parameter in zip(("Sub", "Div", "Mul", "Add"), parameters, strict=True):
        y = net.op(op_type, y, parameter)
    assert_same_function(fold_model(net.model(y)))


@pytest.mark.parametrize("used", [1, 2, 5])
@pytest.mark.parametrize("opset", [7, 8, 9, 13])
def test_five_outputs_before_opset_14_are_training_whether_they_are_used_or_not(opset, used):
    net = Spelling(opset=opset)
    parameters = [net.param(4), net.param(4), net.param(4), net.param(4, low=0.3)]
    outputs = net.ops("BatchNormalization", net.x, *parameters, count=5)
    result = fold_model(net.model(*outputs[:used]))
    assert "more than one output means training" in result.reason()
    assert [len(n.output) for n in result.after.graph.node if n.op_type != "Conv"] == [5]


def test_before_opset_7_a_batch_norm_trains_unless_it_says_that_it_is_tested():
    for is_test, folded in ((0, False), (1, True)):
        model = fold_model(_batch_norm_of_opset_6(is_test))
        assert model.all_folded == folded


def _batch_norm_of_opset_6(is_test):
    net = Spelling(opset=6)
    parameters = [net.param(4), net.param(4), net.param(4), net.param(4, low=0.3)]
    return net.model(net.op("BatchNormalization", net.x, *parameters, is_test=is_test))


def test_training_mode_is_left_and_said():
    net = Spelling()
    parameters = [net.param(4, low=0.3) for _ in range(4)]
    outputs = net.ops("BatchNormalization", net.x, *parameters, count=3, training_mode=1)
    result = fold_model(net.model(*outputs))
    assert "training_mode is 1: it takes its statistics from each batch" in result.reason()
    assert result.ops == ["Conv", "BatchNormalization"]


def test_statistics_over_positions_are_left_and_said():
    net = Net(opset=8)
    x = net.input([2, 4, 3, 3])
    parameters = [net.param(4, 3, 3, low=0.3) for _ in range(4)]
    y = net.op("BatchNormalization", net.op("Sigmoid", x), *parameters)
    net.nodes[-1].attribute.append(helper.make_attribute("spatial", 0))
    net.opset = 7
    result = fold_model(net.model(y))
    assert "spatial is 0: its statistics vary over the positions too" in result.reason()


def test_a_batch_norm_whose_statistics_are_used_is_left():
    net = Net()
    x = net.input([2, 4, 3, 3])
    parameters = [net.param(4, low=0.3) for _ in range(4)]
    outputs = net.ops(
        "BatchNormalization", net.op("Sigmoid", x), *parameters, count=3, training_mode=1
    )
    # No standard has running statistics as outputs without training, but files do.
    model = net.model(*outputs[:2])
    model.graph.node[-1].attribute[0].i = 0
    graph = ir.serde.deserialize_model(model)
    prepare(graph)
    (left,) = lift(graph).unlifted
    assert left.reason == "its statistics are outputs that something uses"


def test_statistics_taken_from_the_input_are_left():
    net = Spelling()
    mean = net.op("ReduceMean", net.x, net.ints(0, 2, 3))
    result = fold_model(net.model(add(net, mul(net, net.op("Sub", net.x, mean)))))
    assert len(result.norms) == 1
    assert not result.all_folded
    assert_same_function(result)


def test_a_quantised_weight_stays_in_its_eight_bits():
    net = Net(dtype=np.float32)
    weight = net.const(net.rng.integers(-127, 127, (4, 4, 3, 3)).astype(np.int8), "q")
    scale = net.const(np.float32(0.02))
    dequantised = net.op("DequantizeLinear", weight, scale)
    conv = net.op("Conv", net.input([2, 4, 6, 6]), dequantised, name="quantised")
    result = fold_model(net.model(net.norm(conv, 4, 2)))
    assert "the weight of Conv 'quantised' is no stored float constant" in result.reason()
    assert_same_function(result, rtol=1e-5)
    assert weight in {tensor.name for tensor in result.after.graph.initializer}


def test_a_weight_that_a_run_computes_is_named():
    net = Net()
    weight = net.input([4, 4, 3, 3], "kernel")
    conv = net.op("Conv", net.input([2, 4, 6, 6]), weight, name="dynamic")
    result = fold_model(net.model(net.norm(conv, 4, 2)))
    assert_left(result, "the weight of Conv 'dynamic' is no stored float constant")
