"""What stands out in a norm's constants, and that ordinary ones do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bnfuse.page.findings import findings, summary


def norm(channels: int = 64, **changed: dict[int, float]) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    found: dict[str, Any] = {
        "axis": 1,
        "scale": rng.uniform(0.5, 2.0, channels).tolist(),
        "shift": rng.normal(0.0, 1.0, channels).tolist(),
        "mean": [0.0] * channels,
        "deviation": rng.uniform(0.5, 2.0, channels).tolist(),
    }
    for key, values in changed.items():
        for channel, value in values.items():
            found[key][channel] = value
    return found


def kinds(channels: dict[str, Any]) -> list[tuple[str, int]]:
    return [(item.kind, item.channel) for item in findings(channels)]


def test_ordinary_constants_have_nothing_that_stands_out() -> None:
    assert kinds(norm()) == []
    assert summary(findings(norm())) == ""


@pytest.mark.parametrize(
    ("key", "value", "kind", "words"),
    [
        ("scale", 0.0, "dead", "dead: scale 0, always gives"),
        ("scale", 1e-9, "dead", "dead"),
        ("scale", -300.0, "scale", "times the median"),
        ("scale", 0.001, "scale", "times the median"),
        ("shift", 90.0, "shift", "shift 90, median"),
        ("deviation", 0.003, "flat", "near-zero variance: deviation 0.003, median"),
    ],
)
def test_a_channel_that_stands_out_is_named_in_words(
    key: str, value: float, kind: str, words: str
) -> None:
    (found,) = findings(norm(**{key: {7: value}}))
    assert (found.kind, found.channel) == (kind, 7)
    assert words in found.words


def test_constants_that_are_no_numbers_and_few_channels_have_no_outliers() -> None:
    assert kinds(norm(scale={3: float("inf")})) == []
    assert kinds(norm(3, scale={1: 1e4})) == []
    assert kinds(norm(4, scale=dict.fromkeys(range(4), 1.0))) == []


def test_the_summary_counts_each_kind() -> None:
    found = findings(norm(scale={1: 0.0, 2: 90.0, 3: 80.0}, deviation={4: 1e-4}))
    assert summary(found) == "1 dead, 1 near-zero variance, 2 scale outliers"
