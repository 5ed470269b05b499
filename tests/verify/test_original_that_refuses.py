"""An original that takes no input at all: nothing was compared, and its own words say why."""

from __future__ import annotations

import onnx_ir as ir
import torch
from torch import nn

import bnfuse


class _Moody(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.is_ready = nn.Conv2d(3, 4, 3), True

    def forward(self, x):
        if not self.is_ready:
            raise ValueError("no image is good enough")
        return self.conv(x)


def test_an_original_that_refuses_every_input_is_quoted(tmp_path):
    module, x = _Moody().eval(), torch.randn(2, 3, 8, 8)
    ir.save(bnfuse.export(module, x).model, tmp_path / "net.onnx")
    module.is_ready = False
    verification = bnfuse.verify(module, tmp_path / "net.onnx", inputs=x)
    assert verification.verdict is bnfuse.Verdict.INCONCLUSIVE
    assert "ran on none of the inputs, not on given: x [2, 3, 8, 8]" in verification.reason
    assert "no image is good enough" in verification.reason
