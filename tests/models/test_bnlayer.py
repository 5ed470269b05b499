from __future__ import annotations

import copy
import io

import pytest
import torch
from torch import nn

from bnfuse.models import MODULE_CLASSES, BnLayer, ConvBnNet


def after_one_step(layer: nn.Module, x: torch.Tensor) -> nn.Module:
    layer.train()(x)
    return layer.eval()


def test_statistics_do_not_exist_before_the_first_training_step():
    layer = BnLayer(2, 3)
    assert not hasattr(layer, "means")
    assert not hasattr(layer, "stds")
    with pytest.raises(AttributeError, match="means"):
        layer.eval()(torch.randn(4, 2, 8, 8))
    after_one_step(layer, torch.randn(4, 2, 8, 8))
    assert layer.means.shape == layer.stds.shape == (3, 1, 1)


def test_convolution_and_parameters_are_as_in_the_source():
    layer = BnLayer(2, 3)
    assert layer.conv.bias is None
    assert (layer.conv.stride, layer.conv.padding) == ((2, 2), (1, 1))
    assert layer.m.shape == layer.a.shape == (3, 1, 1)
    assert layer.m.eq(1).all()
    assert layer.a.eq(0).all()
    assert layer.train()(torch.randn(4, 2, 8, 8)).shape == (4, 3, 4, 4)


def test_training_norms_by_the_batch_after_the_relu_unbiased_and_without_eps():
    layer = BnLayer(2, 3).double()
    with torch.no_grad():
        layer.m.copy_(torch.tensor([2.0, -1.0, 0.5]).view(3, 1, 1))
        layer.a.copy_(torch.tensor([0.0, 1.0, -3.0]).view(3, 1, 1))
    x = torch.randn(4, 2, 8, 8, dtype=torch.float64)
    y = layer.train()(x)
    z = layer.conv(x).clamp(min=0)
    mean = z.mean((0, 2, 3)).view(3, 1, 1)
    std = z.std((0, 2, 3), correction=1).view(3, 1, 1)
    torch.testing.assert_close(y, (z - mean) / std * layer.m + layer.a, rtol=0, atol=1e-12)
    torch.testing.assert_close(layer.means, mean)
    torch.testing.assert_close(layer.stds, std)


def test_statistics_are_those_of_the_last_batch():
    layer = BnLayer(1, 2).double()
    first, last = (torch.randn(4, 1, 8, 8, dtype=torch.float64) * k for k in (1, 3))
    after_one_step(layer, first)
    after_one_step(layer, last)
    z = layer.conv(last).clamp(min=0)
    torch.testing.assert_close(layer.means.flatten(), z.mean((0, 2, 3)))
    before = layer.means
    layer(first)
    assert layer.means is before


def test_a_channel_that_is_zero_over_the_batch_divides_zero_by_zero():
    layer = BnLayer(1, 2)
    with torch.no_grad():
        layer.conv.weight[1] = 0
    y = layer.train()(torch.randn(4, 1, 8, 8))
    assert y[:, 0].isfinite().all()
    assert y[:, 1].isnan().all()
    assert layer.stds[1].item() == 0


def test_statistics_are_plain_attributes():
    layer = after_one_step(BnLayer(1, 2), torch.randn(4, 1, 8, 8))
    assert set(layer.state_dict()) == {"conv.weight", "a", "m"}
    assert {"means", "stds"} <= set(vars(layer))
    layer.to(torch.float64)
    assert layer.m.dtype == torch.float64
    assert layer.means.dtype == layer.stds.dtype == torch.float32
    layer.to("meta")
    assert layer.m.device.type == "meta"
    assert layer.means.device.type == "cpu"


def test_state_dict_alone_does_not_bring_the_net_back():
    trained = after_one_step(ConvBnNet(), torch.randn(64, 1, 8, 8))
    fresh = ConvBnNet().eval()
    fresh.load_state_dict(trained.state_dict())
    with pytest.raises(AttributeError, match="means"):
        fresh(torch.randn(1, 1, 8, 8))


def test_saving_the_whole_module_keeps_them_and_makes_it_copyable():
    layer = after_one_step(BnLayer(1, 2), torch.randn(4, 1, 8, 8))
    with pytest.raises(RuntimeError, match="deepcopy"):
        copy.deepcopy(layer)
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    with torch.serialization.safe_globals([*MODULE_CLASSES, nn.Conv2d]):
        loaded = torch.load(file)
    x = torch.randn(2, 1, 8, 8)
    assert torch.equal(loaded(x), layer(x))
    assert torch.equal(copy.deepcopy(loaded)(x), layer(x))


def test_gradient_flows_through_the_statistics():
    layer = BnLayer(1, 2).double()
    x = torch.randn(4, 1, 8, 8, dtype=torch.float64, requires_grad=True)
    layer.train()(x).pow(3).sum().backward()
    z = layer.conv(x).clamp(min=0)
    mean, std = z.mean((0, 2, 3)).view(2, 1, 1), z.std((0, 2, 3)).view(2, 1, 1)
    (expected,) = torch.autograd.grad(((z - mean) / std).pow(3).sum(), x)
    torch.testing.assert_close(x.grad, expected)


def test_net_is_a_5x5_convolution_several_layers_a_max_pool_and_a_linear():
    net = ConvBnNet(widths=(4, 5, 6, 7), classes=3, in_channels=2).double().train()
    x = torch.randn(32, 2, 16, 16, dtype=torch.float64)
    assert net.conv1.kernel_size == (5, 5)
    assert [type(layer) for layer in net.layers] == [BnLayer] * 3
    net(x)
    y = net.conv1(x)
    for layer in net.eval().layers:
        y = (layer.conv(y).clamp(min=0) - layer.means) / layer.stds * layer.m + layer.a
    expected = y.amax((2, 3)) @ net.out.weight.T + net.out.bias
    assert net(x).shape == (32, 3)
    torch.testing.assert_close(net(x), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("kind", "norm"),
    [("torch", "BatchNorm2d"), ("scratch", "ScratchBatchNorm2d"), ("none", "Identity")],
)
def test_another_norm_stands_in_the_same_place(kind, norm):
    net = ConvBnNet(kind)
    assert [type(layer.norm).__name__ for layer in net.layers] == [norm] * 3
    assert [layer.conv.bias for layer in net.layers] == [None] * 3
    assert net(torch.randn(8, 1, 8, 8)).shape == (8, 10)
