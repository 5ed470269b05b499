"""Nets as other people write them: built, exported, folded and verified from end to end.

A few in each run, all of them nightly; ``python -m benchmarks.real_nets`` tells
of each what became of it.
"""

from __future__ import annotations

import pytest
from nightly import NIGHTLY

from benchmarks.real_nets import Outcome, judged, markdown
from benchmarks.styles import STYLES

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
        Outcome("c", "s", None, "not built"),
    ]
    lines = list(markdown(rows))
    assert lines[2] == "| s | 2 | 1 | 4 | 3 | 1 | 1 | 3.0 |"
    assert "| b | 1 | they differ |" in lines
    assert "| 1 | a Relu … stands between |" in lines
