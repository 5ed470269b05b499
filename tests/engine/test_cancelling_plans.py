"""A shift that a stream value gains, and that its other readers take away, must leave it digits.

A small gamma beside an ordinary beta asks for a large one: ``beta / gamma`` deviations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from graphs import Net, assert_folded, assert_left, assert_same_function, fold_model
from preactivation import PreActivation

import bnfuse

if TYPE_CHECKING:
    from preactivation import Gammas

_TOO_FAR = "a shift that its other readers take away again"


def _shrunk(factor: float, share: float) -> Gammas:
    """That share of a norm's gammas, one at least, is made so many times smaller."""

    def shrink(rng: np.random.Generator, gamma: np.ndarray) -> np.ndarray:
        count = max(1, round(share * gamma.size))
        chosen = rng.choice(gamma.size, count, replace=False)
        return np.where(np.isin(np.arange(gamma.size), chosen), gamma / factor, gamma)

    return shrink


@pytest.mark.parametrize("spelling", ["norm", "chain", "affine"])
@pytest.mark.parametrize("factor", [1, 10, 1e2, 1e4, 1e6])
def test_a_net_with_shrunk_gammas_passes_its_verification(factor, spelling):
    for seed in range(2):
        maker = PreActivation(seed, spelling=spelling, gammas=_shrunk(factor, 0.05))
        folded = bnfuse.fold(maker.build(4), providers=("cpu",))
        assert folded.report.verdict == "PASS"
        left = [norm for norm in folded.report.norms if not norm.folded]
        assert all(_TOO_FAR in norm.reason for norm in left)
        if factor == 1:
            assert not left
        if factor >= 1e4 and spelling != "affine":
            assert len(left) == 4, "all but the last, which nothing else reads"


@pytest.mark.parametrize(
    ("dtype", "folds"), [(np.float16, [7, 4, 4]), (np.float32, [7, 5, 4]), (np.float64, [7, 7, 7])]
)
def test_what_a_dtype_has_digits_for(dtype, folds):
    for factor, expected in zip((1, 30, 1e3), folds, strict=True):
        model = PreActivation(3, dtype=dtype, gammas=_shrunk(factor, 0.2)).build(3)
        result = fold_model(model)
        assert sum(norm.folded for norm in result.norms) == expected
        if dtype == np.float64:
            assert_same_function(result)


def test_in_half_precision_the_model_passes_too():
    maker = PreActivation(1, dtype=np.float16, gammas=_shrunk(30, 0.05))
    folded = bnfuse.fold(maker.build(4), providers=("cpu",))
    assert folded.report.verdict == "PASS"
    assert not all(norm.folded for norm in folded.report.norms)


def test_a_large_value_is_not_taken_out_of_the_range_of_half_precision():
    """Sixteen deviations of 200 about a shift of 64,000 are no longer numbers of float16."""
    net = Net(dtype=np.float16)
    x = net.conv(net.input([2, 3, 4, 4]), 3, 4)
    numbers = (np.full(4, value, np.float16) for value in (1.0, 320.0, 0.0, 40000.0))
    constants = [net.const(array) for array in numbers]
    y = net.op("Relu", net.op("BatchNormalization", x, *constants))
    both = net.conv(y, 4, 4), net.conv(x, 4, 4)
    result = fold_model(net.model(*(net.op("Softsign", z) for z in both)))
    assert not result.all_folded


def test_a_norm_that_alone_reads_a_value_needs_no_digits():
    """What cancels there cancels in the model too: nothing takes the shift away again."""
    net = Net(dtype=np.float32)
    numbers = (np.full(4, value, np.float32) for value in (1e-6, 1.0, 0.0, 1.0))
    constants = [net.const(array) for array in numbers]
    branches = [net.conv(net.input(["N", 3, 6, 6], f"x{i}"), 3, 4) for i in range(2)]
    normed = net.op("BatchNormalization", net.op("Add", *branches), *constants)
    assert fold_model(net.model(net.conv(net.op("Relu", normed), 4, 2, pads=[1] * 4))).all_folded


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("beta", [-0.5, 0.5])
@pytest.mark.parametrize("activation", ["Relu", "LeakyRelu", "Abs"])
def test_a_gamma_of_zero_leaves_a_constant(activation, beta, kernel):
    """It goes into the bias of a Conv that pads nothing; a padded one takes only a 0."""
    net = Net()
    x = net.conv(net.input(["N", 3, 6, 6]), 3, 4)
    gamma = net.const(np.array([1.0, 0.0, 2.0, 3.0]))
    shift = net.const(np.array([0.3, beta, -0.2, 0.1]))
    normed = net.op("BatchNormalization", x, gamma, shift, net.param(4), net.param(4, low=0.5))
    branch = net.conv(net.op(activation, normed), 4, 4, (kernel, kernel), pads=[kernel // 2] * 4)
    y = net.op("Add", x, branch)
    result = fold_model(net.model(net.op("Sigmoid", net.conv(y, 4, 2, (1, 1)))))
    if kernel == 1 or (activation == "Relu" and beta < 0.0):
        assert_folded(result)
    else:
        assert_left(result, "pads with zeros, which the shift must not reach")


def test_a_slope_per_channel_leaves_a_constant_where_it_is():
    net = Net()
    x = net.conv(net.input(["N", 3, 6, 6]), 3, 4)
    gamma = net.const(np.array([1.0, 0.0, 2.0, 3.0]).reshape(4, 1, 1))
    shifted = net.op("Add", net.op("Mul", x, gamma), net.param(4, 1, 1))
    branch = net.conv(net.op("PRelu", shifted, net.param(4, 1, 1)), 4, 4, (1, 1))
    result = fold_model(net.model(net.op("Sigmoid", net.op("Add", x, branch))))
    assert_left(result, "it moves the kink")
