"""A hundred Linear layers: whether a signal comes through them is a matter of the norm.

The forward pass asks after every layer whether the activations are still numbers, and stops where
they are not. That is control flow that depends on the data: ``torch.export`` refuses it, and a
trace fixes the path that was taken.
"""

from __future__ import annotations

__all__ = ["DeepMlp"]

import logging

import torch
from torch import Tensor, nn

from bnfuse.models.norms import NormKind, make_norm

_log = logging.getLogger(__name__)


class DeepMlp(nn.Module):
    """``depth`` × (Linear without bias → BN1d → ReLU) and a Linear for the scores.

    Args:
        norm: Kind of norm.
        width: Features of every hidden layer.
        depth: Number of hidden layers.
        in_features: Features of the input once flattened.
        classes: Scores that come out; ``None`` for the last hidden layer's activations.
        log_std: Whether to log the standard deviation after every layer, at level INFO under the
            name ``bnfuse.models.deep_mlp``.
        initial_shift: What every norm's shift starts at.

    Attributes:
        stopped_at: Index of the layer at which the last forward pass met NaN, or ``None``.
    """

    def __init__(
        self,
        norm: NormKind = "torch",
        width: int = 256,
        depth: int = 100,
        in_features: int = 64,
        classes: int | None = 10,
        log_std: bool = False,
        initial_shift: float = 0.0,
    ) -> None:
        super().__init__()
        self.linears = nn.ModuleList(
            _kaiming(before, width) for before in [in_features, *[width] * (depth - 1)]
        )
        self.norms = nn.ModuleList(make_norm(norm, width, dims=1) for _ in range(depth))
        self.out = nn.Identity() if classes is None else nn.Linear(width, classes)
        self.log_std = log_std
        self.stopped_at: int | None = None
        for name, parameter in self.norms.named_parameters():
            if name.endswith((".bias", ".beta")):
                nn.init.constant_(parameter, initial_shift)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, ...)`` with ``in_features`` numbers a sample to ``(N, classes)``.

        A pass that meets NaN skips the hidden layers that are left.
        """
        x = x.flatten(1)
        self.stopped_at = None
        for index, (linear, norm) in enumerate(zip(self.linears, self.norms, strict=True)):
            x = torch.relu(norm(linear(x)))
            std = x.std()
            if torch.isnan(std):
                _log.warning("layer %d: the activations are NaN", index)
                self.stopped_at = index
                break
            if self.log_std:
                _log.info("layer %d: std %.4g", index, std.item())
        y: Tensor = self.out(x)
        return y


def _kaiming(before: int, after: int) -> nn.Linear:
    linear = nn.Linear(before, after, bias=False)
    nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
    return linear
