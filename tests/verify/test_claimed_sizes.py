"""A candidate's own word about the sizes that it is valid for spares it none of them."""

from __future__ import annotations

from typing import Any

import onnx
import pytest
import torch
from torch import nn
from verification_texts import parse

from bnfuse.verifying import Verdict, verify

PLAIN = "g (float[N, 4] x) => (float[N, 4] y) { y = Relu(x) }"
# Wrong from a batch of four on.
BRANCH = (
    "g (float[N, 4] x) => (float[N, 4] y) <int64 k = {3}, float t = {2}> { n = Shape<end=1>(x) "
    "b = Greater(n, k) r = Relu(x) m = Mul(r, t) y = Where(b, m, r) }"
)


class Few(nn.Module):
    """Takes no batch above a size."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        torch._check(x.shape[0] <= self.most)
        return x.relu()


class Forked(nn.Module):
    """Takes another path from a batch of four on."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.relu() * (2.0 if x.shape[0] > 3 else 1.0)


def claiming(text: str, said: str) -> onnx.ModelProto:
    model = parse(text)
    onnx.helper.set_model_props(model, {"bnfuse.sizes": said})
    return model


def judge(module: nn.Module, model: onnx.ModelProto, **options: Any) -> Any:
    return verify(module, model, providers=["cpu"], **options)


@pytest.mark.parametrize("said", ['{"N": [null, 3]}', '{"N": [1, 2]}', '{"M": [null, 3]}'])
def test_a_branch_that_the_key_hides_from_a_module_is_found(said: str) -> None:
    result = judge(nn.ReLU(), claiming(BRANCH, said))
    assert result.verdict is Verdict.FAIL
    assert any("bears out" in text for text in result.warnings)


def test_an_export_that_says_so_of_itself_is_believed_only_in_what_it_says() -> None:
    export = claiming(PLAIN, '{"N": [null, 9]}')
    wrong = claiming(BRANCH, '{"N": [null, 3]}')
    assert judge(nn.ReLU(), wrong, unfolded=export).verdict is Verdict.FAIL


def test_a_right_candidate_passes_whatever_it_says() -> None:
    assert judge(nn.ReLU(), claiming(PLAIN, '{"N": [null, 3]}')).verdict is Verdict.PASS


def test_sizes_beyond_which_the_module_goes_another_way_are_spared() -> None:
    result = judge(Forked(), claiming(PLAIN, '{"N": [null, 3]}'))
    assert result.verdict is Verdict.PASS
    assert any("valid for N up to 3" in text for text in result.warnings)
    assert judge(Forked(), parse(PLAIN)).verdict is Verdict.FAIL


def test_so_are_sizes_that_the_module_refuses() -> None:
    assert judge(Few(3), claiming(BRANCH, '{"N": [null, 3]}')).verdict is Verdict.PASS
    assert judge(Few(20), claiming(BRANCH, '{"N": [null, 3]}')).verdict is Verdict.FAIL
