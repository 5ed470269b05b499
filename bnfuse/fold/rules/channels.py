"""Constants of some of the channels as constants of all of them."""

from __future__ import annotations

__all__ = ["embed"]

import numpy as np
from numpy.typing import NDArray

from bnfuse.affine import ChannelAffine


def embed(affine: ChannelAffine, index: NDArray[np.intp], channels: int) -> ChannelAffine:
    """The affine on the channels at ``index``, and the identity on the rest of ``channels``.

    Args:
        affine: Runs along an axis, with as many channels as ``index`` has entries.
        index: Distinct channel numbers, shape (C,).
        channels: How many channels there are.
    """
    scale, shift, magnitude = np.ones(channels), np.zeros(channels), np.zeros(channels)
    scale[index], shift[index], magnitude[index] = affine.scale, affine.shift, affine.magnitude
    return ChannelAffine.of(affine.axis, scale, shift, magnitude)
