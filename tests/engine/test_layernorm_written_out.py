"""Normalisers in elementary ops: which of them ONNX Runtime makes one op of, and which give."""

from __future__ import annotations

import pytest
from graphs import Net, assert_same_function, fold_model
from normalisers import CHANNELS, linear, untouched


def written_out(
    net: Net,
    x: str,
    *,
    centred: bool = True,
    inverse: str = "",
    squared: str = "Pow",
    axis: int = -1,
    trailing: int = 0,
) -> str:
    """A normaliser in elementary ops, its scale and shift included."""
    axes = net.ints(axis)
    if centred:
        x = net.op("Sub", x, net.op("ReduceMean", x, axes))
    square = net.op("Pow", x, net.scalar(2.0)) if squared == "Pow" else net.op("Mul", x, x)
    variance = net.op("Add", net.op("ReduceMean", square, axes), net.scalar(1e-3))
    root = net.op("Sqrt", variance)
    if inverse == "Reciprocal":
        y = net.op("Mul", x, net.op("Reciprocal", root))
    elif inverse == "Div":
        y = net.op("Mul", x, net.op("Div", net.scalar(1.0), root))
    else:
        y = net.op("Div", x, root)
    shape = (CHANNELS, *(1,) * trailing)
    y = net.op("Mul", y, net.param(*shape))
    return net.op("Add", y, net.param(*shape)) if centred else y


FUSED = ({}, {"centred": False}, {"centred": False, "inverse": "Div"}, {"axis": 2})
APART = ({"inverse": "Reciprocal"}, {"squared": "Mul"}, {"centred": False, "squared": "Mul"})


@pytest.mark.parametrize("spelling", FUSED, ids=str)
def test_a_spelling_that_the_runtime_fuses_is_left_whole(spelling):
    net = Net()
    y = written_out(net, net.input([2, 3, 4]), **spelling)
    result = fold_model(net.model(linear(net, y)))
    (site,) = (site for site in result.sites if site.kind == "affine")
    assert "ONNX Runtime makes one op" in site.reason
    assert not result.norms
    untouched(result)


@pytest.mark.parametrize("spelling", APART, ids=str)
def test_a_spelling_that_the_runtime_does_not_fuse_gives_its_scale_and_shift_away(spelling):
    net = Net()
    y = written_out(net, net.input([2, 3, 4]), **spelling)
    result = fold_model(net.model(linear(net, y)))
    (site,) = (site for site in result.sites if site.kind == "affine")
    assert site.folded
    assert not result.norms
    assert_same_function(result)


def test_over_the_channels_of_an_image_nothing_is_fused():
    net = Net()
    y = written_out(net, net.input([2, 4, 3, 3]), axis=1, trailing=2)
    result = fold_model(net.model(net.conv(y, 4, 4)))
    assert result.sites[-1].folded
    assert_same_function(result)


def test_a_norm_behind_a_fused_spelling_joins_its_scale_and_shift():
    net = Net()
    y = net.norm(written_out(net, net.input([2, 3, 4])), 4, 0)
    result = fold_model(net.model(net.op("Softsign", y)))
    assert [site.folded for site in result.sites if site.kind != "scalar"] == [False, True]
    assert result.ops[-3:] == ["Mul", "Add", "Softsign"]
    assert_same_function(result)


def test_a_norm_behind_a_written_out_normaliser_without_scale_is_a_norm():
    net = Net()
    x = net.input([2, 3, 4])
    square = net.op("ReduceMean", net.op("Pow", x, net.scalar(2.0)), net.ints(-1))
    root = net.op("Sqrt", net.op("Add", square, net.scalar(1e-3)))
    y = net.norm(net.op("Div", x, root), 4, 0)
    result = fold_model(net.model(linear(net, y)))
    assert [site.folded for site in result.norms] == [True]
    assert_same_function(result)
