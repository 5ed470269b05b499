"""The tracing path: when it is taken, what it says, and that it writes the graph the same way."""

from __future__ import annotations

import ast
from pathlib import Path

import onnx_ir as ir
import torch
from torch import nn

from bnfuse.exporting.exported import CAPTURE, TRACE

SCOPES = "pkg.torch.onnx.name_scopes"


class Layers(nn.Module):
    """A net whose control flow depends on data, with two equal parameters and a revisited child."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(4, 8, bias=False)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(8, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU())
            for _ in range(2)
        )
        self.conv_1 = nn.Linear(8, 8)
        self.conv = nn.Linear(8, 8)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
            if torch.isnan(x.std()):
                break
        return self.conv(self.conv_1(self.conv(x)))


def paths(model):
    return [ast.literal_eval(node.metadata_props[SCOPES])[-2] for node in model.graph]


def test_data_dependent_control_flow_is_traced_and_said(tools):
    net = Layers()
    exported = tools.export(net, torch.randn(4, 4))
    assert exported.exporter == TRACE
    (note,) = exported.notes
    here = Path(__file__).name
    assert note.startswith(f"torch.export refused: data-dependent control flow at {here}:")
    assert note.endswith("; the trace fixes the path taken")
    for batch in (2, 5):
        x = torch.randn(batch, 4)
        assert tools.close(tools.run(exported.model, x)[0], net(x))


def test_the_trace_keeps_norms_apart_from_layers(tools):
    # Statistics that differ from each other: equal ones are deduplicated, which hides a fusion.
    net = Layers()
    for block in net.blocks:
        nn.init.uniform_(block[1].running_var, 0.5, 2)
        nn.init.normal_(block[1].running_mean)
        nn.init.uniform_(block[1].weight, 0.5, 2)
        nn.init.normal_(block[1].bias)
    model = tools.export(net, torch.randn(4, 4)).model
    ops = tools.operators(model)
    assert ops.count("BatchNormalization") == 2
    assert ops.count("MatMul") + ops.count("Gemm") == 6


def test_the_trace_gives_exact_module_paths(tools):
    model = tools.export(Layers(), torch.randn(4, 4)).model
    assert paths(model) == [
        "stem",
        *("blocks.0.0", "blocks.0.1", "blocks.0.2"),
        *("blocks.1.0", "blocks.1.1", "blocks.1.2"),
        *("conv", "conv_1", "conv"),
    ]
    values = [value for node in model.graph for value in node.outputs]
    assert not any("\N{SECTION SIGN}" in thing.name for thing in (*model.graph, *values))


def test_equal_parameters_keep_their_own_initialisers(tools):
    model = tools.export(Layers(), torch.randn(4, 4)).model
    norms = [node for node in model.graph if node.op_type == "BatchNormalization"]
    names = [value.name for node in norms for value in node.inputs[1:]]
    assert names == [
        f"blocks.{k}.1.{part}"
        for k in range(2)
        for part in ("weight", "bias", "running_mean", "running_var")
    ]


def test_interface_of_a_trace(tools):
    model = tools.export(Layers(), torch.randn(4, 4)).model
    assert str(model.graph.inputs[0].shape) == "[N,4]"
    assert str(model.graph.outputs[0].shape) == "[N,8]"
    assert model.graph.outputs[0].name == "output"


class Sized(nn.Module):
    def forward(self, x):
        if x.sum() > 1e9:
            return x
        return (
            x * x.shape[0] ** 0.5 if isinstance(x.shape[0], int) else x * float(x.shape[0]) ** 0.5
        )


def test_a_trace_that_wrote_a_size_down_has_fixed_dimensions(tools):
    exported = tools.export(Sized(), torch.randn(4, 4))
    assert exported.exporter == TRACE
    assert exported.model.graph.inputs[0].shape == ir.Shape([4, 4])
    assert any("every dimension is fixed" in note for note in exported.notes)


class Branching(nn.Module):
    def forward(self, x):
        return x * 2 if x.shape[1] == 4 and x.dim() == 2 and len(x) else x


def test_control_flow_on_shapes_is_not_traced(tools):
    assert tools.export(Branching(), torch.randn(3, 4)).exporter == CAPTURE


def test_torchscript_is_exported(tools):
    net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)).eval()
    exported = tools.export(torch.jit.script(net), torch.randn(3, 4))
    assert exported.exporter == TRACE
    assert tools.operators(exported.model) == ["Gemm", "BatchNormalization"]
    x = torch.randn(5, 4)
    assert tools.close(tools.run(exported.model, x)[0], net(x))
