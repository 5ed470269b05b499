"""The norms of a residual stream go however long it is, each by a plan of its own two blocks."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import Net, assert_folded, assert_left, assert_same_function, fold_model
from preactivation import PreActivation

_DEEP = 120


def _negative(channels: list[int]):
    def negate(rng: np.random.Generator, gamma: np.ndarray) -> np.ndarray:
        del rng
        return np.where(np.isin(np.arange(gamma.size), channels), -gamma, gamma)

    return negate


def _maker(**options) -> PreActivation:
    return PreActivation(channels=4, dtype=np.float64, **options)


@pytest.mark.parametrize("shape", [{}, {"bottleneck": True}, {"projections": 7}])
@pytest.mark.parametrize("negative", [[], [1], [0, 1, 2, 3]])
def test_every_norm_goes(shape, negative):
    result = fold_model(_maker(gammas=_negative(negative)).build(_DEEP, **shape))
    assert result.all_folded
    assert not result.leftovers


def test_a_thousand_norms_go():
    assert fold_model(_maker().build(500)).all_folded


@pytest.mark.parametrize("negative", [[], [1]])
def test_a_plan_is_of_two_blocks_and_one_more_turns_the_signs(negative):
    result = fold_model(_maker(gammas=_negative(negative)).build(40))
    assert_folded(result)
    edits = sorted(len(application.rules) for application in result.log.applications)
    sizes = sorted(len(norm.corrected) + len(norm.into) for norm in result.norms)
    assert max(edits) <= 4
    assert sum(size > 4 for size in sizes) == bool(negative)


def test_norms_whose_signs_the_others_do_not_have_stay():
    """Most have none that is negative: those go, and each of the others says what is in its way."""
    turned = iter([False, True, False, False, True, *[False] * 7])

    def some(rng: np.random.Generator, gamma: np.ndarray) -> np.ndarray:
        return _negative([2])(rng, gamma) if next(turned) else gamma

    result = fold_model(_maker(gammas=some).build(11))
    left = [norm for norm in result.norms if not norm.folded]
    assert [norm.reason.count("the scale of channel 2 is negative") > 0 for norm in left] == [
        True
    ] * 2
    assert_same_function(result)


def test_the_first_block_of_a_stream_that_begins_with_a_relu_keeps_its_norm():
    net = Net()
    stream = net.op("Relu", net.conv(net.input(["N", 3, 6, 6]), 3, 4))
    for _ in range(3):
        branch = net.op("Relu", net.norm(stream, 4, 2, positive=True))
        stream = net.op("Add", stream, net.conv(branch, 4, 4, pads=[1] * 4))
    stream = net.op("Relu", net.norm(stream, 4, 2, positive=True))
    result = fold_model(net.model(net.conv(stream, 4, 2)))
    assert [norm.folded for norm in result.norms] == [False, True, True, True]
    assert_left(result, "a shift does not pass through Relu")


@pytest.mark.parametrize("op_type", ["Add", "Sub", "Sum"])
@pytest.mark.parametrize("swapped", [False, True])
def test_a_branch_makes_up_for_the_shift_on_either_side(op_type, swapped):
    net = Net()
    stream = net.conv(net.input(["N", 3, 6, 6]), 3, 4)
    for _ in range(3):
        branch = net.op("Relu", net.norm(stream, 4, 2, positive=True))
        parts = [stream, net.conv(branch, 4, 4, pads=[1] * 4)]
        stream = net.op(op_type, *(reversed(parts) if swapped else parts))
    assert_folded(fold_model(net.model(net.op("Softsign", net.conv(stream, 4, 2)))))


def test_a_branch_that_ends_in_an_activation_leaves_the_shift_to_the_stream():
    """Then the first linear map gives it, and all that read the stream are without it."""
    net = Net()
    stream = net.conv(net.input(["N", 3, 6, 6]), 3, 4)
    for _ in range(2):
        branch = net.op("Relu", net.conv(stream, 4, 4, (1, 1)))
        stream = net.op("Add", stream, branch)
    normed = net.op("Relu", net.norm(stream, 4, 2, positive=True))
    y = net.op("Add", stream, net.op("Relu", net.conv(normed, 4, 4, (1, 1))))
    assert_folded(fold_model(net.model(net.op("Softsign", net.conv(y, 4, 2)))))


def test_an_activation_that_takes_no_scale_lets_one_norm_go():
    net = Net()
    stream = net.conv(net.input(["N", 3, 6, 6]), 3, 4)
    for _ in range(30):
        branch = net.op("Softsign", net.norm(stream, 4, 2))
        stream = net.op("Add", stream, net.conv(branch, 4, 4, pads=[1] * 4))
    result = fold_model(net.model(net.conv(stream, 4, 2)))
    assert sum(norm.folded for norm in result.norms) == 1
    assert_left(result, "no exact rule moves it on through Softsign")
