"""Through Resize and Upsample: interpolation weights sum to 1."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import Net, assert_folded, assert_left, assert_same_function, fold_model

MODES = [
    {"mode": "nearest"},
    {"mode": "linear"},
    {"mode": "cubic"},
    {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
    {"mode": "cubic", "exclude_outside": 1},
    {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
]

CUBIC_ROUNDING = 1e-6
"""onnx.reference's cubic weights sum to 1 in single precision only."""


def _scales(net: Net, *scales: float) -> str:
    return net.const(np.array(scales, np.float32))


@pytest.mark.parametrize("attributes", MODES)
def test_a_norm_after_a_resize(attributes):
    net = Net()
    conv = net.conv(net.input([2, 3, 4, 4]), 3, 4, (1, 1))
    grown = net.op("Resize", conv, "", _scales(net, 1, 1, 2, 1.5), **attributes)
    result = fold_model(net.model(net.norm(grown, 4, 2)))
    rtol = CUBIC_ROUNDING if "cubic" in str(attributes) else 1e-10
    assert_folded(result, ["Conv", "Resize"], rtol)


@pytest.mark.parametrize("attributes", MODES)
def test_a_norm_before_a_resize(attributes):
    net = Net()
    normed = net.norm(net.op("Sigmoid", net.input([2, 4, 4, 4])), 4, 2)
    grown = net.op("Resize", normed, "", "", net.ints(2, 4, 7, 3), **attributes)
    result = fold_model(net.model(net.conv(grown, 4, 3)))
    rtol = CUBIC_ROUNDING if "cubic" in str(attributes) else 1e-10
    assert_folded(result, ["Sigmoid", "Resize", "Conv"], rtol)


def test_an_upsample_of_an_old_opset():
    net = Net(opset=9)
    conv = net.conv(net.input([2, 3, 4, 4]), 3, 4, (1, 1))
    grown = net.op("Upsample", conv, _scales(net, 1, 1, 2, 2), mode="nearest")
    result = fold_model(net.model(net.norm(grown, 4, 2)))
    assert result.ops == ["Conv", "Upsample"]


def test_a_resize_that_may_extrapolate_is_left():
    net = Net()
    conv = net.conv(net.input([2, 3, 4, 4]), 3, 4, (1, 1))
    region = net.const(np.array([0, 0, -0.5, -0.5, 1, 1, 1.5, 1.5]))
    grown = net.op(
        "Resize",
        conv,
        region,
        "",
        net.ints(2, 4, 6, 6),
        mode="linear",
        coordinate_transformation_mode="tf_crop_and_resize",
        extrapolation_value=7.0,
        name="crop",
    )
    assert_left(fold_model(net.model(net.norm(grown, 4, 2))), "Resize 'crop' may extrapolate")


def test_a_resize_of_the_constants_own_axis_is_left():
    net = Net()
    product = net.op("MatMul", net.input([1, 1, 4, 4]), net.param(4, 4))
    grown = net.op("Resize", product, "", _scales(net, 1, 1, 1, 2), mode="nearest", name="wider")
    result = fold_model(net.model(net.norm(grown, 8, 0)))
    assert_left(result, "Resize 'wider' may resize the axis that its constants run along")


def test_uniform_scalars_pass_whatever_is_resized():
    net = Net()
    product = net.op("MatMul", net.input([1, 1, 4, 4]), net.param(4, 4))
    grown = net.op("Resize", product, "", _scales(net, 1, 1, 1, 2), mode="linear")
    y = net.op("Add", net.op("Mul", grown, net.scalar(2.0)), net.scalar(1.0))
    assert_folded(fold_model(net.model(y)), ["MatMul", "Add", "Resize"])


def test_what_steers_a_resize_takes_no_affine():
    net = Net()
    steering = net.op("Mul", net.input([4], "s"), net.const(np.array([1.0, 1.0, 1.0, 1.0])))
    sizes = net.op("Cast", steering, to=7)
    shape = net.op("Add", net.op("Mul", sizes, net.ints(0)), net.ints(2, 4, 7, 3))
    grown = net.op("Resize", net.input([2, 4, 4, 4]), "", "", shape, mode="nearest")
    assert_same_function(fold_model(net.model(grown)))


def test_a_region_that_is_scaled_is_left():
    net = Net()
    region = net.op("Mul", net.op("Sigmoid", net.input([8], "roi")), net.scalar(0.5))
    grown = net.op(
        "Resize",
        net.op("Sigmoid", net.input([2, 4, 4, 4])),
        region,
        "",
        net.ints(2, 4, 6, 6),
        mode="nearest",
        name="crop",
    )
    assert "it steers Resize 'crop'" in fold_model(net.model(net.conv(grown, 4, 3))).reason()


@pytest.mark.parametrize("forward", [False, True])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("op_type", ["Resize", "Upsample"])
def test_a_scale_along_the_channels_that_rounds_to_as_many_mixes_them(op_type, mode, forward):
    net = Net(opset=18 if op_type == "Resize" else 9)
    scales = _scales(net, 1, 1.2, 1, 1)
    x = net.input([2, 4, 5, 5])
    x = net.norm(net.op("Tanh", x), 4, 2) if forward else net.conv(x, 4, 4, (1, 1))
    inputs = (x, "", scales) if op_type == "Resize" else (x, scales)
    y = net.op(op_type, *inputs, mode=mode)
    y = net.conv(y, 4, 4, (1, 1)) if forward else net.norm(y, 4, 2)
    result = fold_model(net.model(y))
    assert "may resize the axis" in result.reason()


def test_a_resize_that_keeps_the_ratio_of_channels_and_positions_is_left():
    net = Net()
    conv = net.conv(net.input([2, 3, 4, 4]), 3, 4, (1, 1))
    sizes = net.ints(4, 7, 7)
    grown = net.op(
        "Resize", conv, "", "", sizes, axes=[1, 2, 3], keep_aspect_ratio_policy="not_larger"
    )
    assert "may resize the axis" in fold_model(net.model(net.batch_norm(grown, 4))).reason()
