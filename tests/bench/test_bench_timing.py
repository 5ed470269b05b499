from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from bnfuse.bench.timing import Schedule, interleave, orders


class Clock:
    """Time that passes only when a contestant says so."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def taking(self, seconds, calls=None, name=None):
        def run():
            self.now += seconds() if callable(seconds) else seconds
            if calls is not None:
                calls.append(name)

        return run


@pytest.mark.parametrize("contestants", [1, 2, 3, 5])
def test_every_round_visits_each_contestant_once(contestants):
    for order in orders(contestants, 4 * contestants):
        assert sorted(order) == list(range(contestants))


@pytest.mark.parametrize("contestants", [2, 3, 5])
def test_each_contestant_takes_each_place_as_often(contestants):
    places = Counter(
        (place, who)
        for order in orders(contestants, 2 * contestants)
        for place, who in enumerate(order)
    )
    assert set(places.values()) == {2}


def test_neighbours_change_sides():
    followers = Counter(pair for order in orders(3, 6) for pair in pairwise(order))
    assert len(followers) == 6
    assert len(set(followers.values())) == 1


def test_seconds_are_those_of_one_call():
    clock = Clock()
    seconds = interleave(
        [clock.taking(0.001), clock.taking(0.25)], Schedule(rounds=7, visit=0.01), clock
    )
    assert seconds.shape == (2, 7)
    np.testing.assert_allclose(seconds, [[0.001] * 7, [0.25] * 7], rtol=1e-9)


def test_fast_contestants_run_several_times_in_a_visit():
    clock, calls = Clock(), []
    contestants = [clock.taking(0.001, calls, "fast"), clock.taking(0.5, calls, "slow")]
    interleave(contestants, Schedule(rounds=1, warmup=1, visit=0.01), clock)
    counted = calls[4:]
    assert counted.count("slow") == 1
    assert counted.count("fast") == 10


def test_a_clock_too_coarse_to_see_a_call_does_not_divide_by_zero():
    clock = Clock()
    seconds = interleave([clock.taking(0.0)], Schedule(rounds=3), clock)
    np.testing.assert_array_equal(seconds, np.zeros((1, 3)))


def test_warm_up_is_not_counted():
    clock = Clock()
    left = iter([100.0, 100.0, 100.0, 100.0])
    contestant = clock.taking(lambda: next(left, 1.0))
    seconds = interleave([contestant], Schedule(rounds=5, warmup=3, visit=0.0), clock)
    np.testing.assert_array_equal(seconds, np.ones((1, 5)))


def test_rounds_are_told_as_they_end():
    clock, heard = Clock(), []
    interleave([clock.taking(1.0)], Schedule(rounds=3), clock, heard.append)
    assert heard == [1, 2, 3]
