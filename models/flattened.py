"""Batch norm of an image through its flattened pixels: BN1d on (N, C, H·W) instead of BN2d.

Both take their statistics over everything but the channel axis, so they are the same function, in
training and in evaluation, and their running statistics are equal.
"""

from __future__ import annotations

__all__ = ["FlattenedNorm", "FlattenedNormNet"]

from torch import Tensor, nn

from bnfuse.models.norms import NormKind, make_norm


class FlattenedNorm(nn.Module):
    """``nn.BatchNorm1d`` on ``(N, C, H*W)``, put back into ``(N, C, H, W)``.

    Args:
        channels: C.
        norm: Kind of the one-dimensional norm inside.
    """

    def __init__(self, channels: int, norm: NormKind = "torch") -> None:
        super().__init__()
        self.norm = make_norm(norm, channels, dims=1)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, H, W)`` to the same shape."""
        y: Tensor = self.norm(x.flatten(2))
        return y.view_as(x)


class FlattenedNormNet(nn.Module):
    """Two times Conv → :class:`FlattenedNorm` → ReLU, then a global average pool and a Linear.

    Args:
        norm: Kind of norm.
        channels: Output channels of the two convolutions.
        classes: Scores that come out.
        in_channels: Channels of the input.
    """

    def __init__(
        self,
        norm: NormKind = "torch",
        channels: tuple[int, int] = (32, 64),
        classes: int = 10,
        in_channels: int = 1,
    ) -> None:
        super().__init__()
        first, second = channels
        self.conv1 = nn.Conv2d(in_channels, first, kernel_size=3, padding=1)
        self.norm1 = FlattenedNorm(first, norm)
        self.conv2 = nn.Conv2d(first, second, kernel_size=3, stride=2, padding=1)
        self.norm2 = FlattenedNorm(second, norm)
        self.relu = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.out = nn.Linear(second, classes)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, classes)``."""
        x = self.relu(self.norm1(self.conv1(x)))
        x = self.relu(self.norm2(self.conv2(x)))
        y: Tensor = self.out(self.flatten(self.pool(x)))
        return y
