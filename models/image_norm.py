"""Normalisation of the input image by the statistics of a data set, as the first layer of a net."""

from __future__ import annotations

__all__ = ["ImageNorm", "ImageNormNet"]

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bnfuse.models.norms import NormKind, make_norm

if TYPE_CHECKING:
    from collections.abc import Sequence

# Of the training part of the digits as bnfuse.models.digits scales them, from -1 to 1.
_DIGITS_MEAN = (-0.3892,)
_DIGITS_STD = (0.7522,)


class ImageNorm(nn.Module):
    """``(d - mean) / std`` per channel, with the mean and std of the data, not of the batch.

    Args:
        mean: One number for each channel, in the units of the images.
        std: Likewise, none of them zero.

    Attributes:
        mean: Buffer of shape ``(C, 1, 1)``, float32.
        std: Buffer of shape ``(C, 1, 1)``, float32.

    Raises:
        ValueError: If the lengths differ or a std is not positive.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        if len(mean) != len(std):
            raise ValueError(f"{len(mean)} means but {len(std)} standard deviations")
        if not all(value > 0 for value in std):
            raise ValueError(f"every standard deviation must be positive (got {list(std)})")
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(-1, 1, 1))

    @classmethod
    def from_images(cls, images: Tensor) -> ImageNorm:
        """Take the statistics from ``images``, a float tensor of shape ``(N, C, H, W)``.

        The standard deviation is the biased one: the images are the whole population.

        Raises:
            ValueError: If a channel is constant.
        """
        std, mean = torch.std_mean(images.double(), dim=(0, 2, 3), correction=0)
        return cls(mean.tolist(), std.tolist())

    def forward(self, images: Tensor) -> Tensor:
        """``(N, C, H, W)`` to the same shape."""
        return (images - self.mean) / self.std


class ImageNormNet(nn.Module):
    """A small convolutional net whose first layer is :class:`ImageNorm`.

    Its first convolution has no padding: a zero outside the border would stand for the mean, and
    the shift of the input norm could not be folded into the convolution's bias.

    Args:
        norm: Kind of the batch norms inside; the input norm is always there.
        mean: Mean of the data, one number a channel; the digits' by default.
        std: Standard deviation of the data, one number a channel; the digits' by default.
        channels: Output channels of the two convolutions.
        classes: Scores that come out.
    """

    def __init__(
        self,
        norm: NormKind = "torch",
        mean: Sequence[float] = _DIGITS_MEAN,
        std: Sequence[float] = _DIGITS_STD,
        channels: tuple[int, int] = (32, 64),
        classes: int = 10,
    ) -> None:
        super().__init__()
        first, second = channels
        self.normalize = ImageNorm(mean, std)
        self.conv1 = nn.Conv2d(len(mean), first, kernel_size=3)
        self.norm1 = make_norm(norm, first)
        self.conv2 = nn.Conv2d(first, second, kernel_size=3)
        self.norm2 = make_norm(norm, second)
        self.relu = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.out = nn.Linear(second, classes)

    def forward(self, images: Tensor) -> Tensor:
        """``(N, C, H, W)``, H and W at least 5, to ``(N, classes)``."""
        x = self.normalize(images)
        x = self.relu(self.norm1(self.conv1(x)))
        x = self.relu(self.norm2(self.conv2(x)))
        y: Tensor = self.out(self.flatten(self.pool(x)))
        return y
