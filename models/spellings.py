"""Inference-mode batch norm in the ways that people write it.

Every class is made from an ``nn.BatchNorm*`` (or a subclass), copies its tensors, eps and momentum,
and computes the same function of any ``(N, C, ...)`` input: ``(x - mean) / sqrt(var + eps) * weight
+ bias``. What differs is the graph that an exporter sees. In training all but
:class:`FrozenBatchNorm` do what ``nn.BatchNorm*`` does, running statistics included.
"""

from __future__ import annotations

__all__ = [
    "AddcmulBatchNorm",
    "ChannelsLastBatchNorm",
    "ExpandedBatchNorm",
    "FlattenedBatchNorm",
    "FrozenBatchNorm",
    "FunctionalBatchNorm",
    "IndexedBatchNorm",
    "PowerBatchNorm",
    "ReversedBatchNorm",
    "RsqrtBatchNorm",
    "SpelledBatchNorm",
    "copy_tensors",
]

from abc import abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from torch.nn.modules.batchnorm import _BatchNorm


class SpelledBatchNorm(nn.Module):
    """The tensors and the training of an ``nn.BatchNorm*``; a subclass spells its inference.

    Args:
        norm: Where the copies are taken from; it has running statistics.
    """

    weight: nn.Parameter | None
    bias: nn.Parameter | None
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor | None

    def __init__(self, norm: _BatchNorm) -> None:
        super().__init__()
        copy_tensors(norm, self)
        self.eps = norm.eps
        self.momentum = norm.momentum
        self.track_running_stats = norm.track_running_stats

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, ...)`` to the same shape."""
        return self._train(x) if self.training else self.infer(x)

    @abstractmethod
    def infer(self, x: Tensor) -> Tensor:
        """The norm of ``x`` by the running statistics."""

    def affine(self, y: Tensor) -> Tensor:
        """``y * weight + bias``, each only where there is one."""
        if self.weight is not None:
            y = y * _per_channel(self.weight, y)
        return y if self.bias is None else y + _per_channel(self.bias, y)

    def _train(self, x: Tensor) -> Tensor:
        tracked = self.track_running_stats
        momentum = 0.0 if self.momentum is None else self.momentum
        if tracked and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:
                momentum = 1.0 / self.num_batches_tracked.item()
        return functional.batch_norm(
            x,
            self.running_mean if tracked else None,
            self.running_var if tracked else None,
            self.weight,
            self.bias,
            training=True,
            momentum=momentum,
            eps=self.eps,
        )


class FunctionalBatchNorm(SpelledBatchNorm):
    """``F.batch_norm(x, running_mean, running_var, weight, bias)``."""

    def infer(self, x: Tensor) -> Tensor:
        """One call of the functional form."""
        return functional.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
        )


class RsqrtBatchNorm(SpelledBatchNorm):
    """``(x - mean) * rsqrt(var + eps) * weight + bias``, tensors viewed as ``(1, C, 1, 1)``."""

    def infer(self, x: Tensor) -> Tensor:
        """Sub, Mul, Mul, Add."""
        inverse = torch.rsqrt(self.running_var + self.eps)
        return self.affine((x - _per_channel(self.running_mean, x)) * _per_channel(inverse, x))


class PowerBatchNorm(SpelledBatchNorm):
    """``weight * (x - mean) * (var + eps) ** -0.5 + bias``."""

    def infer(self, x: Tensor) -> Tensor:
        """The root as a power."""
        inverse = (_per_channel(self.running_var, x) + self.eps) ** -0.5
        return self.affine((x - _per_channel(self.running_mean, x)) * inverse)


class AddcmulBatchNorm(SpelledBatchNorm):
    """``addcmul(shift, x, scale)`` with scale and shift worked out from the statistics."""

    def infer(self, x: Tensor) -> Tensor:
        """One fused multiply and add."""
        scale = 1 / torch.sqrt(self.running_var + self.eps)
        if self.weight is not None:
            scale = self.weight * scale
        shift = -self.running_mean * scale
        if self.bias is not None:
            shift = self.bias + shift
        return torch.addcmul(_per_channel(shift, x), x, _per_channel(scale, x))


class ReversedBatchNorm(SpelledBatchNorm):
    """``bias - (mean - x) / std * weight``: the constant is the first operand throughout."""

    def infer(self, x: Tensor) -> Tensor:
        """``c - x`` twice."""
        std = torch.sqrt(_per_channel(self.running_var, x) + self.eps)
        y = (_per_channel(self.running_mean, x) - x) / std
        if self.weight is not None:
            y = _per_channel(self.weight, x) * y
        return -y if self.bias is None else _per_channel(self.bias, x) - y


class ExpandedBatchNorm(SpelledBatchNorm):
    """Every tensor expanded to the input's own shape before it is used."""

    def infer(self, x: Tensor) -> Tensor:
        """``(x - mean) / std * weight + bias`` on full-size tensors."""
        y = (x - self._full(self.running_mean, x)) / torch.sqrt(
            self._full(self.running_var, x) + self.eps
        )
        if self.weight is not None:
            y = y * self._full(self.weight, x)
        return y if self.bias is None else y + self._full(self.bias, x)

    def _full(self, constant: Tensor, x: Tensor) -> Tensor:
        return _per_channel(constant, x).expand_as(x)


