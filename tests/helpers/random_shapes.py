"""Shapes of random graphs, which remember where a linear map's channels have gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random_graphs import RandomNet

Shape = list[int | str]
Made = tuple[str, Shape] | None
Maker = Callable[["RandomNet", str, Shape], Made]
Makers = tuple[tuple[Maker, range | tuple[int, ...]], ...]
SIZES = (4, 4, 4, 2, 1)
ANY, IMAGE = range(2, 6), range(3, 6)


class Channels(int):
    """The length of the axis that a linear map's channels run along, wherever it is moved to."""


def like(old: int | str, new: int) -> int:
    return Channels(new) if isinstance(old, Channels) else new


def plain(shape: Shape) -> Shape:
    return [n if isinstance(n, str) else int(n) for n in shape]


def channel_axis(r: RandomNet, shape: Shape) -> int:
    """Most often the axis of the last linear map's channels, else any but the first."""
    channels = [i for i, n in enumerate(shape) if isinstance(n, Channels)]
    if channels and r.number(4):
        return channels[-1]
    return 1 if r.number(2) else 1 + r.number(len(shape) - 1)
