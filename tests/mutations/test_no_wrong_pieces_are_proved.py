"""Folds of norms in pieces, put wrong in one channel: none is proved equal."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from graphs import Net, fold_model
from onnx import numpy_helper
from pieces import filled, one_channel, scaled, stacked, written_over

from bnfuse.proving import prove

C = 6
Array = np.ndarray


def _stacked(net: Net, x: str) -> str:
    return stacked(net, [scaled(net, one_channel(net, x, c)) for c in range(C)])


def _written(net: Net, x: str) -> str:
    y = filled(net, x, 0.0)
    for c in range(C):
        y = written_over(net, y, c, scaled(net, one_channel(net, x, c)))
    return y


def _chosen(net: Net, x: str) -> str:
    mask = net.const(np.arange(C).reshape(C, 1, 1) % 3 == 0)
    return net.op("Where", mask, net.norm(x, C, 2), scaled(net, x))


def _parts(net: Net, x: str) -> str:
    parts = net.ops("Split", x, net.ints(2, C - 2), count=2, axis=1)
    return net.op("Concat", *(scaled(net, part) for part in parts), axis=1)


def _summed(net: Net, x: str) -> str:
    matrix = net.const(np.diag(net.floats(C, low=0.3)))
    y = net.op("Einsum", x, matrix, equation="nchw,cd->ndhw")
    return net.op("Add", y, net.param(C, 1, 1))


def _multiplied(net: Net, x: str) -> str:
    flat = net.op("Reshape", x, net.ints(0, C, -1))
    y = net.op("MatMul", net.const(np.diag(net.floats(C, low=0.3))), flat)
    return net.op("Reshape", net.op("Add", y, net.param(C, 1)), net.ints(0, C, 3, 3))


def _shifted(array: Array) -> None:
    array[1] += 1e-9 * np.abs(array).max()


def _swapped(array: Array) -> None:
    array[[1, 2]] = array[[2, 1]]


def _left_out(array: Array) -> None:
    array[-1] = 0.0


def _turned(array: Array) -> None:
    array[:] = np.roll(array, 1, axis=0)


@pytest.mark.parametrize("mistake", [_shifted, _swapped, _left_out, _turned])
@pytest.mark.parametrize("made", [_stacked, _written, _chosen, _parts, _summed, _multiplied])
def test_a_wrong_channel_is_not_proved(
    made: Callable[[Net, str], str], mistake: Callable[[Array], None]
) -> None:
    net = Net()
    y = made(net, net.conv(net.input(["N", 3, 5, 5]), 3, C, bias=True))
    result = fold_model(net.model(net.op("Softsign", y)))
    assert result.ops[0] == "Conv"
    assert prove(result.before, result.after).proved
    for names in ((1,), (2,), (1, 2)):
        wrong = onnx.ModelProto()
        wrong.CopyFrom(result.after)
        stored = {tensor.name: tensor for tensor in wrong.graph.initializer}
        conv = next(node for node in wrong.graph.node if node.op_type == "Conv")
        for place in names:
            tensor = stored[conv.input[place]]
            array = numpy_helper.to_array(tensor).copy()
            mistake(array)
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
        assert not prove(result.before, wrong).proved
