"""Interleaved timing: what slows the machine for a while slows every contestant alike."""

from __future__ import annotations

__all__ = ["Schedule", "interleave", "orders"]

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Schedule:
    """How often each contestant runs.

    Attributes:
        rounds: Visits to each contestant that count.
        warmup: Visits before them that do not.
        visit: Seconds that a visit should last at least; a contestant that is faster runs several
            times in a visit, so that reading the clock costs nothing.
    """

    rounds: int = 50
    warmup: int = 3
    visit: float = 0.005


def interleave(
    contestants: Sequence[Callable[[], object]],
    schedule: Schedule,
    clock: Callable[[], float] = time.perf_counter,
    after_round: Callable[[int], object] = lambda _: None,
) -> NDArray[np.float64]:
    """Time each contestant once a round, in the order that :func:`orders` gives.

    Args:
        contestants: What to call.
        schedule: How often.
        clock: Seconds from any start; it may count the process's time instead of the wall's.
        after_round: Hears the number of each round that is over, from 1, warm-up not counted.

    Returns:
        Seconds a call, shape ``(contestants, rounds)``.
    """
    repeats = [_repeats(contestant, schedule, clock) for contestant in contestants]
    seconds = np.empty((len(contestants), schedule.rounds))
    for number, order in enumerate(orders(len(contestants), schedule.rounds)):
        for index in order:
            seconds[index, number] = _visit(contestants[index], repeats[index], clock)
        after_round(number + 1)
    return seconds


def orders(contestants: int, rounds: int) -> Iterator[tuple[int, ...]]:
    """The order of each round: the first place rotates, and the direction turns each full turn.

    So each contestant takes each place as often, and runs after either neighbour.
    """
    for number in range(rounds):
        turn, first = divmod(number, contestants)
        order = tuple((first + step) % contestants for step in range(contestants))
        yield order if turn % 2 == 0 else order[::-1]


def _repeats(
    contestant: Callable[[], object], schedule: Schedule, clock: Callable[[], float]
) -> int:
    contestant()
    seconds = min(_visit(contestant, 1, clock) for _ in range(max(1, schedule.warmup)))
    return max(1, math.ceil(schedule.visit / seconds)) if seconds > 0 else 1


def _visit(contestant: Callable[[], object], repeats: int, clock: Callable[[], float]) -> float:
    start = clock()
    for _ in range(repeats):
        contestant()
    return (clock() - start) / repeats
