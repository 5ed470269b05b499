"""The pieces that the nets of this folder share, as the papers have them."""

from __future__ import annotations

__all__ = ["Add", "Gate", "activated", "head", "normed"]

from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Callable


def normed(
    inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1, dilation: int = 1
) -> nn.Sequential:
    """A convolution without bias that keeps the size at stride 1, and its batch norm."""
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, groups, bias=False),
        nn.BatchNorm2d(outputs),
    )


def activated(
    inputs: int,
    outputs: int,
    kernel: int = 1,
    stride: int = 1,
    groups: int = 1,
    dilation: int = 1,
    by: Callable[[], nn.Module] = nn.ReLU,
) -> nn.Sequential:
    """:func:`normed` and an activation."""
    return nn.Sequential(*normed(inputs, outputs, kernel, stride, groups, dilation), by())


def head(channels: int, classes: int = 5) -> nn.Sequential:
    """A global average and a linear classifier."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


class Gate(nn.Module):
    """Squeeze and excitation: channels scaled by a sigmoid of their means."""

    def __init__(
        self, channels: int, squeezed: int, by: Callable[[], nn.Module] = nn.Sigmoid
    ) -> None:
        super().__init__()
        self.weigh = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, squeezed, 1),
            nn.ReLU(),
            nn.Conv2d(squeezed, channels, 1),
            by(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, H, W)`` to the same."""
        y: Tensor = x * self.weigh(x)
        return y


class Add(nn.Module):
    """The sum of what several paths make of one value, then an activation."""

    def __init__(self, *paths: nn.Module, then: nn.Module | None = None) -> None:
        super().__init__()
        self.paths = nn.ModuleList(paths)
        self.then = then or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Whatever the paths take, to what they make of it."""
        first, *others = (path(x) for path in self.paths)
        y: Tensor = self.then(sum(others, first))
        return y
