"""A convolution, a ReLU and a norm in one layer, as notebooks write it.

Its traits are kept on purpose, because trained models have them:

* The norm comes **after** the ReLU.
* ``means`` and ``stds`` are **plain attributes**, replaced in every training step: they are not in
  ``state_dict``, ``.to`` moves neither, and before the first training step they do not exist, so
  that evaluation raises ``AttributeError``. ``torch.save`` of the whole module does keep them.
* They are the statistics of the **last batch**, not an average.
* The standard deviation is the **unbiased** one, and there is **no eps**: a channel that is zero
  over the whole batch divides zero by zero.
* They are part of the batch's graph, so ``copy.deepcopy`` refuses a module that was trained in this
  process; one that was saved and loaded can be copied.
"""

from __future__ import annotations

__all__ = ["BnLayer", "ConvBnNet", "ConvReluNorm", "LayerKind"]

from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from bnfuse.models.norms import NormKind, make_norm

if TYPE_CHECKING:
    from collections.abc import Sequence

LayerKind = NormKind | Literal["bnlayer"]


class BnLayer(nn.Module):
    """Conv (no bias) → ReLU → ``(x - means) / stds * m + a``.

    Args:
        in_channels: Channels of the input.
        out_channels: C, channels of the output.
        stride: Of the convolution.
        kernel_size: Of the convolution; the padding is 1 whatever it is.

    Attributes:
        m: Scale, a parameter of shape ``(C, 1, 1)``, initially one.
        a: Shift, a parameter of shape ``(C, 1, 1)``, initially zero.
        means: Of the last training batch, shape ``(C, 1, 1)``; absent before.
        stds: Likewise.
    """

    means: Tensor
    stds: Tensor

    def __init__(
        self, in_channels: int, out_channels: int, stride: int = 2, kernel_size: int = 3
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride=stride, padding=1, bias=False
        )
        self.a = nn.Parameter(torch.zeros(out_channels, 1, 1))
        self.m = nn.Parameter(torch.ones(out_channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, C, H', W')``.

        Raises:
            AttributeError: In evaluation, if no training step came before.
        """
        x = torch.relu(self.conv(x))
        if self.training:
            per_channel = x.transpose(0, 1).flatten(1)
            self.means = per_channel.mean(1)[:, None, None]
            self.stds = per_channel.std(1)[:, None, None]
        return (x - self.means) / self.stds * self.m + self.a


class ConvReluNorm(nn.Module):
    """:class:`BnLayer` with another norm in its place: the same convolution, the same order.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        norm: Kind of norm.
    """

    def __init__(self, in_channels: int, out_channels: int, norm: NormKind) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1, bias=False)
        self.norm = make_norm(norm, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, out_channels, H', W')``."""
        y: Tensor = self.norm(torch.relu(self.conv(x)))
        return y


class ConvBnNet(nn.Module):
    """A 5×5 Conv, several :class:`BnLayer`, a global max pool and a Linear.

    Args:
        norm: ``"bnlayer"``, or a kind of norm to stand in its place.
        widths: Output channels of the first convolution and of each layer after it.
        classes: Scores that come out.
        in_channels: Channels of the input.
    """

    def __init__(
        self,
        norm: LayerKind = "bnlayer",
        widths: Sequence[int] = (10, 20, 40, 80),
        classes: int = 10,
        in_channels: int = 1,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, widths[0], kernel_size=5, stride=1, padding=2)
        self.layers = nn.ModuleList(_layer(*pair, norm) for pair in pairwise(widths))
        self.out = nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, in_channels, H, W)`` to ``(N, classes)``."""
        x = self.conv1(x)
        for layer in self.layers:
            x = layer(x)
        x = nn.functional.adaptive_max_pool2d(x, 1)
        y: Tensor = self.out(x.flatten(1))
        return y


def _layer(in_channels: int, out_channels: int, norm: LayerKind) -> nn.Module:
    if norm == "bnlayer":
        return BnLayer(in_channels, out_channels)
    return ConvReluNorm(in_channels, out_channels, norm)
