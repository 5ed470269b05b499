"""The small nets with which batch norm is usually explained, each with a classifier behind it.

Every net is a body, exactly the layers of its name, and a head that makes ten class scores of it
so that it can be trained. ``classes=None`` leaves the head out: the net is then the body alone.
"""

from __future__ import annotations

__all__ = ["ConvNorm", "ConvNormLinearNorm", "ConvPoolNorm", "ConvPoolNormTwice"]

from torch import Tensor, nn

from bnfuse.models.norms import NormKind, make_norm


class ConvPoolNorm(nn.Module):
    """Conv → AvgPool → BN2d: the pooling stands between the convolution and its norm.

    Args:
        norm: Kind of norm.
        channels: Output channels of the convolution.
        classes: Scores of the head (ReLU → Flatten → Linear); ``None`` for no head.
        in_channels: Channels of the input.
        image_size: Height and width of the input, even; only the head depends on it.
    """

    def __init__(
        self,
        norm: NormKind = "torch",
        channels: int = 64,
        classes: int | None = 10,
        in_channels: int = 1,
        image_size: int = 8,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, kernel_size=3, padding=1)
        self.pool = nn.AvgPool2d(2)
        self.norm = make_norm(norm, channels)
        self.head = _head(channels * (image_size // 2) ** 2, classes)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, in_channels, S, S)`` to ``(N, classes)``; with no head ``(N, C, S/2, S/2)``."""
        y: Tensor = self.head(self.norm(self.pool(self.conv(x))))
        return y


class ConvPoolNormTwice(nn.Module):
    """Conv → AvgPool → BN → Conv → AvgPool → BN → ReLU.

    Args:
        norm: Kind of norm.
        channels: Output channels of the two convolutions.
        classes: Scores of the head (Flatten → Linear); ``None`` for no head.
        in_channels: Channels of the input.
        image_size: Height and width of the input, a multiple of 4; only the head depends on it.
    """

    def __init__(
        self,
        norm: NormKind = "torch",
        channels: tuple[int, int] = (32, 64),
        classes: int | None = 10,
        in_channels: int = 1,
        image_size: int = 8,
    ) -> None:
        super().__init__()
        first, second = channels
        self.conv1 = nn.Conv2d(in_channels, first, kernel_size=3, padding=1)
        self.pool1 = nn.AvgPool2d(2)
        self.norm1 = make_norm(norm, first)
        self.conv2 = nn.Conv2d(first, second, kernel_size=3, padding=1)
        self.pool2 = nn.AvgPool2d(2)
        self.norm2 = make_norm(norm, second)
        self.relu = nn.ReLU()
        self.head = _head(second * (image_size // 4) ** 2, classes, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, in_channels, S, S)`` to ``(N, classes)``; with no head ``(N, C, S/4, S/4)``."""
        x = self.norm1(self.pool1(self.conv1(x)))
        x = self.norm2(self.pool2(self.conv2(x)))
        y: Tensor = self.head(self.relu(x))
        return y


class ConvNormLinearNorm(nn.Module):
    """Conv → BN2d → Flatten → ReLU → Linear → BN1d → ReLU: both ranks of norm in one net.

    Args:
        norm: Kind of norm.
        channels: Output channels of the convolution.
        features: Output features of the Linear.
        classes: Scores of the head (Linear); ``None`` for no head.
        in_channels: Channels of the input.
        image_size: Height and width of the input.
    """

    def __init__(
        self,
        norm: NormKind = "torch",
        channels: int = 32,
        features: int = 64,
        classes: int | None = 10,
        in_channels: int = 1,
        image_size: int = 8,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, kernel_size=3, padding=1)
        self.norm1 = make_norm(norm, channels)
        self.flatten = nn.Flatten()
        self.relu = nn.ReLU()
        self.linear = nn.Linear(channels * image_size**2, features)
        self.norm2 = make_norm(norm, features, dims=1)
        self.head = _head(features, classes, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, in_channels, S, S)`` to ``(N, classes)``; with no head ``(N, features)``."""
        x = self.relu(self.flatten(self.norm1(self.conv(x))))
        x = self.relu(self.norm2(self.linear(x)))
        y: Tensor = self.head(x)
        return y


class ConvNorm(nn.Module):
    """Conv → BN2d, to see what ``momentum`` and ``affine`` do.

    With ``momentum=1`` the running statistics are those of the last batch alone.

    Args:
        norm: Kind of norm.
        momentum: Weight of the new batch in the running statistics.
        affine: Whether the norm has a learnt scale and shift.
        channels: Output channels of the convolution.
        classes: Scores of the head (ReLU → Flatten → Linear); ``None`` for no head.
        in_channels: Channels of the input.
        image_size: Height and width of the input; only the head depends on it.
    """

    def __init__(
        self,
        norm: NormKind = "torch",
        momentum: float = 0.1,
        affine: bool = True,
        channels: int = 32,
        classes: int | None = 10,
        in_channels: int = 1,
        image_size: int = 8,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, kernel_size=3, padding=1)
        self.norm = make_norm(norm, channels, momentum=momentum, affine=affine)
        self.head = _head(channels * image_size**2, classes)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, in_channels, S, S)`` to ``(N, classes)``; with no head ``(N, C, S, S)``."""
        y: Tensor = self.head(self.norm(self.conv(x)))
        return y


def _head(features: int, classes: int | None, relu: bool = True) -> nn.Module:
    if classes is None:
        return nn.Identity()
    activation = [nn.ReLU()] if relu else []
    return nn.Sequential(*activation, nn.Flatten(), nn.Linear(features, classes))
