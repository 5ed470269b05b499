"""The nets of the coverage table: vision backbones of ``transformers``, and what it lacks.

Weights are random; the norms' statistics are those of random images and their parameters random, so
that no norm is the identity and activations stay of order one.
"""

from __future__ import annotations

__all__ = ["ARCHITECTURES", "QUICK", "Architecture", "build", "without_norms"]

import copy
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from benchmarks import nets

if TYPE_CHECKING:
    from collections.abc import Callable

_EPSILON = 1e-12


@dataclass(frozen=True)
class Architecture:
    """A net to fold.

    Attributes:
        name: In the table.
        make: Makes it, with stock norms.
        size: Height and width of its images.
        source: Where it comes from.
        plain: Makes the net that a person would write instead of the folded one, where that is
            another than the same net without norms.
    """

    name: str
    make: Callable[[], nn.Module]
    size: int = 224
    source: str = "transformers"
    plain: Callable[[], nn.Module] | None = None


class _Features(nn.Module):
    """A backbone of ``transformers`` as a function of one image to one tensor."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> Tensor:
        """``(N, 3, H, W)`` to the last hidden state."""
        features = self.model(image)[0]
        last: Tensor = features[-1] if isinstance(features, tuple | list) else features
        return last


def _transformers(model: str, config: str, **options: Any) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        import transformers

        return _Features(getattr(transformers, model)(getattr(transformers, config)(**options)))

    return make


ARCHITECTURES: tuple[Architecture, ...] = (
    Architecture("ResNet-50", _transformers("ResNetModel", "ResNetConfig")),
    Architecture("RegNet-Y", _transformers("RegNetModel", "RegNetConfig")),
    Architecture("MobileNetV1", _transformers("MobileNetV1Model", "MobileNetV1Config")),
    Architecture("MobileNetV2", _transformers("MobileNetV2Model", "MobileNetV2Config")),
    Architecture(
        "EfficientNet-B0",
        _transformers(
            "EfficientNetModel",
            "EfficientNetConfig",
            width_coefficient=1.0,
            depth_coefficient=1.0,
            image_size=224,
            hidden_dim=1280,
        ),
    ),
    Architecture("HGNetV2", _transformers("HGNetV2Backbone", "HGNetV2Config")),
    Architecture("TextNet", _transformers("TextNetModel", "TextNetConfig")),
    Architecture("LeViT", _transformers("LevitModel", "LevitConfig")),
    Architecture("MobileViT", _transformers("MobileViTModel", "MobileViTConfig")),
    Architecture("MobileViTV2", _transformers("MobileViTV2Model", "MobileViTV2Config")),
    Architecture("SwiftFormer", _transformers("SwiftFormerModel", "SwiftFormerConfig")),
    Architecture("CvT", _transformers("CvtModel", "CvtConfig")),
    Architecture("DenseNet", nets.DenseNet, source="benchmarks"),
    Architecture("ConvMixer", nets.ConvMixer, source="benchmarks"),
    Architecture(
        "RepVGG", nets.RepVgg, source="benchmarks", plain=partial(nets.RepVgg, branches=1)
    ),
    Architecture("PreActResNet", nets.PreActResNet, source="benchmarks"),
    Architecture("Conv-ReLU-BN", nets.ConvReluNorm, source="benchmarks"),
)

QUICK = ("MobileNetV2", "LeViT", "DenseNet", "RepVGG", "Conv-ReLU-BN")


def build(architecture: Architecture) -> nn.Module:
    """The net in evaluation mode, with norms that do something."""
    torch.manual_seed(0)
    net = architecture.make()
    generator = torch.Generator().manual_seed(0)
    # Before the statistics are taken, so that they are those of the activations there will be.
    with torch.no_grad():
        for norm in _norms(net):
            if norm.affine:
                norm.weight.copy_(0.7 + 0.6 * torch.rand(norm.num_features, generator=generator))
                norm.bias.copy_(0.2 * torch.randn(norm.num_features, generator=generator))
    _calibrate(net, torch.randn(4, 3, architecture.size, architecture.size))
    return net.eval()


def without_norms(architecture: Architecture, net: nn.Module, image: Tensor) -> nn.Module:
    """The net with every norm gone, its weights rescaled so that nothing under- or overflows.

    Numbers that overflow or are denormal would cost another time than those of a trained net.
    """
    bare = copy.deepcopy(net) if architecture.plain is None else architecture.plain().eval()
    for parent in list(bare.modules()):
        for name, child in parent.named_children():
            if isinstance(child, _BatchNorm):
                setattr(parent, name, nn.Identity())
    linear = [m for m in bare.modules() if isinstance(m, nn.Conv1d | nn.Conv2d | nn.Linear)]
    hooks = [module.register_forward_hook(_rescale) for module in linear]
    with torch.no_grad():
        bare(image)
    for hook in hooks:
        hook.remove()
    return bare


def _calibrate(net: nn.Module, images: Tensor) -> None:
    """Set the running statistics to those of ``images``, and nothing else to training."""
    net.eval()
    for norm in _norms(net):
        norm.train()
        norm.momentum = 1.0
    with torch.no_grad():
        net(images)
    for norm in _norms(net):
        norm.momentum = 0.1


def _norms(net: nn.Module) -> list[Any]:
    return [module for module in net.modules() if isinstance(module, _BatchNorm)]


def _rescale(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
    del inputs
    factor = 1.0 / (float(output.std()) + _EPSILON)
    for parameter in module.parameters(recurse=False):
        parameter.mul_(factor)
    return output * factor
