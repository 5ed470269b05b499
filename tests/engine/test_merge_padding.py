"""A Pad with zeros goes into the Convs that read it."""

from __future__ import annotations

import pytest
from graphs import Net, assert_same_function, fold_model

AROUND = (0, 0, 1, 2, 0, 0, 3, 0)
SIZES = (7, 6)


def image(net: Net) -> str:
    return net.op("Sigmoid", net.input(["N", 4, "H", "W"]))


@pytest.mark.parametrize("attributes", [{}, {"pads": [1, 0, 0, 2]}, {"auto_pad": "VALID"}])
@pytest.mark.parametrize("group", [1, 4])
def test_a_pad_goes_into_its_conv(attributes, group):
    net = Net()
    padded = net.op("Pad", image(net), net.ints(*AROUND), name="border")
    y = net.conv(padded, 4, 4, group=group, strides=[2, 1], name="conv", **attributes)
    result = fold_model(net.model(y))
    assert result.ops == ["Sigmoid", "Conv"]
    (merge,) = result.log.merges
    assert (merge.kind, merge.parts, merge.into) == (
        "padding",
        ("Pad border", "3×3 Conv conv"),
        "Conv conv",
    )
    assert_same_function(result, sizes=SIZES)
    assert fold_model(result.after).after.graph == result.after.graph


def test_the_weight_stays_as_it_is():
    net = Net()
    net.conv(net.op("Pad", image(net), net.ints(*AROUND)), 4, 4)
    result = fold_model(net.model(net.nodes[-1].output[0]))
    weights = [
        {t.name for t in m.graph.initializer if len(t.dims) == 4}
        for m in (result.before, result.after)
    ]
    assert weights[0] == weights[1]


def test_axes_and_old_attributes():
    net = Net()
    axes = net.ints(-1, 2)
    padded = net.op("Pad", image(net), net.ints(1, 0, 0, 2), "", axes)
    result = fold_model(net.model(net.conv(padded, 4, 4)))
    assert result.ops == ["Sigmoid", "Conv"]
    assert_same_function(result, sizes=SIZES)
    net = Net(opset=9)
    padded = net.op("Pad", image(net), pads=AROUND)
    result = fold_model(net.model(net.conv(padded, 4, 4)))
    assert result.ops == ["Sigmoid", "Conv"]


def test_every_reader_takes_it():
    net = Net()
    padded = net.op("Pad", image(net), net.ints(*AROUND))
    wide, down = net.conv(padded, 4, 4), net.conv(padded, 4, 2, (2, 2), strides=[2, 2])
    result = fold_model(net.model(wide, down))
    assert sorted(result.ops) == ["Conv", "Conv", "Sigmoid"]
    assert_same_function(result, sizes=SIZES)


def test_a_norm_before_the_pad_scales_the_conv():
    net = Net()
    scaled = net.op("Mul", image(net), net.param(4, 1, 1))
    result = fold_model(net.model(net.conv(net.op("Pad", scaled, net.ints(*AROUND)), 4, 4)))
    assert result.ops == ["Sigmoid", "Conv"]
    assert_same_function(result, sizes=SIZES)


@pytest.mark.parametrize("reader", ["Sigmoid", "output", "Conv that follows the size"])
def test_a_reader_that_is_no_conv_keeps_the_pad(reader):
    net = Net()
    padded = net.op("Pad", image(net), net.ints(*AROUND))
    y = net.conv(padded, 4, 4)
    if reader == "Sigmoid":
        other = net.op("Sigmoid", padded)
    elif reader == "output":
        other = padded
    else:
        other = net.conv(padded, 4, 4, auto_pad="SAME_LOWER")
    result = fold_model(net.model(y, other))
    assert "Pad" in result.ops
    assert_same_function(result, sizes=SIZES)


def test_a_pad_that_is_no_border_of_zeros_stays():
    kinds = {
        "another value": (AROUND, 0.5, {}),
        "reflection": (AROUND, None, {"mode": "reflect"}),
        "channels": ((0, 1, 0, 0, 0, 0, 0, 0), None, {}),
        "batch": ((1, 0, 0, 0, 0, 0, 0, 0), None, {}),
        "cropping": ((0, 0, -1, 0, 0, 0, 1, 0), None, {}),
    }
    for kind, (pads, value, attributes) in kinds.items():
        net = Net()
        operands = [net.ints(*pads)] + ([] if value is None else [net.scalar(value)])
        padded = net.op("Pad", image(net), *operands, **attributes)
        y = net.conv(padded, 5 if kind == "channels" else 4, 4)
        result = fold_model(net.model(y))
        assert "Pad" in result.ops, kind
        # onnx.reference cannot crop.
        if kind != "cropping":
            assert_same_function(result, sizes=SIZES)


def test_a_pad_known_only_at_run_time_stays():
    net = Net()
    x = image(net)
    pads = net.input([8], "pads", dtype="int64")
    net.inputs[-1].type.tensor_type.shape.dim[0].dim_value = 8
    result = fold_model(net.model(net.conv(net.op("Pad", x, pads), 4, 4)))
    assert "Pad" in result.ops
