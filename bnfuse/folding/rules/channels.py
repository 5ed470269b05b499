"""Constants of some of the channels as constants of all of them."""

from __future__ import annotations

__all__ = ["embed"]

from typing import TYPE_CHECKING

import numpy as np

from bnfuse.affine import ChannelAffine

if TYPE_CHECKING:
    from numpy.typing import NDArray


def embed(
    affine: ChannelAffine, axis: int, index: NDArray[np.intp], channels: int
) -> ChannelAffine:
    """The affine on the channels at ``index``, and the identity on the rest of ``channels``.

    Args:
        affine: Uniform, or with as many channels as ``index`` has entries.
        axis: The axis that the result runs along.
        index: Distinct channel numbers, shape (C,).
        channels: How many channels there are.
    """
    scale, shift, magnitude = np.ones(channels), np.zeros(channels), np.zeros(channels)
    scale[index], shift[index], magnitude[index] = affine.expanded(len(index))
    return ChannelAffine.of(axis, scale, shift, magnitude)
