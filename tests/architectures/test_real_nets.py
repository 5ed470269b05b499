"""Nets as other people write them: built, exported, folded and verified from end to end.

A few in each run, all of them nightly; ``python -m benchmarks.real_nets`` tells
of each what became of it.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from nightly import NIGHTLY

from benchmarks import shrunk
from benchmarks.configured import see
from benchmarks.real_nets import RESULTS, Outcome, judged, markdown
from benchmarks.styles import STYLES

DOCS = Path(__file__).parents[2] / "docs" / "benchmarks.md"

FEW = ("DeepLabV3", "YOLO", "3D ResNet", "siamese metric", "GRU", "PoolFormer")
"""One for each way in which an export went wrong once, and the cheapest of their kind."""


@pytest.mark.parametrize("name", STYLES if NIGHTLY else FEW)
def test_a_net_is_folded_and_verified(name: str) -> None:
    outcome = judged(name, "styles", STYLES[name])
    assert outcome.code == 0, outcome.sentence
    assert outcome.found


@pytest.mark.skipif(not NIGHTLY, reason="half an hour: nightly")
@pytest.mark.parametrize("kind", ["cvt", "hgnet_v2", "levit", "mobilevitv2", "textnet", "beit"])
def test_an_architecture_of_transformers_is_folded_and_verified(kind: str) -> None:
    from benchmarks.shrunk import build

    outcome = judged(kind, "transformers", lambda: build(kind))
    assert outcome.code == 0, outcome.sentence


def test_the_tally_counts_what_passed_what_stayed_and_what_failed() -> None:
    rows = [
        Outcome("a", "s", 0, norms=3, left=("a Relu 'x' stands between",), seconds=2),
        Outcome("b", "s", 1, "they differ", norms=1, seconds=4),
        Outcome("c", "s", None, "not built: NotBuiltError: x: a size of 4 and not 2"),
        Outcome("d", "s", None, "not built: NotBuiltError: x: a size of 8 and not 32"),
    ]
    rows[0] = replace(rows[0], found=False)
    lines = list(markdown(rows))
    assert lines[2] == "| s | 2 | 1 | 4 | 3 | 1 | 1 | 2 | 3.0 |"
    assert "| c, d | x: a size of … and not … |" in lines
    assert "| b | 1 | they differ |" in lines
    assert "| 1 | a Relu … stands between |" in lines


def test_the_documentation_has_the_saved_tally() -> None:
    saved = json.loads((RESULTS / "real_nets.json").read_text(encoding="utf-8"))["nets"]
    told = DOCS.read_text(encoding="utf-8").splitlines()
    missing = [line for line in markdown(Outcome(**row) for row in saved) if line not in told]
    assert not missing


@pytest.mark.parametrize(
    "name", ["max_length", "max_position_embeddings", "max_source_positions", "n_positions"]
)
def test_the_longest_that_a_net_takes_is_made_short(name: str) -> None:
    assert shrunk._small(name, 1024, "") == 64
    assert shrunk._small(name, 20, "") == 20


class Frozen(torch.nn.Module):
    """A batch norm of statistics alone, as detection nets have them, of channels along axis 1."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("running_mean", torch.zeros(3))
        self.register_buffer("running_var", torch.ones(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shape = (1, 3, *[1] * (x.ndim - 2))
        return (x - self.running_mean.view(shape)) / self.running_var.view(shape).sqrt()


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 5), (4, 3, 5, 6)])
@pytest.mark.parametrize("norm", [Frozen, "stock"])
def test_statistics_are_those_of_the_data(norm: object, shape: tuple[int, ...]) -> None:
    stock = {2: torch.nn.BatchNorm1d, 3: torch.nn.BatchNorm1d, 4: torch.nn.BatchNorm2d}
    net = (Frozen() if norm is Frozen else stock[len(shape)](3)).eval()
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 3 + 1
    see(net, {"input" if norm == "stock" else "x": x})
    parts = x.transpose(0, 1).flatten(1)
    torch.testing.assert_close(net.running_mean, parts.mean(1))
    torch.testing.assert_close(net.running_var, parts.var(1))
    assert not net.training


def test_a_channel_that_is_silent_here_keeps_some_variance() -> None:
    net = Frozen()
    x = torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(0))
    x[:, 1] = 2
    see(net, {"x": x})
    variances = x.transpose(0, 1).flatten(1).var(1)
    torch.testing.assert_close(net.running_var[1], variances.mean() / 100)
    see(net, {"x": torch.ones(1, 3)})
    assert net.running_mean[1] == 2, "one number has no variance"
