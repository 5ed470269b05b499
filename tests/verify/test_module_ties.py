"""Rows that a module takes by scores: its candidate's near ties may fall either way too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from test_near_ties import TURNED, model, renamed, shifted, tied
from torch import nn

from bnfuse.verifying import Verdict, Verification, verify

TAKEN = ["topk", "argmax", "threshold", "sorted", "best"]


class Chooser(nn.Module):
    """The graphs of the tests beside these, in torch."""

    def __init__(self, case: str) -> None:
        super().__init__()
        self.case = case
        self.weight = nn.Parameter(torch.from_numpy(shifted(0.0)))

    def forward(self, x: torch.Tensor, b: torch.Tensor) -> Any:
        scores = (x @ self.weight).squeeze(-1)
        if self.case == "threshold":
            return torch.where(scores[..., None] > 0, b * scores[..., None], -b)
        if self.case == "topk":
            best, at = torch.topk(scores, 10, dim=1)
        elif self.case == "sorted":
            best, at = (part[:, :10] for part in torch.sort(scores, 1, descending=True))
        elif self.case == "best":
            at = scores.max(dim=1, keepdim=True)[1]
        else:
            at = scores.argmax(1, keepdim=True)
        boxes = torch.gather(b, 1, at[..., None].expand(-1, -1, 4))
        return (boxes, at) if self.case in {"argmax", "best"} else (best, boxes)


def graph(case: str, *args: Any, **tensors: Any) -> Any:
    named = {"sorted": "topk", "best": "argmax"}.get(case, case)
    return model(named, *args, **tensors)


def feeds(case: str) -> dict[str, Any]:
    return tied({"sorted": "topk", "best": "argmax"}.get(case, case))


def judge(case: str, candidate: Any, x: Any = None) -> Verification:
    return verify(Chooser(case).eval(), candidate, x or feeds(case), providers=["cpu"])


# A sort is no TopK of ten: its rows are as many as its scores.
@pytest.mark.parametrize("case", [case for case in TAKEN if case != "sorted"])
def test_a_tie_that_falls_the_other_way_is_no_fault(case: str) -> None:
    result = judge(case, graph(case, TURNED))
    assert result.verdict is Verdict.PASS, result.reason
    flips = [output.flips for row in result.rows for output in row.outputs]
    assert any(flip is not None and flip.count for flip in flips)


@pytest.mark.parametrize("case", TAKEN)
def test_scores_are_compared_as_well(case: str) -> None:
    rng = np.random.default_rng(8)
    x = {
        name: rng.standard_normal(value.shape).astype(np.float32)
        for name, value in feeds(case).items()
    }
    assert judge(case, renamed(graph(case)), x).verdict is Verdict.PASS
    wrong = renamed(graph(case, w=shifted(3e-6)))
    assert judge(case, wrong, x).verdict is Verdict.FAIL


@pytest.mark.parametrize("case", TAKEN)
@pytest.mark.parametrize("by", [1e-2, 1e-4])
def test_scores_that_are_off_are_caught_at_near_ties(case: str, by: float) -> None:
    assert judge(case, graph(case, TURNED, q=shifted(by)[::-1].copy())).verdict is Verdict.FAIL


class Detector(nn.Module):
    """A backbone, boxes and scores of its map, and the ten best of them."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.SiLU(),
            nn.Conv2d(8, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.SiLU(),
        )  # fmt: skip
        self.scores, self.boxes = nn.Conv2d(8, 4, 1), nn.Conv2d(8, 4, 1)

    def forward(self, image: torch.Tensor) -> Any:
        seen = self.body(image)
        scores = torch.sigmoid(self.scores(seen)).flatten(2).amax(1)
        best, at = torch.topk(scores, 10, dim=1)
        boxes = self.boxes(seen).flatten(2).transpose(1, 2)
        return best, torch.gather(boxes, 1, at[..., None].expand(-1, -1, 4)), at


@pytest.mark.parametrize("seed", range(6))
def test_a_detector_is_its_fold(seed: int) -> None:
    import bnfuse

    torch.manual_seed(seed)
    net = Detector().eval()
    x = torch.randn(2, 3, 32, 32)
    result = verify(net, bnfuse.fold(net, x, verified=False).model, x, providers=["cpu"], seed=seed)
    assert result.verdict is Verdict.PASS, result.reason
