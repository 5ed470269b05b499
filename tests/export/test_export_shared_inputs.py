"""One tensor given for several inputs is several inputs of the graph."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch import nn

import bnfuse


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, a, b):
        return self.norm(self.conv(a)) - 2 * b.mean()


class Untraceable(Two):
    """torch.export refuses it, and the trace takes it."""

    def forward(self, a, b):
        return super().forward(a, b) * (1.0 if float(b.sum()) < 1e30 else 2.0)


def outputs(model, a, b):
    import onnx_ir as ir

    session = ort.InferenceSession(
        ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"a": a.numpy(), "b": b.numpy()})[0]


def twice(x):
    return (x, x)


def by_name(x):
    return {"a": x, "b": x}


def views(x):
    return [x, x.view(2, 3, 8, 8)]


def part_of_another(x):
    return (x, x[:1].expand(2, 3, 8, 8))


@pytest.mark.parametrize("net", [Two(), Untraceable()])
@pytest.mark.parametrize("inputs", [twice, by_name, views, part_of_another])
def test_two_inputs_that_share_memory_stay_two(net, inputs):
    x = torch.randn(2, 3, 8, 8)
    model = bnfuse.export(net.eval(), inputs(x)).model
    a, b = torch.randn(2, 3, 8, 8), torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        assert np.allclose(outputs(model, a, b), net(a, b).numpy(), atol=1e-5)


def test_the_fold_of_one_tensor_given_twice_passes():
    x = torch.randn(2, 3, 8, 8)
    folded = bnfuse.fold(Two().eval(), (x, x), providers=["cpu"])
    assert folded.report.verdict == "PASS"
    assert [value.name for value in folded.model.graph.inputs] == ["a", "b"]


def test_an_input_that_is_a_weight_of_the_module_is_an_input():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(2, 4))

        def forward(self, x):
            return x * 2 + self.weight

    net = Scaled().eval()
    model = bnfuse.export(net, net.weight).model
    (used,) = [node for node in model.graph if node.op_type == "Mul"]
    assert used.inputs[0] is model.graph.inputs[0]
