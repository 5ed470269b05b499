"""A constant is the same number however the graph makes it, repeats it or casts it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from graphs import Net, assert_folded, assert_same_function, fold_model
from onnx import numpy_helper
from spellings import Spelling


def _unsqueezed(net, array):
    return net.op("Unsqueeze", net.const(array.reshape(4)), net.ints(1, 2))


def _reshaped(net, array):
    return net.op("Reshape", net.const(array.reshape(4)), net.ints(1, -1, 1, 1))


def _twice(net, array):
    return net.op(
        "Unsqueeze", net.op("Unsqueeze", net.const(array.reshape(4)), net.ints(-1)), net.ints(-1)
    )


def _transposed(net, array):
    return net.op("Transpose", net.const(array.reshape(1, 1, 4)), perm=[2, 0, 1])


def _cast(net, array):
    return net.op("Cast", net.const(array.astype(np.float32)), to=onnx.TensorProto.DOUBLE)


def _identity(net, array):
    return net.op("Identity", net.const(array))


def _constant_node(net, array):
    return net.op("Constant", value=numpy_helper.from_array(array))


def _expanded(net, array):
    return net.op("Expand", net.const(array), net.ints(2, 4, 4, 4))


def _expanded_to_the_input(net, array):
    rest = net.op("Slice", net.op("Shape", "x"), net.ints(0), net.ints(1))
    target = net.op("Concat", rest, net.ints(4, 4, 4), axis=0)
    return net.op("Expand", net.const(array), target)


def _expanded_to_the_value(net, array):
    return net.op("Expand", net.const(array), net.op("Shape", net.x))


def _tiled(net, array):
    batch = net.op("Slice", net.op("Shape", "x"), net.ints(0), net.ints(1))
    repeats = net.op("Concat", batch, net.ints(1, 4, 4), axis=0)
    return net.op("Tile", net.const(array.reshape(1, 4, 1, 1)), repeats)


def _cast_like_a_constant(net, array):
    return net.op("CastLike", net.const(array.astype(np.float32)), net.scalar(0.0))


def _cast_like_the_input(net, array):
    return net.op("CastLike", net.const(array.astype(np.float32)), "x")


def _cast_like_the_value(net, array):
    return net.op("CastLike", net.const(array.astype(np.float32)), net.x)


def _gathered(net, array):
    return net.op("Gather", net.const(np.stack([array, -array])), net.const(np.array(0)), axis=0)


def _split(net, array):
    pair = net.const(np.concatenate([array, -array]))
    return net.ops("Split", pair, count=2, axis=0, num_outputs=2)[0]


MAKERS = [
    _unsqueezed,
    _reshaped,
    _twice,
    _transposed,
    _cast,
    _identity,
    _constant_node,
    _expanded_to_the_input,
    _expanded_to_the_value,
    _tiled,
    _cast_like_a_constant,
    _cast_like_the_input,
    _cast_like_the_value,
    _gathered,
    _split,
]


@pytest.mark.parametrize("make", MAKERS)
def test_constants_however_they_are_made(make):
    net = Spelling()
    y = net.op("Mul", net.x, make(net, net.numbers()))
    y = net.op("Add", make(net, net.numbers()), y)
    result = fold_model(net.model(y))
    assert len(result.norms) == 1
    assert_folded(result, ["Conv"])


def test_statistics_of_which_each_is_expanded():
    net = Spelling()
    variance = net.op("Add", _expanded_to_the_input(net, net.numbers(low=0.3)), net.scalar(1e-3))
    centred = net.op("Sub", net.x, _expanded_to_the_input(net, net.numbers()))
    y = net.op("Div", centred, net.op("Sqrt", variance))
    assert_folded(fold_model(net.model(y)), ["Conv"])


def test_repeats_of_different_lengths_do_not_break_the_lift():
    net = Net()
    x = net.input(["N", 6])
    batch = net.op("Slice", net.op("Shape", x), net.ints(0), net.ints(1))
    threes = net.op("Tile", net.param(1, 2), net.op("Concat", batch, net.ints(3), axis=0))
    twos = net.op("Tile", net.param(1, 3), net.op("Concat", batch, net.ints(2), axis=0))
    h = net.op("MatMul", x, net.param(6, 6))
    result = fold_model(net.model(net.op("Mul", h, net.op("Add", threes, twos))))
    assert_same_function(result)


def test_a_constant_that_grows_when_it_is_expanded_is_no_plain_constant():
    net = Net()
    pooled = net.op("GlobalAveragePool", net.input(["N", 4, 3, 3]))
    conv = net.conv(pooled, 4, 4, (1, 1))
    target = net.op("Shape", "x")
    grown = net.op("Mul", conv, net.op("Expand", net.param(4, 1, 1), target))
    assert_same_function(fold_model(net.model(grown)))


def test_constants_expanded_one_after_the_other_behind_a_reshape_of_unknown_batch():
    net = Net()
    y = net.op("Reshape", net.op("Sigmoid", net.input(["N", 1, 4, 8])), net.ints(-1, 1, 2, 2, 8))
    for op_type in ("Mul", "Add"):
        constant = net.param(2, 1, 1, low=0.3)
        y = net.op(op_type, y, net.op("Expand", constant, net.op("Shape", y)))
    result = fold_model(net.model(net.op("Sigmoid", y)))
    assert [site.spelling for site in result.sites] == [("Mul", "Add")]
    assert_same_function(result)
