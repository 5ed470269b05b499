"""Inputs and outputs of every kind, element types, and names that get into each other's way."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass

import onnx
import onnx_ir as ir
import pytest
import torch
from torch import nn
from transformers.modeling_outputs import BaseModelOutput

from bnfuse.exporting.exported import CAPTURE


@dataclass
class Result:
    logits: torch.Tensor
    extra: object = None


Pair = namedtuple("Pair", "left right")


class Fn(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        return self.function(self.layer(x))


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (lambda y: y, ["output"]),
        (lambda y: (y, y + 1), ["output_0", "output_1"]),
        (lambda y: {"b": y, "a": y + 1, "none": None, "number": 3}, ["b", "a"]),
        (Result, ["logits"]),
        (lambda y: BaseModelOutput(last_hidden_state=y), ["last_hidden_state"]),
        (lambda y: Pair(y, [y + 1, {"q": y * 2}]), ["left", "right_0", "right_1_q"]),
    ],
)
def test_outputs_are_named_after_their_keys(tools, function, names):
    net = Fn(function).eval()
    x = torch.randn(3, 4)
    model = tools.export(net, x).model
    assert [value.name for value in model.graph.outputs] == names
    assert tools.close(tools.run(model, x)[0], net.layer(x))


class Odd(nn.Module):
    """Returns its input, one value twice, and a parameter."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        y = self.layer(x)
        return x, y, y, self.layer.weight


def test_outputs_that_are_inputs_parameters_or_equal(tools):
    net, x = Odd().eval(), torch.randn(3, 4)
    model = tools.export(net, x).model
    found = tools.run(model, x)
    assert [value.name for value in model.graph.outputs] == [f"output_{k}" for k in range(4)]
    assert all(tools.close(a, b) for a, b in zip(found, net(x), strict=True))


class Clash(nn.Module):
    """Parameters with the names of the input, the output and the exporter's own values."""

    def __init__(self):
        super().__init__()
        for name in ("x", "output", "mul", "add"):
            setattr(self, name, nn.Parameter(torch.randn(4)))

    def forward(self, x):
        return (x * self.x + self.output) * self.mul + self.add


def test_colliding_names(tools):
    net, x = Clash().eval(), torch.randn(3, 4)
    model = tools.export(net, x).model
    assert [value.name for value in model.graph.inputs] == ["x"]
    assert [value.name for value in model.graph.outputs] == ["output"]
    assert {"mul", "add"} <= set(model.graph.initializers)
    assert tools.close(tools.run(model, x)[0], net(x))


class Text(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(10, 4)

    def forward(self, ids, mask, *, scale=None):
        y = self.table(ids) * mask.unsqueeze(-1)
        return y if scale is None else y * scale


def test_integer_and_boolean_inputs_and_one_by_keyword(tools):
    net = Text().eval()
    feeds = (torch.randint(0, 10, (2, 5)), torch.rand(2, 5) > 0.3, torch.randn(4))
    model = tools.export(
        net, *feeds, names=["ids", "mask", "scale"], dynamic=[{0: "N", 1: "L"}] * 2 + [{}]
    ).model
    kinds = [(value.name, value.dtype, str(value.shape)) for value in model.graph.inputs]
    assert kinds == [
        ("ids", ir.DataType.INT64, "[N,L]"),
        ("mask", ir.DataType.BOOL, "[N,L]"),
        ("scale", ir.DataType.FLOAT, "[4]"),
    ]
    ids, mask = torch.randint(0, 10, (3, 7)), torch.rand(3, 7) > 0.3
    found = tools.run(model, ids, mask, feeds[2])[0]
    assert tools.close(found, net(ids, mask, scale=feeds[2]))


class Ignores(nn.Module):
    def forward(self, a, b):  # noqa: ARG002
        return a * 2


def test_an_input_that_nobody_reads_stays(tools):
    x = torch.randn(3, 4)
    model = tools.export(Ignores(), x, x, names=["a", "b"]).model
    assert [value.name for value in model.graph.inputs] == ["a", "b"]


def test_half_precision(tools):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval().half()
    x = torch.randn(2, 3, 6, 6).half()
    model = tools.export(net, x).model
    assert {value.dtype for value in model.graph.initializers.values()} == {ir.DataType.FLOAT16}
    assert tools.close(tools.run(model, x)[0], net(x), tolerance=5e-3)


def test_bfloat16_is_written_in_an_opset_that_has_it(tools):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval().bfloat16()
    exported = tools.export(net, torch.randn(2, 3, 6, 6).bfloat16())
    assert exported.opset == 22
    assert exported.model.graph.inputs[0].dtype == ir.DataType.BFLOAT16
    assert tools.operators(exported.model) == ["Conv", "BatchNormalization"]


@pytest.mark.parametrize("opset", [13, 17, 21, 23])
def test_an_opset_is_honoured(tools, opset):
    net = nn.Sequential(nn.Conv1d(4, 4, 1), nn.BatchNorm1d(4), nn.ReLU()).eval()
    x = torch.randn(3, 4, 5)
    exported = tools.export(net, x, opset=opset)
    assert exported.opset == opset
    assert exported.model.opset_imports == {"": opset}
    onnx.checker.check_model(ir.to_proto(exported.model), full_check=True)
    assert tools.operators(exported.model) == ["Conv", "BatchNormalization", "Relu"]
    assert tools.close(tools.run(exported.model, x)[0], net(x))


def test_conversion_meets_folded_constants_and_large_weights(tools):
    net = nn.Sequential(nn.Conv2d(3, 32, 3), nn.BatchNorm2d(32), nn.AdaptiveAvgPool2d(1)).eval()
    x = torch.randn(2, 3, 8, 8)
    exported = tools.export(net, x, opset=17)
    assert exported.exporter == CAPTURE
    assert exported.notes == ()
    assert "0.weight" in exported.model.graph.initializers
    scopes = [node.metadata_props["pkg.torch.onnx.name_scopes"] for node in exported.model.graph]
    assert "'0'" in scopes[0]
    assert tools.close(tools.run(exported.model, x)[0], net(x))


def test_a_branch_in_the_graph(tools):
    class Cond(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(40, 40), nn.Linear(40, 40)

        def forward(self, x):
            return torch.cond(x.sum() > 0, self.a, self.b, (x,))

    net = Cond().eval()
    exported = tools.export(net, torch.randn(3, 40))
    assert exported.exporter == CAPTURE
    for x in (torch.ones(2, 40), -torch.ones(5, 40)):
        assert tools.close(tools.run(exported.model, x)[0], net(x))
