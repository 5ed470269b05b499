"""Through DepthToSpace and SpaceToDepth: constants follow each channel's elements."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import Net, assert_folded, assert_left, fold_model

MODES = [{"mode": "DCR"}, {"mode": "CRD"}, {}]


@pytest.mark.parametrize("attributes", MODES)
@pytest.mark.parametrize("block", [2, 3])
def test_depth_to_space_before_the_norm(attributes, block):
    net = Net()
    conv = net.conv(net.input(["N", 2, 3, 3]), 2, 4 * block**2, (1, 1))
    shuffled = net.op("DepthToSpace", conv, blocksize=block, **attributes)
    assert_folded(fold_model(net.model(net.norm(shuffled, 4, 2))), ["Conv", "DepthToSpace"])


@pytest.mark.parametrize("attributes", MODES)
def test_depth_to_space_after_a_norm_that_is_equal_within_each_output_channel(attributes):
    net = Net()
    narrow = net.floats(2)
    crd = attributes.get("mode") == "CRD"
    gamma = np.repeat(narrow, 4) if crd else np.tile(narrow, 4)
    scaled = net.op(
        "Mul", net.op("Sigmoid", net.input(["N", 8, 3, 3])), net.const(gamma.reshape(8, 1, 1))
    )
    shuffled = net.op("DepthToSpace", scaled, blocksize=2, **attributes)
    assert_folded(fold_model(net.model(net.conv(shuffled, 2, 3, pads=[1] * 4))))


@pytest.mark.parametrize("attributes", MODES)
@pytest.mark.parametrize("kind", ["Mul", "Add"])
def test_depth_to_space_after_a_norm_that_differs_within_an_output_channel_is_left(
    attributes, kind
):
    net = Net()
    normed = net.op(kind, net.op("Sigmoid", net.input([2, 8, 3, 3])), net.param(8, 1, 1))
    shuffled = net.op("DepthToSpace", normed, blocksize=2, name="up", **attributes)
    result = fold_model(net.model(net.conv(shuffled, 2, 3)))
    assert_left(result, "DepthToSpace 'up' joins channels with different constants")


@pytest.mark.parametrize("attributes", MODES)
def test_space_to_depth_after_the_norm(attributes):
    net = Net(opset=28 if attributes else 20)
    normed = net.norm(net.op("Sigmoid", net.input(["N", 4, 4, 4])), 4, 2)
    y = net.conv(net.op("SpaceToDepth", normed, blocksize=2, **attributes), 16, 3)
    assert_folded(fold_model(net.model(y)), ["Sigmoid", "SpaceToDepth", "Conv"])


def test_space_to_depth_before_a_norm_that_is_equal_within_each_input_channel():
    net = Net()
    conv = net.conv(net.input(["N", 2, 4, 4]), 2, 4, (1, 1))
    packed = net.op("SpaceToDepth", conv, blocksize=2)
    gamma = np.tile(net.floats(4), 4).reshape(16, 1, 1)
    assert_folded(fold_model(net.model(net.op("Mul", packed, net.const(gamma)))))


def test_space_to_depth_before_a_norm_that_differs_within_an_input_channel_is_left():
    net = Net()
    conv = net.conv(net.input([2, 2, 4, 4]), 2, 4, (1, 1))
    packed = net.op("SpaceToDepth", conv, blocksize=2, name="pack")
    result = fold_model(net.model(net.norm(packed, 16, 2)))
    assert_left(result, "SpaceToDepth 'pack' joins channels with different constants")


@pytest.mark.parametrize("op", ["DepthToSpace", "SpaceToDepth"])
def test_constants_along_a_position_are_left(op):
    net = Net()
    conv = net.conv(net.input([2, 2, 4, 4]), 2, 4, (1, 1))
    moved = net.op(op, conv, blocksize=2, name="moved")
    width = 8 if op == "DepthToSpace" else 2
    result = fold_model(net.model(net.norm(moved, width, 0)))
    assert_left(result, f"{op} 'moved' moves the axis that its constants run along")


@pytest.mark.parametrize("op", ["DepthToSpace", "SpaceToDepth"])
@pytest.mark.parametrize("forward", [False, True])
def test_uniform_scalars_pass(op, forward):
    net = Net()
    x = net.input([2, 4, 4, 4])
    h = net.op("Mul", net.op("Sigmoid", x), net.scalar(3.0)) if forward else net.conv(x, 4, 4)
    moved = net.op(op, h, blocksize=2)
    channels = 1 if op == "DepthToSpace" else 16
    y = net.conv(moved, channels, 3, (1, 1)) if forward else net.op("Mul", moved, net.scalar(3.0))
    assert_folded(fold_model(net.model(y)))


@pytest.mark.parametrize("op", ["DepthToSpace", "SpaceToDepth"])
def test_constants_along_the_batch_pass(op):
    net = Net()
    conv = net.conv(net.input([4, 2, 4, 4]), 2, 4, (1, 1))
    inner = net.op("Transpose", conv, perm=[1, 0, 2, 3])
    assert_folded(fold_model(net.model(net.norm(net.op(op, inner, blocksize=2), 4, 3))))
