"""Batch norm written by hand, the way textbooks do: gamma, beta and two moving averages.

Three traits of the source are kept, since trained models in the wild have them:

* ``momentum`` is the weight of the **new** batch, ``m <- (1 - momentum)*m + momentum*batch``, as in
  PyTorch, but its default is 0.9 where PyTorch's is 0.1: an untouched default all but forgets
  every batch before the last.
* The moving variance averages the **biased** variance (divided by n), the same that normalises the
  training batch. ``nn.BatchNorm*`` averages the unbiased one (divided by n - 1).
* Parameters and statistics have the broadcast shape ``(1, C, 1, 1)``, not ``(C,)``.

So the output in training equals PyTorch's, the output in evaluation is the same function of the
statistics, and only the statistics after training differ.
"""

from __future__ import annotations

__all__ = ["ScratchBatchNorm", "ScratchBatchNorm1d", "ScratchBatchNorm2d", "ScratchBatchNorm3d"]

from typing import ClassVar

import torch
from torch import Tensor, nn


class ScratchBatchNorm(nn.Module):
    """What the three ranks share; make one of its subclasses.

    Args:
        num_features: C, the length of axis 1 of the input.
        eps: Added to the variance under the root.
        momentum: Weight of the new batch in the moving statistics.
        affine: Without it ``gamma`` and ``beta`` are ``None``.

    Attributes:
        gamma: Scale, a parameter of ``parameter_shape``, initially one.
        beta: Shift, likewise, initially zero.
        moving_mean: Buffer of the same shape, initially zero.
        moving_var: Buffer of the same shape, initially one.
    """

    ranks: ClassVar[tuple[int, ...]]
    trailing: ClassVar[int]

    gamma: nn.Parameter | None
    beta: nn.Parameter | None
    moving_mean: Tensor
    moving_var: Tensor

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float = 0.9, affine: bool = True
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        shape = self.parameter_shape
        self.register_parameter("gamma", nn.Parameter(torch.ones(shape)) if affine else None)
        self.register_parameter("beta", nn.Parameter(torch.zeros(shape)) if affine else None)
        self.register_buffer("moving_mean", torch.zeros(shape))
        self.register_buffer("moving_var", torch.ones(shape))

    @property
    def parameter_shape(self) -> tuple[int, ...]:
        """``(1, C)`` and one more 1 for each spatial axis the class always has."""
        return (1, self.num_features) + (1,) * self.trailing

    def forward(self, x: Tensor) -> Tensor:
        """Normalise over every axis but axis 1; same shape and dtype as ``x``.

        Raises:
            ValueError: If the rank of ``x`` is not one of the class's: broadcasting would
                otherwise give a result of another shape without a word.
        """
        if x.dim() not in self.ranks:
            allowed = " or ".join(f"{rank}D" for rank in self.ranks)
            raise ValueError(f"expected {allowed} input (got {x.dim()}D input)")
        mean, var = self._batch_statistics(x) if self.training else self._moving_statistics(x)
        y = (x - mean) / torch.sqrt(var + self.eps)
        if self.gamma is not None:
            y = self._beside(self.gamma, x) * y
        return y if self.beta is None else y + self._beside(self.beta, x)

    def extra_repr(self) -> str:
        """What ``print(module)`` shows in the brackets."""
        affine = self.gamma is not None
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={affine}"

    def _batch_statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        axes = [axis for axis in range(x.dim()) if axis != 1]
        mean = x.mean(dim=axes, keepdim=True)
        var = ((x - mean) ** 2).mean(dim=axes, keepdim=True)
        with torch.no_grad():
            for moving, batch in ((self.moving_mean, mean), (self.moving_var, var)):
                moving.mul_(1.0 - self.momentum).add_(
                    batch.reshape(moving.shape), alpha=self.momentum
                )
        return mean, var

    def _moving_statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self._beside(self.moving_mean, x), self._beside(self.moving_var, x)

    def _beside(self, constant: Tensor, x: Tensor) -> Tensor:
        """``constant`` with as many axes as ``x``: only 1d on ``(N, C, L)`` has one to add."""
        return constant.unsqueeze(-1) if x.dim() > constant.dim() else constant


class ScratchBatchNorm1d(ScratchBatchNorm):
    """Batch norm of ``(N, C)`` or ``(N, C, L)``; parameters of shape ``(1, C)``."""

    ranks = (2, 3)
    trailing = 0


class ScratchBatchNorm2d(ScratchBatchNorm):
    """Batch norm of ``(N, C, H, W)``; parameters of shape ``(1, C, 1, 1)``."""

    ranks = (4,)
    trailing = 2


class ScratchBatchNorm3d(ScratchBatchNorm):
    """Batch norm of ``(N, C, D, H, W)``; parameters of shape ``(1, C, 1, 1, 1)``."""

    ranks = (5,)
    trailing = 3
