"""What captures or simplifies wrongly is found before the fold, and the next rung is taken."""

from __future__ import annotations

import onnx_ir as ir
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import bnfuse
from bnfuse.exporting import stages
from bnfuse.exporting.exported import CAPTURE, TRACE
from bnfuse.exporting.simplification import Simplified


class Pooled(nn.Module):
    """A global mean that is stretched back over the image (ASPP, PSP)."""

    def __init__(self, grid=1):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(grid)
        self.conv = nn.Conv2d(3, 4, 1, bias=False)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x):
        y = torch.relu(self.norm(self.conv(self.pool(x))))
        return F.interpolate(y, size=x.shape[-2:], mode="bilinear", align_corners=False)


@pytest.mark.parametrize("grid", [1, 2])
def test_a_mean_that_is_stretched_back_stays_dynamic_and_runs(tools, grid):
    net = Pooled(grid)
    exported = tools.export(net, torch.randn(2, 3, 8, 8))
    assert exported.notes == ()
    assert str(exported.model.graph.inputs[0].shape) == "[N,3,8,8]"
    for batch in (1, 2, 5):
        x = torch.randn(batch, 3, 8, 8)
        assert tools.close(tools.run(exported.model, x)[0], net(x))


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())

    def forward(self, x):
        return self.layers(x)


def without_relu(model):
    model = model.clone()
    (relu,) = (node for node in model.graph if node.op_type == "Relu")
    relu.op_type = "Neg"
    return model


def with_a_size_of_the_example(model):
    """As a tool that takes the batch for a number would leave it."""
    model = model.clone()
    (relu,) = (node for node in model.graph if node.op_type == "Relu")
    shape = ir.node("Constant", [], {"value_ints": [2, 4, 6, 6]})
    again = ir.node("Reshape", [relu.inputs[0], shape.outputs[0]])
    model.graph.insert_before(relu, [shape, again])
    again.outputs[0].name, shape.outputs[0].name = "again", "sizes"
    relu.replace_input_with(0, again.outputs[0])
    return model


def of_another_rank(model):
    model = model.clone()
    model.graph.outputs[0].shape = ir.Shape([1, 2])
    return model


FAULTS = {
    "computes something else": without_relu,
    "does not run at a size of 3": with_a_size_of_the_example,
    "not valid ONNX": of_another_rank,
}


@pytest.mark.parametrize("said", FAULTS)
def test_what_simplifies_wrongly_is_left_out(tools, monkeypatch, said):
    monkeypatch.setattr(stages, "simplified_model", lambda m: Simplified(FAULTS[said](m)))
    net = Plain()
    exported = tools.export(net, torch.randn(2, 3, 8, 8))
    assert exported.exporter == CAPTURE
    (note,) = exported.notes
    assert note.startswith("onnxsim was left out")
    assert said in note
    x = torch.randn(5, 3, 8, 8)
    assert tools.close(tools.run(exported.model, x)[0], net(x))


def test_a_dynamic_capture_that_is_wrong_gives_way_to_a_fixed_one(tools, monkeypatch):
    kept = stages.capture

    def capture(job, *, dynamic):
        model, dims = kept(job, dynamic=dynamic)
        return (without_relu(model) if dynamic else model), dims

    monkeypatch.setattr(stages, "capture", capture)
    exported = tools.export(Plain(), torch.randn(2, 3, 8, 8))
    assert exported.exporter == CAPTURE
    assert exported.model.graph.inputs[0].shape == ir.Shape([2, 3, 8, 8])
    (note,) = exported.notes
    assert note == (
        "dimension 0 (N) of input 'x' is fixed at 2: it computes something else than the module"
    )


def test_captures_that_are_wrong_give_way_to_the_trace(tools, monkeypatch):
    kept = stages.capture

    def capture(job, *, dynamic):
        model, dims = kept(job, dynamic=dynamic)
        return without_relu(model), dims

    monkeypatch.setattr(stages, "capture", capture)
    net = Plain()
    exported = tools.export(net, torch.randn(2, 3, 8, 8))
    assert exported.exporter == TRACE
    assert "computes something else than the module" in exported.notes[0]
    x = torch.randn(5, 3, 8, 8)
    assert tools.close(tools.run(exported.model, x)[0], net(x))


class Restless(nn.Module):
    """Differs from itself each time: no graph can be held against it."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        return self.layer(x) + torch.rand_like(x)


def test_a_module_that_differs_from_itself_is_exported_all_the_same(tools):
    exported = tools.export(Restless(), torch.randn(3, 4))
    assert exported.exporter == CAPTURE
    assert exported.notes == ()


def test_what_no_kernel_computes_is_exported_all_the_same(tools):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).bfloat16()
    exported = tools.export(net, torch.randn(2, 3, 8, 8).bfloat16())
    assert exported.exporter == CAPTURE
    assert exported.notes == ()


class Kept(nn.Module):
    """Keeps a grid between calls and makes it anew for another shape, as detectors do."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)
        self.shape, self.grid = None, torch.empty(0)

    def forward(self, x):
        y = self.norm(self.conv(x))
        if self.shape != y.shape:
            self.grid = torch.arange(y.shape[-1], dtype=y.dtype)
            self.shape = y.shape
        return y + self.grid


def test_a_grid_kept_between_calls_does_not_fix_the_batch():
    net = Kept().eval()
    folded = bnfuse.fold(net, torch.randn(2, 3, 8, 8), providers=["cpu"])
    assert folded.report.verdict == "PASS"
    assert folded.report.notes == ()
    assert net.shape is None
    assert str(folded.model.graph.inputs[0].shape) == "[N,3,8,8]"


def test_a_batch_that_the_export_fixed_is_verified_at_that_size():
    # A module that has run at its size keeps it: as one that was saved in that state.
    net = Kept().eval()
    x = torch.randn(2, 3, 8, 8)
    net(x)
    folded = bnfuse.fold(net, x, providers=["cpu"])
    assert folded.report.verdict == "PASS", folded.report.verification.reason
    (note,) = folded.report.notes
    assert note.startswith("dimension 0 (N) of input 'x' is fixed at 2")


def test_the_capture_is_made_once_where_sizes_cannot_stay(tools, monkeypatch):
    made = []
    kept = torch.onnx.export
    monkeypatch.setattr(torch.onnx, "export", lambda *a, **k: made.append(k) or kept(*a, **k))
    net = Kept().eval()
    x = torch.randn(2, 3, 8, 8)
    net(x)
    exported = tools.export(net, x)
    assert exported.model.graph.inputs[0].shape == ir.Shape([2, 3, 8, 8])
    assert len(made) == 1


def test_what_is_done_is_told_while_it_lasts(tools):
    told = []
    tools.export(Plain(), torch.randn(2, 3, 8, 8), told=told.append)
    assert told == [
        "torch.export, dynamic sizes",
        "onnxsim",
        "running the graph beside the module",
    ]
