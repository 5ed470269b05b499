"""Export leaves no trace: in the module, the random generators, the streams or the result."""

from __future__ import annotations

import io
import logging
import random
import sys
import threading
import warnings
from contextlib import redirect_stdout

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import nn

from bnfuse.errors import ExportError
from bnfuse.exporting.exported import CAPTURE, TRACE
from bnfuse.exporting.quiet import quiet


class Loud(nn.Module):
    """Prints, warns, logs, counts, and keeps statistics as plain attributes."""

    def __init__(self, *, traced):
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.norm = nn.BatchNorm1d(4)
        self.stds = []
        self.last = None
        self.traced = traced
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        print("printed in forward")  # noqa: T201
        sys.stderr.write("written in forward\n")
        warnings.warn("warned in forward", stacklevel=1)
        logging.getLogger("loud").error("logged in forward")
        self.calls += 1
        y = self.norm(self.layer(x))
        self.last = y
        self.stds.append(y)
        if self.traced and torch.isnan(y.std()):
            return x
        return torch.relu(y) + torch.rand(()) * 0


@pytest.mark.parametrize("traced", [False, True])
def test_nothing_reaches_a_stream(tools, capfd, traced):
    exported = tools.export(Loud(traced=traced), torch.randn(3, 4))
    assert exported.exporter == (TRACE if traced else CAPTURE)
    out, err = capfd.readouterr()
    assert out == ""
    assert err == ""


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("variance", torch.ones(4))

    def forward(self, x):
        return x / torch.sqrt(self.variance + 1e-5)


def test_onnxsim_does_not_complain_about_bfloat16_on_a_stream(tools, capfd):
    tools.export(Scaled().bfloat16(), torch.randn(3, 4).bfloat16())
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("traced", [False, True])
def test_the_module_is_as_before(tools, traced):
    net = Loud(traced=traced)
    net.eval()
    net.layer.train()
    net.layer.weight.requires_grad_(False)
    kept = net.register_forward_hook(lambda *_: None)
    state = {name: value.clone() for name, value in net.state_dict().items()}
    stds, attributes = net.stds, dict(net.__dict__)
    from bnfuse.exporting import export_module

    export_module(net, tools.inputs(torch.randn(3, 4)))
    assert net.stds is stds
    assert stds == []
    assert net.last is None
    assert [net.training, net.layer.training, net.norm.training] == [False, True, False]
    assert not net.layer.weight.requires_grad
    assert net.layer.bias.requires_grad
    assert list(net._forward_hooks) == [kept.id]
    assert not net._forward_pre_hooks
    assert net.__dict__ == attributes
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize("traced", [False, True])
def test_random_generators_are_as_before(tools, traced):
    net = Loud(traced=traced)
    x = torch.randn(3, 4)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    tools.export(net, x)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert np.random.get_state()[1].tolist() == before[2]


def test_state_is_back_after_an_error(tools):
    class Fails(Loud):
        def forward(self, x):
            super().forward(x)
            raise RuntimeError("no such luck")

    net = Fails(traced=False)
    net.train()
    streams = sys.stdout, sys.stderr, logging.root.manager.disable
    from bnfuse.exporting import export_module

    with pytest.raises(ExportError, match="no such luck"):
        export_module(net, tools.inputs(torch.randn(3, 4)))
    assert net.training
    assert net.norm.training
    assert net.stds == []
    assert int(net.calls) == 0
    assert (sys.stdout, sys.stderr, logging.root.manager.disable) == streams


def test_another_thread_may_speak_meanwhile():
    stream = io.StringIO()
    with redirect_stdout(stream), quiet():
        print("mine")  # noqa: T201
        other = threading.Thread(target=print, args=("theirs",))
        other.start()
        other.join()
    assert stream.getvalue() == "theirs\n"


@pytest.mark.parametrize("traced", [False, True])
def test_same_module_same_bytes(tools, traced):
    net, x = Loud(traced=traced), torch.randn(3, 4)
    first, second = (
        ir.to_proto(tools.export(net, x).model).SerializeToString(deterministic=True)
        for _ in range(2)
    )
    assert first == second


def test_later_training_does_not_reach_the_graph(tools):
    net, x = nn.Linear(4, 4), torch.randn(3, 4)
    model = tools.export(net, x).model
    expected = net(x)
    with torch.no_grad():
        net.weight.add_(1)
    assert tools.close(tools.run(model, x)[0], expected)


class Unsupported(nn.Module):
    def forward(self, x):
        return torch.linalg.svdvals(x)


def test_two_reasons_when_no_exporter_takes_it(tools, capfd):
    with pytest.raises(ExportError) as caught:
        tools.export(Unsupported(), torch.randn(3, 4))
    text = str(caught.value)
    assert "svd" in text.partition("and so did the trace")[0]
    assert "svdvals" in text.partition("and so did the trace")[2]
    assert caught.value.remedy
    assert "\n" not in text
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("module", "example", "options", "said"),
    [
        (nn.Linear(3, 4), torch.randn(2, 4), {}, "fails on its example inputs"),
        (nn.Linear(4, 4), torch.randn(2, 4), {"opset": 7}, "Opset 7 cannot be written"),
        (nn.Linear(4, 4), torch.randn(2, 4), {"opset": 99}, "Opset 99 cannot be written"),
    ],
)
def test_errors_name_what_is_wrong(tools, module, example, options, said):
    with pytest.raises(ExportError, match=said) as caught:
        tools.export(module, example, **options)
    assert caught.value.remedy


class Empty(nn.Module):
    def forward(self, x):
        return {"shape": tuple(x.shape)}


def test_no_tensor_is_no_graph(tools):
    with pytest.raises(ExportError, match="returns no tensor"):
        tools.export(Empty(), torch.randn(2, 4))