class IndexedBatchNorm(SpelledBatchNorm):
    """Tensors indexed with None: ``mean[None, :, None, None]``."""

    def infer(self, x: Tensor) -> Tensor:
        """``(x - mean) / sqrt(var + eps) * weight + bias``."""
        index = (None, slice(None)) + (None,) * (x.dim() - 2)
        y = (x - self.running_mean[index]) / torch.sqrt(self.running_var[index] + self.eps)
        if self.weight is not None:
            y = y * self.weight[index]
        return y if self.bias is None else y + self.bias[index]


class ChannelsLastBatchNorm(SpelledBatchNorm):
    """The channel axis moved last, where tensors of shape ``(C,)`` broadcast, and back."""

    def infer(self, x: Tensor) -> Tensor:
        """Transpose, ``(x - mean) / sqrt(var + eps) * weight + bias``, transpose."""
        y = (x.movedim(1, -1) - self.running_mean) / torch.sqrt(self.running_var + self.eps)
        if self.weight is not None:
            y = y * self.weight
        if self.bias is not None:
            y = y + self.bias
        return y.movedim(-1, 1)


class FlattenedBatchNorm(SpelledBatchNorm):
    """Every spatial axis flattened into one, ``(N, C, L)``, and back."""

    def infer(self, x: Tensor) -> Tensor:
        """Reshape, one call of the functional form, reshape."""
        y = functional.batch_norm(
            x.reshape(x.shape[0], x.shape[1], -1),
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            eps=self.eps,
        )
        return y.view_as(x)


class FrozenBatchNorm(nn.Module):
    """Scale and shift worked out in ``forward``; four buffers, nothing to train.

    As torchvision's ``FrozenBatchNorm2d``: it uses the running statistics in training too, and
    has a weight of one and a bias of zero where its source had none.

    Args:
        norm: Where the copies are taken from; it has running statistics.
    """

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, norm: _BatchNorm) -> None:
        super().__init__()
        defaults = {"weight": 1.0, "bias": 0.0}
        for name in ("running_mean", "running_var", "weight", "bias"):
            source: Tensor | None = getattr(norm, name)
            if source is None:
                source = torch.full_like(self.running_mean, defaults[name])
            self.register_buffer(name, source.detach().clone())
        self.eps = norm.eps

    def forward(self, x: Tensor) -> Tensor:
        """``(N, C, ...)`` to the same shape."""
        weight, bias = _per_channel(self.weight, x), _per_channel(self.bias, x)
        scale = weight * (_per_channel(self.running_var, x) + self.eps).rsqrt()
        shift = bias - _per_channel(self.running_mean, x) * scale
        return x * scale + shift


def copy_tensors(norm: _BatchNorm, target: nn.Module) -> None:
    """Give ``target`` copies of the norm's parameters and buffers, ``None`` where it has none."""
    for name in ("weight", "bias"):
        source = getattr(norm, name)
        copy = None
        if source is not None:
            copy = nn.Parameter(source.detach().clone(), requires_grad=source.requires_grad)
        target.register_parameter(name, copy)
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        source = getattr(norm, name)
        target.register_buffer(name, None if source is None else source.detach().clone())


def _per_channel(constant: Tensor, x: Tensor) -> Tensor:
    return constant.view(1, -1, *[1] * (x.dim() - 2))
