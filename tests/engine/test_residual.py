"""Through a sum of two run-time values: the scale on both branches, the shift on one."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import Net, assert_folded, assert_left, assert_same_function, fold_model


@pytest.mark.parametrize("op", ["Add", "Sub", "Sum"])
def test_both_branches_take_the_scale_and_one_the_shift(op):
    net = Net()
    x = net.input(["N", 3, 5, 5])
    first = net.conv(x, 3, 4)
    second = net.op(
        "AveragePool", net.conv(net.op("Sigmoid", x), 3, 4, pads=[1] * 4), kernel_shape=[3, 3]
    )
    result = fold_model(net.model(net.norm(net.op(op, first, second), 4, 2)))
    assert len(result.norms[0].into) == 2
    assert_folded(result)


def test_the_shift_alone_asks_only_one_branch():
    net = Net()
    x = net.input(["N", 4, 5, 5])
    summed = net.op("Add", net.op("Tanh", x), net.conv(x, 4, 4, (1, 1)))
    assert_folded(fold_model(net.model(net.op("Add", summed, net.param(4, 1, 1)))))


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("op", ["Add", "Sub"])
def test_the_shift_takes_the_branch_that_lets_it_pass(op, order):
    net = Net()
    x = net.input(["N", 4, 5, 5])
    branches = [
        net.op("Relu", net.conv(x, 4, 4, (1, 1))),
        net.conv(net.op("Sigmoid", x), 4, 4, (1, 1)),
    ]
    summed = net.op(op, *(branches if order else branches[::-1]))
    assert_folded(fold_model(net.model(net.norm(summed, 4, 2, positive=True))))


def test_a_sum_of_three():
    net = Net()
    x = net.input(["N", 4, 5, 5])
    branches = [net.op("Tanh", x)] + [net.op("Relu", net.conv(x, 4, 4, (1, 1))) for _ in range(2)]
    total = net.op("Sum", *branches)
    result = fold_model(net.model(net.op("Mul", total, net.param(4, 1, 1, low=0.5))))
    assert_left(result, "Tanh")
    net = Net()
    x = net.input(["N", 4, 5, 5])
    branches = [net.conv(x, 4, 4, (1, 1)) for _ in range(3)]
    assert_folded(fold_model(net.model(net.norm(net.op("Sum", *branches), 4, 2))))


def test_a_branch_that_cannot_take_the_scale_keeps_the_norm():
    net = Net()
    x = net.input(["N", 4, 5, 5])
    summed = net.op("Add", net.conv(x, 4, 4, (1, 1)), net.op("Tanh", x, name="blocker"))
    result = fold_model(net.model(net.norm(summed, 4, 2)))
    assert_left(result, "Tanh 'blocker'")


def test_the_second_of_two_branches_that_are_subtracted_takes_the_shift_negated():
    net = Net()
    x = net.input(["N", 4, 5, 5])
    difference = net.op("Sub", net.op("Tanh", x), net.conv(x, 4, 4, (1, 1)))
    assert_folded(fold_model(net.model(net.op("Add", difference, net.param(4, 1, 1)))))


@pytest.mark.parametrize("op", ["Add", "Sub"])
@pytest.mark.parametrize("position", [0, 1])
def test_a_shift_before_one_branch_goes_on(op, position):
    net = Net()
    x = net.input(["N", 4, 5, 5])
    branches = [net.op("Tanh", x), net.op("Sigmoid", x)]
    branches[position] = net.op("Add", branches[position], net.param(4, 1, 1))
    result = fold_model(net.model(net.conv(net.op(op, *branches), 4, 3)))
    assert_folded(result)


@pytest.mark.parametrize("op", ["Add", "Sub"])
@pytest.mark.parametrize("position", [0, 1])
def test_a_norm_before_one_branch_goes_on_when_the_other_can_be_divided(op, position):
    net = Net()
    x = net.input(["N", 4, 5, 5])
    branches = [net.op("Relu", net.conv(x, 4, 4, (1, 1))) for _ in range(2)]
    branches[position] = net.norm(net.op("Tanh", x), 4, 2, positive=True)
    result = fold_model(net.model(net.conv(net.op(op, *branches), 4, 3)))
    assert_folded(result)


def test_a_scale_of_zero_before_one_branch_cannot_be_undone():
    net = Net()
    x = net.input([2, 4, 5, 5])
    gamma = net.const(np.array([0.0, 1.0, 2.0, 3.0]).reshape(4, 1, 1))
    summed = net.op(
        "Add", net.op("Mul", net.op("Tanh", x), gamma), net.conv(x, 4, 4, (1, 1)), name="sum"
    )
    result = fold_model(net.model(net.conv(net.op("Sigmoid", summed), 4, 3)))
    assert not result.all_folded
    result = fold_model(net.model(net.conv(summed, 4, 3)))
    assert_left(result, "a scale of 0 cannot be undone in 'sum'")


@pytest.mark.parametrize("gamma", [[0.0, 1.0, -2.0, 3.0]])
def test_scales_of_zero_and_below_go_back_into_both(gamma):
    net = Net()
    x = net.input([2, 4, 5, 5])
    summed = net.op(
        "Add", net.conv(x, 4, 4, (1, 1)), net.op("Neg", net.conv(net.op("Tanh", x), 4, 4, (1, 1)))
    )
    y = net.op("Mul", summed, net.const(np.array(gamma).reshape(4, 1, 1)))
    assert_folded(fold_model(net.model(y)))


@pytest.mark.parametrize("shape", [(4, 1, 1), (1, 4, 1, 1)])
def test_a_branch_that_broadcasts_over_positions_takes_its_part(shape):
    net = Net()
    x = net.input([1, 4, 5, 5])
    gate = net.conv(net.op("GlobalAveragePool", x), 4, 4, (1, 1))
    gate = net.op("Reshape", gate, net.ints(*shape))
    summed = net.op("Add", gate, net.conv(net.op("Sigmoid", x), 4, 4, (1, 1)))
    result = fold_model(net.model(net.norm(summed, 4, 2)))
    assert_folded(result)


def test_a_branch_that_broadcasts_along_the_channels_keeps_the_norm():
    net = Net()
    x = net.input([2, 4, 5, 5])
    mask = net.conv(x, 4, 1, (1, 1), name="mask")
    summed = net.op("Add", mask, net.conv(net.op("Sigmoid", x), 4, 4, (1, 1)), name="sum")
    result = fold_model(net.model(net.norm(summed, 4, 2)))
    assert_left(result, "Add 'sum' broadcasts 'mask' along the channels")


def test_a_shift_takes_the_branch_that_has_all_channels():
    net = Net()
    x = net.input([2, 4, 5, 5])
    mask = net.conv(x, 4, 1, (1, 1))
    summed = net.op("Add", mask, net.conv(net.op("Sigmoid", x), 4, 4, (1, 1)))
    result = fold_model(net.model(net.op("Add", summed, net.param(4, 1, 1))))
    assert_folded(result)


def test_a_branch_of_lower_rank_keeps_constants_along_an_axis_that_it_lacks():
    net = Net()
    row = net.op("MatMul", net.input([5, 4]), net.param(4, 4))
    conv = net.conv(net.input([2, 4, 5, 4], "z"), 4, 4, (1, 1))
    result = fold_model(net.model(net.norm(net.op("Add", row, conv), 4, 2)))
    assert_left(result, "along the channels")


def test_a_norm_before_a_branch_of_one_channel_that_grows_is_left():
    net = Net()
    x = net.input([2, 4, 5, 5])
    narrow = net.op("Sigmoid", net.conv(x, 4, 1, (1, 1)))
    shifted = net.batch_norm(narrow, 1)
    y = net.conv(net.op("Add", shifted, net.op("Tanh", x), name="sum"), 4, 3)
    assert_same_function(fold_model(net.model(y)))


def test_an_unknown_rank_is_left():
    net = Net()
    x = net.input([2, 4, 5, 5])
    target = net.op("Abs", net.input(["R"], "shape", dtype=np.int64))
    loose = net.op("Reshape", net.op("Tanh", x), target)
    summed = net.op("Add", net.norm(net.op("Sigmoid", x), 4, 2), loose, name="sum")
    y = net.op("Reshape", net.conv(summed, 4, 3), net.ints(-1))
    result = fold_model(net.model(y))
    assert "how Add 'sum' broadcasts is not known before a run" in result.reason()


def test_layer_scale_in_a_residual_branch():
    net = Net()
    x = net.op("Sigmoid", net.input(["N", 5, 6]))
    hidden = net.op("Add", net.op("MatMul", x, net.param(6, 6)), net.param(6))
    y = net.op("Add", x, net.op("Mul", hidden, net.param(6)))
    assert_folded(fold_model(net.model(y)), ["Sigmoid", "MatMul", "Add", "Add"])


@pytest.mark.parametrize("op", ["Add", "Sub"])
def test_two_parts_of_one_norm_that_meet_again_do_not_send_it_back_into_itself(op):
    net = Net()
    parts = net.ops("Split", net.norm(net.input(["N", 4]), 4, 0), count=2, axis=1, num_outputs=2)
    y = net.op("Gemm", net.op(op, parts[1], parts[0]), net.param(2, 3))
    assert_same_function(fold_model(net.model(y)))


def test_a_norm_that_meets_its_own_gate_again_keeps_the_function():
    net = Net()
    x = net.input(["N", 4, 3, 3])
    gated = net.op("Mul", net.norm(net.op("Tanh", x), 4, 2), net.conv(x, 4, 4, (1, 1)))
    scaled = net.op("Mul", net.op("Mul", net.op("Tanh", x), net.param(4, 1, 1)), gated)
    parts = net.ops("Split", scaled, count=2, axis=1, num_outputs=2)
    y = net.conv(net.op("Add", *parts), 2, 3)
    assert_same_function(fold_model(net.model(y)))


@pytest.mark.parametrize(("op", "ways"), [("Add", 2), ("Sum", 3)])
def test_a_value_that_is_added_to_itself_takes_its_part_at_each_place(op, ways):
    net = Net()
    product = net.op("MatMul", net.input(["N", 4]), net.param(4, 5))
    y = net.norm(net.op(op, *[product] * ways), 5, 0)
    assert_folded(fold_model(net.model(net.op("Softsign", y))), ["Gemm", op, "Softsign"])


def test_a_value_less_itself_takes_no_shift():
    net = Net()
    product = net.op("MatMul", net.input(["N", 4]), net.param(4, 5))
    shifted = net.op("Add", net.op("Sub", product, product, name="nothing"), net.param(5))
    assert_left(
        fold_model(net.model(net.op("Softsign", shifted))), "a shift is lost in Sub 'nothing'"
    )
