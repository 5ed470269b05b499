"""A small convolutional net whose every norm is written by hand: the one the demo folds."""

from __future__ import annotations

__all__ = ["ConvNormRelu", "ScratchCnn"]

from typing import TYPE_CHECKING

from torch import Tensor, nn

from bnfuse.models.norms import NormKind, make_norm

if TYPE_CHECKING:
    from collections.abc import Sequence


class ConvNormRelu(nn.Module):
    """3×3 Conv → norm → ReLU.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        stride: Of the convolution.
        norm: Kind of norm.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, norm: NormKind) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1)
        self.norm = make_norm(norm, out_channels)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, out_channels, H', W')``."""
        y: Tensor = self.relu(self.norm(self.conv(x)))
        return y


class ScratchCnn(nn.Module):
    """Conv → norm → ReLU several times, a global average pool and a Linear.

    Every second layer halves the image, so any size from 1×1 up is accepted.

    Args:
        norm: Kind of norm.
        widths: Output channels of each layer.
        classes: Scores that come out.
        in_channels: Channels of the input.
    """

    def __init__(
        self,
        norm: NormKind = "scratch",
        widths: Sequence[int] = (32, 32, 64, 64, 128, 128),
        classes: int = 10,
        in_channels: int = 1,
    ) -> None:
        super().__init__()
        inputs = (in_channels, *widths[:-1])
        self.layers = nn.Sequential(
            *(
                ConvNormRelu(before, after, 1 + index % 2, norm)
                for index, (before, after) in enumerate(zip(inputs, widths, strict=True))
            )
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.out = nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, classes)``."""
        y: Tensor = self.out(self.flatten(self.pool(self.layers(x))))
        return y
