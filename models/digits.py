"""The data: scikit-learn's bundled handwritten digits, split once and for all.

1797 real images of 8×8 pixels in 17 shades of grey, ten classes (the test part of UCI's "Optical
Recognition of Handwritten Digits"). A fifth is held out, drawn at random with a fixed seed and with
every class in proportion; writers are not kept apart, for the data do not name them.
"""

from __future__ import annotations

__all__ = ["CLASSES", "HELD_OUT", "IMAGE_SHAPE", "Digits", "load_digits"]

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from bnfuse.packages import require

IMAGE_SHAPE = (1, 8, 8)
CLASSES = 10
HELD_OUT = 360

_SPLIT_SEED = 0
_WHITE = 16.0


@dataclass(frozen=True)
class Digits:
    """Images with their labels, in two parts."""

    train_images: Tensor
    """Float32, ``(1437, 1, 8, 8)``, from -1 (paper) to 1 (ink)."""
    train_labels: Tensor
    """Int64, ``(1437,)``, from 0 to 9."""
    held_out_images: Tensor
    """Float32, ``(360, 1, 8, 8)``, never trained on."""
    held_out_labels: Tensor
    """Int64, ``(360,)``."""


@cache
def load_digits() -> Digits:
    """Read the digits and split them; the same tensors at every call, not to be written to.

    Raises:
        UsageError: If scikit-learn is not installed.
    """
    require("Training", "sklearn")
    from sklearn import datasets
    from sklearn.model_selection import train_test_split

    bunch = datasets.load_digits()
    train, held_out = train_test_split(
        range(len(bunch.target)),
        test_size=HELD_OUT,
        random_state=_SPLIT_SEED,
        stratify=bunch.target,
    )
    images = torch.from_numpy(bunch.images).reshape(-1, *IMAGE_SHAPE) / (_WHITE / 2) - 1
    labels = torch.from_numpy(bunch.target)
    return Digits(
        train_images=images[train].float(),
        train_labels=labels[train].long(),
        held_out_images=images[held_out].float(),
        held_out_labels=labels[held_out].long(),
    )
