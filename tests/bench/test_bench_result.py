from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from bnfuse.bench import Comparison, Contestant, Difference, Memory, Quantiles, Ratio
from bnfuse.bench.text import render

ONE = Ratio(1.0, 1.0, 1.0)
CONTROL = Ratio(1.0, 0.98, 1.01)
MEMORY = Memory(10 << 20, 30 << 20)


def contestant(name, ratio=ONE, median=0.002, memory=MEMORY):
    seconds = Quantiles(median, median * 0.9, median * 1.1, median * 0.8)
    return Contestant(Path(name), 2_000_000, seconds, ratio, memory)


def comparison(*others, control=CONTROL, notes=()):
    return Comparison(
        contestants=(contestant("a.onnx"), *others),
        control=control,
        provider="cpu",
        threads=1,
        rounds=50,
        inputs={"x": (1, 3, 8, 8)},
        seed=0,
        runtime="1.0",
        notes=notes,
    )


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (Ratio(0.5, 0.4, 0.6), Difference.FASTER),
        (Ratio(2.0, 1.9, 2.1), Difference.SLOWER),
        (Ratio(1.0, 0.9, 1.1), Difference.NOISE),
        # Leaves 1 out, but a second session of the first model differs as much.
        (Ratio(0.985, 0.97, 0.99), Difference.NOISE),
        (Ratio(1.008, 1.005, 1.02), Difference.NOISE),
        (Ratio(1.02, 1.015, 1.03), Difference.SLOWER),
        (Ratio(0.97, 0.96, 0.979), Difference.FASTER),
    ],
)
def test_difference_must_exceed_that_of_the_first_from_itself(ratio, expected):
    other = contestant("b.onnx", ratio)
    assert comparison(other).difference(other) is expected


def test_a_control_off_one_does_not_make_equals_differ():
    other = contestant("b.onnx", Ratio(1.0, 0.999, 1.001))
    assert comparison(other, control=Ratio(1.2, 1.1, 1.3)).difference(other) is Difference.NOISE


def test_json_is_plain_and_complete():
    other = contestant("b.onnx", Ratio(0.5, 0.4, 0.6), memory=None)
    data = json.loads(json.dumps(comparison(other, notes=("busy",)).to_json()))
    assert data["inputs"] == {"x": [1, 3, 8, 8]}
    assert data["control"] == {"value": 1.0, "low": 0.98, "high": 1.01}
    assert data["notes"] == ["busy"]
    first, second = data["models"]
    assert first["ratio"] is None
    assert first["difference"] is None
    assert first["memory"] == {"base": 10 << 20, "peak": 30 << 20}
    assert second["ratio"] == {"value": 0.5, "low": 0.4, "high": 0.6}
    assert second["difference"] == "faster"
    assert second["memory"] is None
    assert second["seconds"]["median"] == 0.002


def rendered(found, width=80):
    stream = io.StringIO()
    render(found, Console(file=stream, width=width))
    return stream.getvalue()


def test_a_person_reads_the_ratio_its_interval_and_the_verdict():
    text = rendered(comparison(contestant("b.onnx", Ratio(0.5, 0.4, 0.6))))
    assert "0.500 (0.400–0.600)" in text
    assert "faster" in text
    assert "2.00 ±0.20 ms" in text
    assert "30 MiB" in text
    assert "1.000 (0.980–1.010)" in text


def test_noise_is_called_noise():
    assert "within noise" in rendered(comparison(contestant("b.onnx", Ratio(1.0, 0.9, 1.1))))


def test_the_first_has_no_ratio_to_itself():
    text = rendered(comparison(control=None))
    assert "over the first" not in text
    assert "noise" not in text


def test_files_of_one_name_are_told_apart():
    text = rendered(comparison(contestant("old/a.onnx")), width=120)
    assert "old/a.onnx" in text
