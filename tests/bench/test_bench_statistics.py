from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bnfuse.bench.statistics import LEAST_ROUNDS, paired_ratio, spread

TIMES = arrays(np.float64, st.integers(6, 60), elements=st.floats(1e-6, 1e3))


def noisy(rng, rounds=40, median=1.0):
    """Times as machines give them: skewed to the right, with the odd interruption."""
    samples = median * (1 + 0.02 * rng.exponential(size=rounds))
    return samples + (rng.random(rounds) < 0.05) * 5 * median


def test_spread_is_of_order_statistics():
    found = spread(np.array([5.0, 1.0, 2.0, 4.0, 3.0]))
    assert (found.median, found.lower_quartile, found.upper_quartile, found.least) == (3, 2, 4, 1)


def test_interval_of_fifty_rounds_is_the_textbooks():
    # Of 50 samples the 18th and the 33rd hold the median with 95 % confidence.
    ratio = paired_ratio(np.arange(1.0, 51.0), np.ones(50))
    assert (ratio.value, ratio.low, ratio.high) == (25.5, 18.0, 33.0)


def test_interval_of_the_fewest_rounds_spans_all():
    ratio = paired_ratio(np.arange(1.0, LEAST_ROUNDS + 1), np.ones(LEAST_ROUNDS))
    assert (ratio.low, ratio.high) == (1.0, LEAST_ROUNDS)


def test_too_few_rounds_have_no_interval():
    with pytest.raises(ValueError, match="no interval"):
        paired_ratio(np.ones(LEAST_ROUNDS - 1), np.ones(LEAST_ROUNDS - 1))


def test_different_rounds_are_no_pairs():
    with pytest.raises(ValueError, match="no pairs"):
        paired_ratio(np.ones(8), np.ones(9))


def test_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(400):
        ratio = paired_ratio(noisy(rng, median=1.1), noisy(rng))
        hits += ratio.low <= 1.1 <= ratio.high
    # 95 % of 400 is 380 with a standard deviation of 4.4; the interval is conservative.
    assert hits >= 367


def test_equal_contestants_rarely_differ():
    rng = np.random.default_rng(1)
    found = [paired_ratio(noisy(rng), noisy(rng)).is_one for _ in range(400)]
    assert sum(found) >= 367


def test_small_differences_are_seen():
    rng = np.random.default_rng(2)
    ratio = paired_ratio(noisy(rng, median=1.05), noisy(rng))
    assert ratio.low > 1.0
    assert not ratio.is_one


def test_a_machine_that_slows_down_cancels():
    rng = np.random.default_rng(3)
    drift = np.linspace(1, 4, 40)
    ratio = paired_ratio(noisy(rng, median=0.5) * drift, noisy(rng) * drift)
    assert ratio.value == pytest.approx(0.5, rel=0.02)
    assert ratio.high - ratio.low < 0.03


def test_one_interrupted_round_does_not_matter():
    samples, reference = np.full(20, 2.0), np.ones(20)
    samples[3] = 1e6
    ratio = paired_ratio(samples, reference)
    assert (ratio.low, ratio.value, ratio.high) == (2.0, 2.0, 2.0)


@given(TIMES, st.floats(1e-3, 1e3))
def test_ratio_to_itself_is_one_and_to_a_multiple_the_multiple(samples, factor):
    assert paired_ratio(samples, samples).value == 1.0
    scaled = paired_ratio(samples * factor, samples)
    assert scaled.low == pytest.approx(factor)
    assert scaled.high == pytest.approx(factor)


@given(TIMES, st.randoms(use_true_random=False))
def test_value_lies_in_its_interval_and_order_of_rounds_is_nothing(samples, random):
    reference = samples[::-1].copy()
    ratio = paired_ratio(samples, reference)
    assert ratio.low <= ratio.value <= ratio.high
    order = list(range(len(samples)))
    random.shuffle(order)
    assert paired_ratio(samples[order], reference[order]) == ratio
