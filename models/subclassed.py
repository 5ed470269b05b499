"""Subclasses of ``nn.BatchNorm*``, as model libraries make them: a norm and an activation in one.

A matcher that asks ``type(module) is nn.BatchNorm2d`` does not see them.
"""

from __future__ import annotations

__all__ = [
    "ActivatedBatchNorm1d",
    "ActivatedBatchNorm2d",
    "ActivatedBatchNorm3d",
    "subclassed",
]

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from bnfuse.models.spellings import copy_tensors

if TYPE_CHECKING:
    from torch.nn.modules.batchnorm import _BatchNorm


class ActivatedBatchNorm1d(nn.BatchNorm1d):
    """``activation(nn.BatchNorm1d(x))``; takes the arguments of ``nn.BatchNorm1d``.

    Attributes:
        activation: ``nn.Identity`` until another is put there.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.activation: nn.Module = nn.Identity()

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that nn.BatchNorm1d gives it
        """``(N, C)`` or ``(N, C, L)`` to the same shape."""
        y: Tensor = self.activation(super().forward(input))
        return y


class ActivatedBatchNorm2d(nn.BatchNorm2d):
    """``activation(nn.BatchNorm2d(x))``; takes the arguments of ``nn.BatchNorm2d``.

    Attributes:
        activation: ``nn.Identity`` until another is put there.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.activation: nn.Module = nn.Identity()

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that nn.BatchNorm2d gives it
        """``(N, C, H, W)`` to the same shape."""
        y: Tensor = self.activation(super().forward(input))
        return y


class ActivatedBatchNorm3d(nn.BatchNorm3d):
    """``activation(nn.BatchNorm3d(x))``; takes the arguments of ``nn.BatchNorm3d``.

    Attributes:
        activation: ``nn.Identity`` until another is put there.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.activation: nn.Module = nn.Identity()

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that nn.BatchNorm3d gives it
        """``(N, C, D, H, W)`` to the same shape."""
        y: Tensor = self.activation(super().forward(input))
        return y


def subclassed(norm: _BatchNorm, dims: int) -> nn.Module:
    """Make a subclassed norm of ``dims`` spatial axes with copies of the tensors of ``norm``."""
    families = {1: ActivatedBatchNorm1d, 2: ActivatedBatchNorm2d, 3: ActivatedBatchNorm3d}
    made = families[dims](norm.num_features, eps=norm.eps, momentum=norm.momentum, affine=False)
    copy_tensors(norm, made)
    made.affine = norm.affine
    made.track_running_stats = norm.track_running_stats
    return made
