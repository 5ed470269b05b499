"""``torch.chunk`` exported as a sequence is a Split, and norms pass it as such."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from graphs import Net, assert_folded, feeds_for, fold_model, run
from onnx import TensorProto, helper


def _parts(net: Net, x: str, count: int, split: str | None, **attributes: int) -> list[str]:
    inputs = (x,) if split is None else (x, split)
    sequence = net.op("SplitToSequence", *inputs, **attributes)
    return [net.op("SequenceAt", sequence, net.const(np.array(i))) for i in range(count)]


def _assert_same_outputs(before: onnx.ModelProto, after: onnx.ModelProto) -> None:
    feeds = feeds_for(before)
    one, two = run(before, feeds), run(after, feeds)
    assert all(np.allclose(one[name], two[name], rtol=1e-10, atol=1e-12) for name in one)


SPLITS = {
    "one size": (lambda net: net.const(np.array(2)), 2),
    "a size that leaves a rest": (lambda net: net.const(np.array(3)), 2),
    "two sizes": (lambda net: net.ints(1, 3), 2),
    "ones": (lambda _: None, 4),
}


@pytest.mark.parametrize("forward", [False, True])
@pytest.mark.parametrize("opset", [11, 13, 18])
@pytest.mark.parametrize("what", SPLITS)
def test_each_part_takes_its_own(what: str, opset: int, forward: bool) -> None:
    make, count = SPLITS[what]
    net = Net(opset=opset)
    x = net.input(["N", 4, 5, 5])
    x = net.norm(net.op("Sigmoid", x), 4, 2) if forward else net.conv(x, 4, 4, (1, 1))
    parts = _parts(net, x, count, make(net), axis=1)
    sizes = {"one size": [2, 2], "a size that leaves a rest": [3, 1], "two sizes": [1, 3]}
    channels = sizes.get(what, [1] * 4)
    if forward:
        ends = [net.conv(p, c, 3, (1, 1)) for p, c in zip(parts, channels, strict=True)]
    else:
        ends = [net.norm(p, c, 2) for p, c in zip(parts, channels, strict=True)]
    result = fold_model(net.model(*(net.op("Tanh", end) for end in ends)))
    assert all(site.folded for site in result.sites)
    assert "SequenceAt" not in result.ops
    assert result.ops.count("Split") == 1
    _assert_same_outputs(result.before, result.after)


def test_parts_counted_from_the_end_and_parts_that_nobody_takes() -> None:
    net = Net()
    conv = net.conv(net.input(["N", 3, 5, 5]), 3, 6, (1, 1))
    sequence = net.op("SplitToSequence", conv, net.const(np.array(2)), axis=-3)
    y = net.norm(net.op("SequenceAt", sequence, net.const(np.array(-2))), 2, 2)
    result = fold_model(net.model(y))
    assert result.ops == ["Conv", "Split"]
    _assert_same_outputs(result.before, result.after)


def test_a_part_that_is_an_output_keeps_its_name() -> None:
    net = Net()
    a, b = _parts(net, net.input([2, 4]), 2, net.const(np.array(2)), axis=1)
    result = fold_model(net.model(a, net.op("Tanh", b)))
    assert result.ops == ["Split", "Tanh"]
    _assert_same_outputs(result.before, result.after)


def _read_twice(net: Net, sequence: str) -> str:
    first, second = (net.op("SequenceAt", sequence, net.const(np.array(0))) for _ in range(2))
    return net.op("Add", first, net.op("Tanh", second))


def _at_run_time(net: Net, sequence: str) -> str:
    return net.op("SequenceAt", sequence, net.op("Abs", net.input([], "at", np.int64)))


def _joined_again(net: Net, sequence: str) -> str:
    return net.op("ConcatFromSequence", sequence, axis=1)


@pytest.mark.parametrize("read", [_read_twice, _at_run_time, _joined_again])
def test_a_sequence_that_is_more_than_its_parts_stays(read) -> None:
    net = Net()
    sequence = net.op("SplitToSequence", net.input([2, 4]), net.const(np.array(2)), axis=1)
    result = fold_model(net.model(read(net, sequence)))
    assert "SplitToSequence" in result.ops
    feeds = feeds_for(result.before) | {"at": np.array(1)}
    feeds = {name: feeds[name] for name in [v.name for v in result.before.graph.input]}
    one, two = run(result.before, feeds), run(result.after, feeds)
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_a_length_that_is_not_known_leaves_the_sequence() -> None:
    net = Net()
    parts = _parts(net, net.input([2, "C"]), 2, net.const(np.array(2)), axis=1)
    result = fold_model(net.model(*parts))
    assert "SplitToSequence" in result.ops


def test_a_sequence_that_is_an_output_stays() -> None:
    net = Net()
    x = net.input([2, 4])
    sequence = net.op("SplitToSequence", x, net.const(np.array(2)), axis=1)
    model = net.model(net.op("SequenceAt", sequence, net.const(np.array(0))))
    info = helper.make_tensor_sequence_value_info(sequence, TensorProto.DOUBLE, None)
    model.graph.output.append(info)
    assert "SplitToSequence" in fold_model(model).ops


def test_the_whole_is_folded_over() -> None:
    net = Net()
    conv = net.conv(net.input(["N", 3, 4, 4]), 3, 4, (1, 1))
    a, b = _parts(net, conv, 2, net.const(np.array(2)), axis=1)
    result = fold_model(net.model(net.op("Mul", net.norm(a, 2, 2), net.op("Tanh", b))))
    assert_folded(fold_model(result.after), None)
