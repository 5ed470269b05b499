from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from bnfuse.models import ConvNorm, ConvNormLinearNorm, ConvPoolNorm, ConvPoolNormTwice

KINDS = ("torch", "scratch", "none")


def trained(net: nn.Module, channels: int = 1) -> nn.Module:
    """Statistics and affine parameters that are not the initial ones, in float64."""
    net.double().train()
    generator = torch.Generator().manual_seed(3)
    for module in net.modules():
        for name in ("weight", "bias", "gamma", "beta"):
            if isinstance(getattr(module, "eps", None), float) and name in module._parameters:
                parameter = module._parameters[name]
                if parameter is not None:
                    values = torch.rand(parameter.shape, generator=generator, dtype=torch.float64)
                    parameter.data.copy_(values + 0.5)
    for _ in range(3):
        net(torch.randn(6, channels, 8, 8, generator=generator, dtype=torch.float64) * 2 + 1)
    return net.eval()


def norm_by_hand(norm: nn.Module, x: torch.Tensor) -> torch.Tensor:
    side = (1, -1, *[1] * (x.dim() - 2))
    if isinstance(norm, nn.Identity):
        return x
    state = {name: tensor.flatten() for name, tensor in norm.state_dict().items()}
    mean = state.get("running_mean", state.get("moving_mean")).view(side)
    var = state.get("running_var", state.get("moving_var")).view(side)
    y = (x - mean) / (var + norm.eps).sqrt()
    scale = state.get("weight", state.get("gamma"))
    shift = state.get("bias", state.get("beta"))
    return y if scale is None else y * scale.view(side) + shift.view(side)


def conv_by_hand(conv: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
    n, _, height, width = x.shape
    columns = functional.unfold(x, 3, padding=1)
    y = conv.weight.flatten(1) @ columns + conv.bias[:, None]
    return y.view(n, -1, height, width)


def pool_by_hand(x: torch.Tensor) -> torch.Tensor:
    n, c, height, width = x.shape
    return x.view(n, c, height // 2, 2, width // 2, 2).mean(dim=(3, 5))


@pytest.mark.parametrize("kind", KINDS)
def test_conv_pool_norm(kind):
    net = trained(ConvPoolNorm(kind, channels=5, classes=None))
    x = torch.randn(2, 1, 8, 8, dtype=torch.float64)
    expected = norm_by_hand(net.norm, pool_by_hand(conv_by_hand(net.conv, x)))
    assert net(x).shape == (2, 5, 4, 4)
    torch.testing.assert_close(net(x), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_conv_pool_norm_twice(kind):
    net = trained(ConvPoolNormTwice(kind, channels=(4, 6), classes=None))
    x = torch.randn(2, 1, 8, 8, dtype=torch.float64)
    y = norm_by_hand(net.norm1, pool_by_hand(conv_by_hand(net.conv1, x)))
    y = norm_by_hand(net.norm2, pool_by_hand(conv_by_hand(net.conv2, y)))
    assert net(x).shape == (2, 6, 2, 2)
    torch.testing.assert_close(net(x), y.clamp(min=0), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_conv_norm_linear_norm(kind):
    net = trained(ConvNormLinearNorm(kind, channels=3, features=7, classes=None))
    x = torch.randn(2, 1, 8, 8, dtype=torch.float64)
    y = norm_by_hand(net.norm1, conv_by_hand(net.conv, x)).reshape(2, -1).clamp(min=0)
    y = norm_by_hand(net.norm2, y @ net.linear.weight.T + net.linear.bias).clamp(min=0)
    assert net(x).shape == (2, 7)
    torch.testing.assert_close(net(x), y, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("affine", [True, False])
def test_conv_norm(kind, affine):
    net = trained(ConvNorm(kind, affine=affine, channels=5, classes=None))
    x = torch.randn(2, 1, 8, 8, dtype=torch.float64)
    expected = norm_by_hand(net.norm, conv_by_hand(net.conv, x))
    assert net(x).shape == (2, 5, 8, 8)
    torch.testing.assert_close(net(x), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["torch", "scratch"])
def test_without_affine_the_norm_has_no_parameter(kind):
    assert list(ConvNorm(kind, affine=False).norm.parameters()) == []


@pytest.mark.parametrize("kind", ["torch", "scratch"])
def test_momentum_one_keeps_the_last_batch_alone(kind):
    net = ConvNorm(kind, momentum=1.0, channels=3, classes=None).double().train()
    for shift in (0.0, 7.0):
        x = torch.randn(4, 1, 8, 8, dtype=torch.float64) + shift
        net(x)
    mean = dict(net.norm.named_buffers())["running_mean" if kind == "torch" else "moving_mean"]
    torch.testing.assert_close(mean.flatten(), net.conv(x).mean((0, 2, 3)))


def test_norm_sees_what_was_pooled():
    net = ConvPoolNorm(channels=3, classes=None).double().train()
    x = torch.randn(4, 1, 8, 8, dtype=torch.float64)
    net(x)
    pooled = pool_by_hand(conv_by_hand(net.conv, x))
    expected = 0.9 + 0.1 * pooled.var((0, 2, 3), correction=1)
    torch.testing.assert_close(net.norm.running_var, expected)


def test_momentum_of_a_tenth_is_pytorchs_habit():
    net = ConvNorm(channels=3, classes=None).double().train()
    x = torch.randn(4, 1, 8, 8, dtype=torch.float64)
    net(x)
    torch.testing.assert_close(net.norm.running_mean, 0.1 * net.conv(x).mean((0, 2, 3)))


@pytest.mark.parametrize("make", [ConvPoolNorm, ConvPoolNormTwice, ConvNormLinearNorm, ConvNorm])
def test_colour_images_of_another_size_and_number_of_classes(make):
    net = make(in_channels=3, image_size=16, classes=4)
    assert net(torch.randn(2, 3, 16, 16)).shape == (2, 4)
