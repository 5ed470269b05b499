"""A convolution after another is one convolution, where that is exact and no dearer."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import Net, assert_same_function, fold_model

SIZES = (9, 8)


def check(net: Net, y: str, ops: list[str]) -> None:
    result = fold_model(net.model(net.op("Sigmoid", y)))
    assert result.ops == [*ops, "Sigmoid"]
    assert_same_function(result, sizes=SIZES)
    again = fold_model(result.after)
    assert again.after.graph == result.after.graph


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("kernel", [(3,), (3, 3), (2, 3, 2)])
def test_a_1x1_before_an_unpadded_kernel(kernel, bias):
    net = Net()
    ones = (1,) * len(kernel)
    x = net.input(["N", 4, *["S"] * len(kernel)])
    h = net.conv(x, 4, 6, ones, bias=bias)
    check(net, net.conv(h, 6, 4, kernel, bias=bias), ["Conv"])


@pytest.mark.parametrize("second", [{}, {"strides": [2, 2]}, {"strides": [1, 3]}])
@pytest.mark.parametrize(
    "first",
    [
        {},
        {"pads": [1, 1, 1, 1]},
        {"pads": [0, 2, 1, 0], "strides": [2, 3]},
        {"pads": [2, 2, 2, 2], "dilations": [2, 2]},
        {"strides": [2, 2]},
    ],
)
def test_a_1x1_after_a_kernel_whatever_it_pads(first, second):
    net = Net()
    x = net.input(["N", 4, "H", "W"])
    h = net.conv(x, 4, 6, bias=True, **first)
    check(net, net.conv(h, 6, 3, (1, 1), bias=True, **second), ["Conv"])


@pytest.mark.parametrize("strides", [[1, 1], [2, 1], [2, 3]])
def test_a_1x1_without_bias_before_a_padded_kernel(strides):
    net = Net()
    x = net.input(["N", 4, "H", "W"])
    h = net.conv(x, 4, 5, (1, 1), strides=strides)
    check(net, net.conv(h, 5, 4, pads=[1, 2, 0, 1], bias=True), ["Conv"])


def test_a_1x1_whose_norm_leaves_no_shift_before_a_padded_kernel():
    net = Net()
    x = net.input(["N", 4, "H", "W"])
    h = net.op("Mul", net.conv(x, 4, 5, (1, 1)), net.param(5, 1, 1))
    check(net, net.conv(h, 5, 4, pads=[1] * 4), ["Conv"])


def test_a_norm_between_goes_first():
    net = Net()
    x = net.input(["N", 4, "H", "W"])
    h = net.norm(net.conv(x, 4, 6, (1, 1)), 6, 2)
    check(net, net.batch_norm(net.conv(h, 6, 4, strides=[2, 2]), 4), ["Conv"])


def test_a_norm_whose_constants_expand_to_what_is_between_goes_first():
    net = Net()
    x = net.input(["N", 4, "H"])
    h = net.conv(x, 4, 4, (1,))
    h = net.op("Mul", h, net.op("Expand", net.param(4, 1), net.op("Shape", h)))
    check(net, net.conv(h, 4, 4, (3,)), ["Conv"])


def test_a_bias_before_a_padded_kernel_stays():
    net = Net()
    x = net.input(["N", 4, "H", "W"])
    h = net.conv(x, 4, 6, (1, 1), bias=True, name="narrow")
    y = net.conv(h, 6, 4, pads=[0, 0, 1, 0])
    result = fold_model(net.model(y))
    assert result.ops == ["Conv", "Conv"]
    (refusal,) = result.log.unmerged
    assert refusal.parts[0] == "1×1 Conv narrow"
    assert "which the bias before it must not reach" in refusal.reason
    assert_same_function(result, sizes=SIZES)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {"pads": [1, 1, 1, 1]}),
        ({"pads": [1, 1, 1, 1]}, {"pads": [1, 1, 1, 1]}),
        ({"pads": [2, 2, 1, 2]}, {"pads": [0, 0, 1, 0]}),
        ({"pads": [0, 2, 2, 2], "strides": [2, 2]}, {"pads": [1, 0, 0, 0]}),
    ],
)
def test_what_lies_past_the_first_ones_end_is_not_what_the_second_pads_with(first, second):
    net = Net()
    h = net.conv(net.input(["N", 4, "H", "W"]), 4, 4, group=4, **first)
    result = fold_model(net.model(net.conv(h, 4, 4, group=4, **second)))
    assert result.ops == ["Conv", "Conv"]
    assert "pads with zeros where what is before it is none" in result.log.unmerged[0].reason
    assert_same_function(result, sizes=SIZES)


@pytest.mark.parametrize("pads", [[2, 2], [3, 2], [1, 2], [2, 0]])
@pytest.mark.parametrize("size", [7, 8, 9, 10])
def test_a_first_that_sees_only_padding_past_its_ends(pads, size):
    """With stride 2 the last window may end one position early: every size must agree."""
    net = Net()
    x = net.input([2, 64, size])
    h = net.conv(x, 64, 8, (3,), pads=pads, strides=[2])
    y = net.conv(h, 8, 1, (2,), pads=[1, 1 if pads[1] == 2 else 0])
    assert_same_function(fold_model(net.model(y)))


def test_a_first_that_is_padded_in_full_merges_where_that_is_cheaper():
    net = Net()
    x = net.input(["N", 2, "H"])
    h = net.conv(x, 2, 64, (2,), pads=[1, 1])
    check(net, net.conv(h, 64, 2, (2,), pads=[1, 1]), ["Conv"])


@pytest.mark.parametrize("groups", [(4, 4), (2, 4), (4, 2), (1, 4), (4, 1), (4, 6)])
def test_groups_that_do_or_do_not_nest(groups):
    """Wide in the middle, so that one map is cheaper however its groups join."""
    net = Net()
    x = net.input(["N", 12, "H"])
    h = net.conv(x, 12, 96, (1,), group=groups[0], bias=True)
    y = net.conv(h, 96, 12, (3,), group=groups[1], bias=True)
    check(net, y, ["Conv"])


def test_depthwise_after_depthwise():
    net = Net()
    h = net.conv(net.input(["N", 4, "H", "W"]), 4, 4, (1, 1), group=4, bias=True)
    check(net, net.conv(h, 4, 4, group=4), ["Conv"])


def test_dilations_that_share_a_grid():
    net = Net()
    x = net.input([2, 2, 12])
    h = net.conv(x, 2, 64, (3,), dilations=[2])
    check(net, net.conv(h, 64, 2, (3,), dilations=[4]), ["Conv"])


@pytest.mark.parametrize(
    ("channels", "kernels", "group"),
    [
        ((16, 2, 16), ((1, 1), (3, 3)), 1),
        ((4, 4, 32), ((3, 3), (1, 1)), 1),
        ((4, 4, 4), ((3, 3), (3, 3)), 1),
        ((8, 8, 8), ((3, 3), (1, 1)), 8),
    ],
)
def test_two_that_are_cheaper_as_they_stand(channels, kernels, group):
    net = Net()
    x = net.input(["N", channels[0], "H", "W"])
    h = net.conv(x, channels[0], channels[1], kernels[0], group=group)
    result = fold_model(net.model(net.conv(h, channels[1], channels[2], kernels[1])))
    assert result.ops == ["Conv", "Conv"]
    assert "one map would cost more: FLOPs" in result.log.unmerged[0].reason


def test_what_the_second_skips_is_counted():
    """A 1×1 on four positions for each that a stride of 2 keeps costs more than a kernel of 16."""
    net = Net()
    x = net.input([2, 8, 8, 8])
    h = net.conv(x, 8, 7, (1, 1))
    result = fold_model(net.model(net.conv(h, 7, 8, (2, 2), strides=[2, 2])))
    assert result.ops == ["Conv"]
    (merge,) = result.log.merges
    assert merge.kind == "sequence"
    assert (merge.before.flops, merge.after.flops) == (4 * 2 * 56 + 2 * 224, 2 * 256)
    assert (merge.before.bytes, merge.after.bytes) == (8 * (56 + 224), 8 * 256)


@pytest.mark.parametrize("what", ["read", "output"])
def test_a_middle_that_is_needed_stays(what):
    net = Net()
    h = net.conv(net.input(["N", 4, "H", "W"]), 4, 4, (1, 1))
    y = net.conv(h, 4, 4)
    tapped = h if what == "output" else net.op("Sigmoid", h)
    result = fold_model(net.model(y, tapped))
    assert result.ops.count("Conv") == 2
    assert_same_function(result, sizes=SIZES)


def test_a_middle_whose_shape_is_needed_stays():
    net = Net()
    h = net.conv(net.input(["N", 4, "H", "W"]), 4, 4, (1, 1))
    flat = net.op(
        "Reshape", net.op("Sigmoid", net.input(["N", 4, "H", "W"], "z")), net.op("Shape", h)
    )
    result = fold_model(net.model(net.conv(h, 4, 4), flat))
    assert result.ops.count("Conv") == 2
    assert_same_function(result, sizes=SIZES)


def test_a_weight_that_something_else_uses_saves_no_bytes():
    net = Net()
    x, z = net.input(["N", 4, "H", "W"]), net.input(["N", 4, "H", "W"], "z")
    weight = net.param(4, 4, 1, 1)
    y = net.conv(net.op("Conv", x, weight), 4, 4)
    result = fold_model(net.model(y, net.op("Sigmoid", net.op("Conv", z, weight))))
    # Two of 16 and 144 become 144 and the 16 that stay: no growth.
    assert result.ops.count("Conv") == 2
    shared = net.param(4, 4, 3, 3)
    net = Net()
    x, z = net.input(["N", 4, "H", "W"]), net.input(["N", 4, "H", "W"], "z")
    shared = net.param(4, 4, 3, 3)
    y = net.op("Conv", net.conv(x, 4, 4, (1, 1)), shared)
    result = fold_model(net.model(y, net.op("Sigmoid", net.op("Conv", z, shared))))
    assert result.ops.count("Conv") == 3
    assert "bytes 128 → 1,152" in result.log.unmerged[0].reason


def test_one_weight_twice_in_a_row():
    net = Net()
    weight = net.param(4, 4, 1, 1)
    h = net.op("Conv", net.input(["N", 4, "H", "W"]), weight)
    check(net, net.op("Conv", h, weight), ["Conv"])


def test_three_in_a_row():
    net = Net()
    y = net.input(["N", 4, "H", "W"])
    for _ in range(3):
        y = net.conv(y, 4, 4, (1, 1), bias=True)
    check(net, y, ["Conv"])


@pytest.mark.parametrize(
    ("size", "reason"), [(2e2, "a weight would overflow"), (1e-4, "a channel would vanish")]
)
def test_half_constants_whose_product_does_not_fit_stay_apart(size, reason):
    net = Net(dtype=np.float16)
    x = net.input([2, 4, 5, 5])
    weights = [net.const(np.full((4, 4, 1, 1), size, np.float16)) for _ in range(2)]
    result = fold_model(net.model(net.op("Conv", net.op("Conv", x, weights[0]), weights[1])))
    assert result.ops == ["Conv", "Conv"]
    assert reason in result.log.unmerged[0].reason


def test_a_half_bias_that_would_overflow_stays_apart():
    net = Net(dtype=np.float16)
    x = net.input([2, 4, 5, 5])
    first, second = (np.full((4, 4, 1, 1), n, np.float16) for n in (1e-2, 1e2))
    h = net.op("Conv", x, net.const(first), net.const(np.full(4, 3e2, np.float16)))
    result = fold_model(net.model(net.op("Conv", h, net.const(second))))
    assert result.ops == ["Conv", "Conv"]
    assert "a bias would overflow" in result.log.unmerged[0].reason


def test_padding_that_follows_the_size_stays():
    net = Net()
    h = net.conv(net.input(["N", 4, "H", "W"]), 4, 4, (1, 1))
    result = fold_model(net.model(net.conv(h, 4, 4, auto_pad="SAME_UPPER")))
    assert result.ops == ["Conv", "Conv"]
