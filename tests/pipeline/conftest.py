"""A net of five norms, and rules that fold it wrongly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

import bnfuse
from bnfuse.lifting.linear import LinearMap
from bnfuse.lowering.derive import Derivation
from bnfuse.pipeline import (
    stages as inner,
)
from bnfuse.pipeline import (
    verifier as judging,
)

if TYPE_CHECKING:
    import onnx_ir as ir

    from bnfuse.graph.affine import ChannelAffine


class Net(nn.Module):
    """Five norms: four behind convs, and one before a padded conv, whose shift has to stay."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        for number, (before, after) in enumerate([(3, 8), (8, 8), (8, 8), (8, 6)]):
            setattr(self, f"conv{number}", nn.Conv2d(before, after, 3, padding=1))
            setattr(self, f"norm{number}", nn.BatchNorm2d(after))
        self.between = nn.BatchNorm2d(8)
        for norm in self.modules():
            if isinstance(norm, nn.BatchNorm2d):
                nn.init.normal_(norm.weight, 1.0, 0.2)
                nn.init.normal_(norm.bias, 0.0, 0.5)
                norm.running_mean.normal_()
                norm.running_var.uniform_(0.5, 2.0)
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for number in range(4):
            x = getattr(self, f"norm{number}")(getattr(self, f"conv{number}")(x)).relu()
            if number == 1:
                x = self.between(x)
        return x


@pytest.fixture(scope="module")
def net() -> Net:
    return Net()


@pytest.fixture(scope="module")
def exported(net: nn.Module) -> ir.Model:
    return bnfuse.export(net, torch.randn(2, 3, 12, 10)).model


@pytest.fixture
def padding_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule that takes zero padding for none, and a second derivation that does too."""
    monkeypatch.setattr(LinearMap, "pads_with_zeros", property(lambda _: False))


@pytest.fixture
def one_shift_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule that loses the shift of one norm, and no second derivation to notice."""
    after = LinearMap.after

    def wrong(self: LinearMap, affine: ChannelAffine) -> LinearMap:
        return after(self, affine.only_scale() if "conv2" in self.label else affine)

    monkeypatch.setattr(LinearMap, "after", wrong)
    monkeypatch.setattr(Derivation, "check", lambda *_: None)
    monkeypatch.setattr(judging, "_derived", lambda _: ())


@pytest.fixture
def wrong_before_any_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lowering that makes a Relu an Abs, whatever was folded."""
    right = inner.lower

    def wrong(model: ir.Model, **options: Any) -> Any:
        next(node for node in model.graph if node.op_type == "Relu").op_type = "Abs"
        return right(model, **options)

    monkeypatch.setattr(inner, "lower", wrong)
