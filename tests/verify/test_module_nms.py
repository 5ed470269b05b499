"""A module that suppresses boxes in its own ops, and inputs wanted despite a far error."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from test_runtime_errors import built
from torch import nn
from written import parse

from bnfuse.verifying import Verdict, verify

BOXES = 12


class Suppressor(nn.Module):
    """Boxes by falling score, those gone that overlap a better one, as detectors do."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv1d(6, 16, 1, bias=False), nn.BatchNorm1d(16), nn.ReLU())
        self.scores, self.boxes = nn.Conv1d(16, 1, 1), nn.Conv1d(16, 4, 1)

    def forward(self, x: torch.Tensor) -> Any:
        seen = self.body(x)
        scores, at = torch.topk(self.scores(seen).squeeze(1), BOXES, dim=1)
        boxes = self.boxes(seen).transpose(1, 2)
        boxes = torch.gather(boxes, 1, at.unsqueeze(-1).expand(-1, -1, 4))
        low, size = boxes[..., :2], boxes[..., 2:].abs() + 0.5
        high = low + size
        inner = torch.minimum(high.unsqueeze(1), high.unsqueeze(2)) - torch.maximum(
            low.unsqueeze(1), low.unsqueeze(2)
        )
        shared = inner.clamp(min=0).prod(-1)
        area = size.prod(-1)
        overlap = shared / (area.unsqueeze(1) + area.unsqueeze(2) - shared)
        near = (overlap > 0.5).to(scores.dtype)
        kept = [torch.ones_like(scores[:, 0])]
        for place in range(1, BOXES):
            hidden = (near[:, place, :place] * torch.stack(kept, 1)).amax(1)
            kept.append(1 - hidden)
        mask = torch.stack(kept, 1)
        return scores * mask, boxes * mask.unsqueeze(-1)


def suppressor() -> tuple[nn.Module, tuple[int, ...]]:
    return Suppressor(), (6, BOXES)


def built_lively(seed: int) -> tuple[nn.Module, onnx.ModelProto]:
    module, model = built(suppressor, seed)
    return module, model


@pytest.mark.parametrize("seed", range(4))
def test_a_module_that_suppresses_boxes_is_its_export(seed: int) -> None:
    result = verify(*built_lively(seed), providers=["cpu"], seed=seed)
    assert result.verdict is Verdict.PASS, result.reason


def changed(model: onnx.ModelProto, old: float, new: float) -> onnx.ModelProto:
    """Return ``model`` with each scalar constant of one value changed to another."""
    wrong = onnx.ModelProto()
    wrong.CopyFrom(model)
    tensors = [a.t for node in wrong.graph.node for a in node.attribute if a.name == "value"]
    found = 0
    for tensor in (*tensors, *wrong.graph.initializer):
        value = numpy_helper.to_array(tensor)
        if value.dtype == np.float32 and value.size == 1 and value.item() == np.float32(old):
            tensor.CopyFrom(numpy_helper.from_array(np.full_like(value, new), tensor.name))
            found += 1
    assert found
    return wrong


@pytest.mark.parametrize("threshold", [0.45, 0.499])
def test_and_no_other(threshold: float) -> None:
    module, model = built_lively(0)
    wrong = changed(model, 0.5, threshold)
    # The size's own half is the same number: both are off.
    assert verify(module, wrong, providers=["cpu"]).verdict is Verdict.FAIL


class Faint(nn.Module):
    """Scores that the runtime rounds to zero, beside a hidden channel that sleeps."""

    def __init__(self, asleep: float) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.inner = nn.Linear(8, 8)
        self.outer = nn.Linear(8, 4)
        with torch.no_grad():
            for part in (self.inner, self.outer):
                part.weight.normal_(generator=generator).mul_(0.4)
                part.bias.normal_(generator=generator).mul_(0.3)
            self.inner.bias[3] = asleep

    def forward(self, x: torch.Tensor) -> Any:
        return torch.sigmoid(0.1 * x - 25), self.outer(self.inner(x).relu())


def as_graph(net: Faint, wrong: float) -> onnx.ModelProto:
    outer = net.outer.weight.detach().numpy().copy()
    outer[:, 3] *= wrong
    return parse(
        "g (float[N, 8] x) => (float[N, 8] s, float[N, 4] y) <float t = {0.1}, float f = {25}> { "
        "a = Mul(x, t) b = Sub(a, f) s = Sigmoid(b) h = Gemm<transB=1>(x, v, c) r = Relu(h) "
        "y = Gemm<transB=1>(r, w, d) }",
        v=net.inner.weight.detach().numpy(),
        c=net.inner.bias.detach().numpy(),
        w=outer,
        d=net.outer.bias.detach().numpy(),
    )


@pytest.mark.parametrize(("wrong", "verdict"), [(1.0, Verdict.PASS), (1.5, Verdict.FAIL)])
def test_what_rounding_excuses_does_not_spare_the_search(wrong: float, verdict: Verdict) -> None:
    net = Faint(-40.0).eval()
    result = verify(net, as_graph(net, wrong), providers=["cpu"], proof="none")
    assert result.verdict is verdict, result.reason
