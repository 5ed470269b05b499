"""Through Split, Slice and Gather: constants follow the channels that are selected."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import Net, assert_folded, assert_left, assert_same_function, fold_model

SLICES = [(1, 3, 1), (0, 4, 2), (-1, -9, -1), (3, 0, -2), (-3, 9, 1), (2, -(2**60), -1)]


@pytest.mark.parametrize(("start", "end", "step"), SLICES)
def test_a_slice_of_channels_before_the_norm(start, end, step):
    net = Net()
    conv = net.conv(net.input(["N", 3, 4, 4]), 3, 4, (1, 1))
    cut = net.op("Slice", conv, *(net.ints(n) for n in (start, end, 1, step)))
    channels = len(np.arange(4)[slice(start, end if end > -9 else None, step)])
    assert_folded(fold_model(net.model(net.norm(cut, channels, 2))), ["Conv", "Slice"])


@pytest.mark.parametrize(("start", "end", "step"), SLICES)
def test_a_slice_of_channels_after_the_norm(start, end, step):
    net = Net()
    normed = net.norm(net.op("Sigmoid", net.input(["N", 4, 4, 4])), 4, 2)
    cut = net.op("Slice", normed, *(net.ints(n) for n in (start, end, -3, step)))
    channels = len(np.arange(4)[slice(start, end if end > -9 else None, step)])
    assert_folded(fold_model(net.model(net.conv(cut, channels, 3))), ["Sigmoid", "Slice", "Conv"])


def test_a_slice_of_positions_keeps_every_channel():
    net = Net()
    conv = net.conv(net.input([2, 3, 4, 4]), 3, 4, (1, 1))
    cut = net.op("Slice", conv, net.ints(0, 1), net.ints(3, 4), net.ints(2, 3))
    assert_folded(fold_model(net.model(net.norm(cut, 4, 2))), ["Conv", "Slice"])


def test_a_slice_of_an_old_opset_has_its_indices_as_attributes():
    net = Net(opset=9)
    conv = net.conv(net.input([2, 3, 4, 4]), 3, 4, (1, 1))
    cut = net.op("Slice", conv, starts=[1], ends=[3], axes=[1])
    assert_folded(fold_model(net.model(net.norm(cut, 2, 2))), ["Conv", "Slice"])


def test_a_slice_of_the_first_axes_by_default():
    net = Net()
    normed = net.norm(net.op("Sigmoid", net.input([3, 4, 4, 4])), 4, 2)
    cut = net.op("Slice", normed, net.ints(0, 1), net.ints(2, 3))
    assert_folded(fold_model(net.model(net.conv(cut, 2, 3))))


def test_a_slice_of_channels_by_run_time_indices_is_left():
    net = Net()
    conv = net.conv(net.input([2, 3, 4, 4]), 3, 4, (1, 1))
    start = net.op("Slice", net.op("Shape", net.input([1, 1], "s")), *(net.ints(n) for n in (0, 1)))
    axes = net.op("Mul", start, net.input([1], "axis", dtype=np.int64))
    cut = net.op("Slice", conv, net.ints(1), net.ints(3), axes, name="cut")
    result = fold_model(net.model(net.op("Mul", cut, net.scalar(2.0))))
    assert_same_function(result)
    result = fold_model(net.model(net.batch_norm(cut, 4)))
    assert "which channels Slice 'cut' selects is not known before a run" in result.reason()


@pytest.mark.parametrize("sizes", [(1, 3), (2, 2), (3, 1)])
@pytest.mark.parametrize("which", [0, 1])
def test_one_part_of_a_split_before_the_norm_leaves_the_other_as_it_is(sizes, which):
    net = Net()
    conv = net.conv(net.input(["N", 3, 4, 4]), 3, 4, (1, 1))
    parts = net.ops("Split", conv, net.ints(*sizes), count=2, axis=1)
    normed = net.norm(parts[which], sizes[which], 2)
    result = fold_model(net.model(normed, net.op("Tanh", parts[1 - which])))
    assert_folded(result, ["Conv", "Split", "Tanh"])


@pytest.mark.parametrize("sizes", [(1, 3), (2, 2)])
def test_every_part_of_a_split_after_the_norm_takes_its_own(sizes):
    net = Net()
    normed = net.norm(net.op("Sigmoid", net.input(["N", 4, 4, 4])), 4, 2)
    parts = net.ops("Split", normed, net.ints(*sizes), count=2, axis=1)
    outputs = [net.conv(part, n, 3) for part, n in zip(parts, sizes, strict=True)]
    assert_folded(fold_model(net.model(*outputs)), ["Sigmoid", "Split", "Conv", "Conv"])


def test_a_split_of_which_one_part_cannot_take_it_is_left():
    net = Net()
    normed = net.norm(net.op("Sigmoid", net.input(["N", 4, 4, 4])), 4, 2)
    first, second = net.ops("Split", normed, count=2, axis=1, num_outputs=2)
    result = fold_model(net.model(net.conv(first, 2, 3), net.op("Tanh", second, name="blocker")))
    assert_left(result, "Tanh 'blocker'")


def test_a_norm_per_chunk_goes_back_into_one_conv():
    net = Net()
    conv = net.conv(net.input(["N", 3, 4, 4]), 3, 6, (1, 1))
    parts = net.ops("Split", conv, count=3, axis=1, num_outputs=3)
    result = fold_model(net.model(*(net.op("Tanh", net.norm(part, 2, 2)) for part in parts)))
    assert len(result.norms) == 3
    assert_folded(result)


def test_a_split_along_positions_is_left_when_only_one_part_has_the_norm():
    net = Net()
    conv = net.conv(net.input(["N", 3, 4, 4]), 3, 4, (1, 1))
    first, second = net.ops("Split", conv, count=2, axis=3, num_outputs=2, name="halves")
    result = fold_model(net.model(net.norm(first, 4, 2), net.op("Tanh", second)))
    assert_left(result, "Split 'halves' gives other parts of the same channels")


def test_a_split_along_positions_after_the_norm_passes_it_to_all_parts():
    net = Net()
    normed = net.norm(net.op("Sigmoid", net.input(["N", 4, 3, 4])), 4, 2)
    parts = net.ops("Split", normed, count=2, axis=3, num_outputs=2)
    assert_folded(fold_model(net.model(*(net.conv(part, 4, 3, (1, 1)) for part in parts))))


def test_a_uniform_scalar_after_one_part_of_a_split_concerns_only_that_part():
    net = Net()
    conv = net.conv(net.input(["N", 3, 4, 4]), 3, 4, (1, 1))
    first, second = net.ops("Split", conv, count=2, axis=1, num_outputs=2)
    result = fold_model(net.model(net.op("Mul", second, net.scalar(0.5)), net.op("Tanh", first)))
    assert_folded(result)


def test_a_uniform_scalar_before_a_split_reaches_every_part():
    net = Net()
    halved = net.op("Mul", net.op("Sigmoid", net.input(["N", 4, 4, 4])), net.scalar(0.5))
    parts = net.ops("Split", halved, count=2, axis=1, num_outputs=2)
    assert_folded(fold_model(net.model(*(net.conv(part, 2, 3) for part in parts))))


@pytest.mark.parametrize("index", [(3, 1, 0, 2), (0, 2), (-1, -3)])
def test_a_gather_of_distinct_channels_before_the_norm(index):
    net = Net()
    conv = net.conv(net.input(["N", 3, 4, 4]), 3, 4, (1, 1))
    chosen = net.op("Gather", conv, net.ints(*index), axis=1)
    assert_folded(fold_model(net.model(net.norm(chosen, len(index), 2))), ["Conv", "Gather"])


@pytest.mark.parametrize("index", [(3, 1, 0, 2), (0, 0, 2), (-1, 1, -1, 1)])
def test_a_gather_of_any_channels_after_the_norm(index):
    net = Net()
    normed = net.norm(net.op("Sigmoid", net.input(["N", 4, 4, 4])), 4, 2)
    chosen = net.op("Gather", normed, net.ints(*index), axis=-3)
    y = net.conv(chosen, len(index), 3)
    assert_folded(fold_model(net.model(y)), ["Sigmoid", "Gather", "Conv"])


def test_a_channel_taken_twice_with_other_constants_is_left():
    net = Net()
    conv = net.conv(net.input([2, 3, 4, 4]), 3, 4, (1, 1))
    chosen = net.op("Gather", conv, net.ints(1, 2, 1), axis=1, name="again")
    result = fold_model(net.model(net.norm(chosen, 3, 2)))
    assert_left(result, "Gather 'again' takes a channel twice, with other constants each time")


@pytest.mark.parametrize("differs", ["scale", "shift"])
def test_a_channel_taken_twice_that_differs_in_one_constant_alone_is_left(differs):
    net = Net()
    conv = net.conv(net.input([2, 3, 4, 4]), 3, 4, (1, 1))
    chosen = net.op("Gather", conv, net.ints(1, 2, 1), axis=1)
    same, other = np.array([2.0, 3.0, 2.0]), np.array([2.0, 3.0, 4.0])
    scale, shift = (other, same) if differs == "scale" else (same, other)
    y = net.op("Mul", chosen, net.const(scale.reshape(3, 1, 1)))
    y = net.op("Add", y, net.const(shift.reshape(3, 1, 1)))
    assert_left(fold_model(net.model(y)), "takes a channel twice")


def test_a_channel_taken_twice_with_the_same_constants_folds():
    net = Net()
    conv = net.conv(net.input([2, 3, 4, 4]), 3, 4, (1, 1))
    chosen = net.op("Gather", conv, net.ints(1, 2, 1), axis=1)
    y = net.op("Mul", chosen, net.const(np.array([2.0, 3.0, 2.0]).reshape(3, 1, 1)))
    assert_folded(fold_model(net.model(y)), ["Conv", "Gather"])


def test_a_gather_of_channels_by_run_time_indices_is_left():
    net = Net()
    conv = net.conv(net.input([2, 3, 4, 4]), 3, 4, (1, 1))
    index = net.op("Mul", net.input([2], "index", dtype=np.int64), net.ints(0))
    chosen = net.op("Gather", conv, index, axis=1, name="some")
    result = fold_model(net.model(net.norm(chosen, 2, 2)))
    assert_left(result, "which channels Gather 'some' selects is not known before a run")


def test_a_gather_of_positions_by_run_time_indices_keeps_every_channel():
    net = Net()
    conv = net.conv(net.input([2, 3, 4, 4]), 3, 4, (1, 1))
    index = net.op("Mul", net.input([2], "index", dtype=np.int64), net.ints(0))
    chosen = net.op("Gather", conv, index, axis=3)
    assert_folded(fold_model(net.model(net.norm(chosen, 4, 2))), ["Conv", "Mul", "Gather"])


@pytest.mark.parametrize(("axis", "trailing"), [(2, 1), (3, 1), (1, None)])
def test_a_gather_by_one_index_drops_an_axis(axis, trailing):
    net = Net()
    conv = net.conv(net.input([2, 3, 4, 4]), 3, 4, (1, 1))
    chosen = net.op("Gather", conv, net.const(np.array(1)), axis=axis)
    if trailing is None:
        y = net.norm(chosen, 4, 0)
        assert_same_function(fold_model(net.model(y)))
    else:
        assert_folded(fold_model(net.model(net.norm(chosen, 4, trailing))), ["Conv", "Gather"])


def test_a_gather_by_a_table_of_indices_adds_axes():
    net = Net()
    conv = net.conv(net.input([2, 3, 4, 4]), 3, 4, (1, 1))
    chosen = net.op("Gather", conv, net.const(np.array([[0, 1], [2, 3]])), axis=2)
    assert_folded(fold_model(net.model(net.norm(chosen, 4, 3))), ["Conv", "Gather"])


def test_constants_along_an_axis_that_a_table_of_indices_makes_are_left():
    net = Net()
    conv = net.conv(net.input([2, 3, 4, 4]), 3, 4, (1, 1))
    chosen = net.op("Gather", conv, net.const(np.array([[0, 1], [2, 3]])), axis=1, name="table")
    result = fold_model(net.model(net.norm(chosen, 2, 2)))
    assert_left(result, "which channels Gather 'table' selects is not known before a run")


@pytest.mark.parametrize("shape", [["N"], ["N", 5]])
def test_an_embedding_table_takes_the_norm(shape):
    net = Net()
    index = net.op("Abs", net.input(shape, "ids", dtype=np.int64))
    embedded = net.op("Gather", net.param(9, 6), index)
    result = fold_model(net.model(net.norm(embedded, 6, 0)))
    assert_folded(result, ["Abs", "Gather"])


def test_an_embedding_table_that_something_else_reads_keeps_its_old_value_there():
    net = Net()
    table = net.param(9, 6)
    index = net.op("Abs", net.input(["N"], "ids", dtype=np.int64))
    embedded = net.op("Gather", table, index)
    logits = net.op("MatMul", net.input(["N", 9], "h"), table)
    result = fold_model(net.model(net.norm(embedded, 6, 0), logits))
    assert_folded(result)
    assert table in {tensor.name for tensor in result.after.graph.initializer}


def test_a_norm_after_an_embedding_goes_on_into_the_linear_map():
    net = Net()
    index = net.op("Abs", net.input(["N", 5], "ids", dtype=np.int64))
    embedded = net.op("Gather", net.input([9, 6], "table"), index)
    y = net.op("MatMul", net.norm(embedded, 6, 0), net.param(6, 4))
    assert_folded(fold_model(net.model(y)), ["Abs", "Gather", "MatMul", "Add"])


def test_the_index_of_a_gather_takes_no_affine():
    net = Net()
    scaled = net.op("Mul", net.op("Sigmoid", net.input([2, 3])), net.param(3))
    index = net.op("Cast", scaled, to=7)
    y = net.op("Gather", net.param(4, 4), index)
    assert_same_function(fold_model(net.model(y)))
