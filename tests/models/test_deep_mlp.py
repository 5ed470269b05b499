from __future__ import annotations

import logging

import pytest
import torch
from torch import nn

from bnfuse.models import DeepMlp


def test_is_a_hundred_linears_without_bias_each_with_its_norm():
    net = DeepMlp()
    assert len(net.linears) == len(net.norms) == 100
    assert all(linear.bias is None for linear in net.linears)
    assert {tuple(linear.weight.shape) for linear in net.linears} == {(256, 64), (256, 256)}
    assert all(isinstance(norm, nn.BatchNorm1d) for norm in net.norms)
    assert net(torch.randn(4, 1, 8, 8)).shape == (4, 10)


def test_weights_are_kaimings():
    torch.manual_seed(0)
    for linear in DeepMlp(in_features=256).linears:
        expected = (2 / linear.in_features) ** 0.5
        assert linear.weight.std().item() == pytest.approx(expected, rel=0.05)
        assert abs(linear.weight.mean().item()) < 0.05 * expected * 10


@pytest.mark.parametrize("kind", ["torch", "scratch", "none"])
def test_output_is_the_layers_one_after_another(kind):
    torch.manual_seed(0)
    net = DeepMlp(kind, width=8, depth=3, in_features=5, classes=2).double()
    net.train()(torch.randn(16, 5, dtype=torch.float64))
    net.eval()
    x = torch.randn(4, 5, dtype=torch.float64)
    y = x
    for linear, norm in zip(net.linears, net.norms, strict=True):
        y = norm(y @ linear.weight.T).clamp(min=0)
    torch.testing.assert_close(net(x), y @ net.out.weight.T + net.out.bias, rtol=0, atol=1e-12)


def test_stops_where_the_activations_are_not_numbers(caplog):
    net = DeepMlp("none", width=8, depth=5, in_features=8, classes=None)
    with torch.no_grad():
        net.linears[2].weight[0, 0] = float("nan")
    ran = []
    for index, linear in enumerate(net.linears):
        linear.register_forward_hook(lambda *_, index=index: ran.append(index))
    y = net(torch.randn(4, 8))
    assert ran == [0, 1, 2]
    assert net.stopped_at == 2
    assert y.isnan().any()
    assert "layer 2" in caplog.text


def test_stops_where_the_signal_outgrows_float32():
    net = DeepMlp("none", width=32, depth=60, in_features=32, classes=None)
    with torch.no_grad():
        for linear in net.linears:
            linear.weight.mul_(100)
    net(torch.randn(4, 32))
    assert net.stopped_at is not None
    assert 15 < net.stopped_at < 30


def test_a_healthy_pass_forgets_the_stop_before():
    net = DeepMlp("none", width=8, depth=2, in_features=8)
    net(torch.full((4, 8), float("nan")))
    assert net.stopped_at == 0
    net(torch.randn(4, 8))
    assert net.stopped_at is None


def test_logs_the_std_of_each_layer_when_asked(caplog):
    net = DeepMlp(width=8, depth=3, in_features=8, log_std=True)
    with caplog.at_level(logging.INFO, logger="bnfuse.models.deep_mlp"):
        net(torch.randn(4, 8))
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [
        "layer 0",
        "layer 1",
        "layer 2",
    ]


def test_says_nothing_unless_asked(caplog, capsys):
    with caplog.at_level(logging.DEBUG, logger="bnfuse.models.deep_mlp"):
        DeepMlp(width=8, depth=3, in_features=8)(torch.randn(4, 8))
    assert caplog.records == []
    assert capsys.readouterr().out == ""


def first_and_last_gradient(initial_shift: float) -> tuple[float, float]:
    torch.manual_seed(0)
    net = DeepMlp(initial_shift=initial_shift).double().train()
    x, labels = torch.randn(64, 64, dtype=torch.float64), torch.randint(10, (64,))
    nn.functional.cross_entropy(net(x), labels).backward()
    return net.linears[0].weight.grad.norm().item(), net.linears[-1].weight.grad.norm().item()


def test_norm_alone_lets_the_gradient_explode_and_an_initial_shift_does_not():
    first, last = first_and_last_gradient(0.0)
    assert first > 1e5 * last
    first, last = first_and_last_gradient(2.0)
    assert 1e-2 * last < first < 1e2 * last


@pytest.mark.parametrize(("kind", "name"), [("torch", "bias"), ("scratch", "beta")])
def test_initial_shift_reaches_every_norm(kind, name):
    net = DeepMlp(kind, width=8, depth=3, initial_shift=2.0)
    assert all(getattr(norm, name).eq(2).all() for norm in net.norms)
    assert all(getattr(norm, name).eq(0).all() for norm in DeepMlp(kind, 8, 3).norms)


def test_control_flow_that_depends_on_the_data_cannot_be_exported():
    net = DeepMlp(width=8, depth=2, in_features=8).eval()
    with pytest.raises(Exception, match=r"(?i)data-dependent|guard"):
        torch.export.export(net, (torch.randn(4, 8),))
