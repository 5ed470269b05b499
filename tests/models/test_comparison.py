from __future__ import annotations

import math
import struct
import sys
import warnings

import pytest

from bnfuse.errors import OutputError, UsageError
from bnfuse.models import Comparison, Epoch, Schedule, Training, compare, plot

PNG = b"\x89PNG\r\n\x1a\n"


def training(*accuracies: float, loss: float = 0.5) -> Training:
    epochs = [Epoch(i, loss / i, accuracy) for i, accuracy in enumerate(accuracies, start=1)]
    return Training(tuple(epochs), 1.0)


def comparison(with_norm: Training, without: Training) -> Comparison:
    return Comparison("some-net", "torch", Schedule(), with_norm, without)


def test_trainings_differ_in_the_norm_alone():
    schedule = Schedule(epochs=2, seed=1)
    seen = []
    result = compare(
        "conv-bn-linear-bn",
        schedule=schedule,
        on_epoch=lambda run, epoch: seen.append((run, epoch.number)),
    )
    assert seen == [("with norm", 1), ("with norm", 2), ("without", 1), ("without", 2)]
    assert result.schedule == schedule
    assert result.norm == "torch"
    again = compare("conv-bn-linear-bn", schedule=schedule)
    assert result.with_norm.epochs == again.with_norm.epochs
    assert result.without.epochs == again.without.epochs


def test_net_without_norm_is_not_compared_with_itself():
    with pytest.raises(UsageError, match="cannot be compared with itself"):
        compare("scratch-cnn", norm="none")


def test_findings_say_so_when_norm_is_better():
    speed, height, end = comparison(training(0.91, 0.96), training(0.5, 0.9)).findings()
    assert (
        speed == "90% held out: with norm after 1 epoch, without after 2 epochs: faster with norm."
    )
    assert height == "95% held out: with norm after 2 epochs, without never: faster with norm."
    assert "higher with, by 6.0 points" in end


def test_findings_say_so_when_norm_is_worse():
    speed, height, end = comparison(training(0.5, 0.9), training(0.91, 0.96)).findings()
    assert speed.endswith("faster without.")
    assert height == "95% held out: with norm never, without after 2 epochs: faster without."
    assert "90.0% with norm, 96.0% without: higher without, by 6.0 points" in end


def test_findings_say_so_when_there_is_no_difference():
    findings = comparison(training(0.5, 0.8), training(0.6, 0.8)).findings()
    assert [finding.endswith("no difference.") for finding in findings] == [True, True, True]


def test_findings_name_a_divergence():
    last = comparison(training(0.5), training(0.1, loss=math.nan)).findings()[-1]
    assert last == "Without norm the loss was no longer a number in epoch 1."


@pytest.mark.parametrize(
    ("with_norm", "without"),
    [
        (training(0.5, 0.9, 0.95), training(0.1, 0.1, 0.2)),
        (training(0.9), training(0.8)),
        (training(0.9, 0.9), training(0.1, loss=math.nan)),
        (training(0.1, loss=math.nan), training(0.1, loss=math.inf)),
        (training(1.0, loss=0.0), training(0.9)),
    ],
)
def test_plot_is_one_png_whatever_came_out(with_norm, without, tmp_path):
    path = tmp_path / "plot.png"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # What matplotlib's own calls are deprecated in favour of is its own business.
        warnings.simplefilter("ignore", DeprecationWarning)
        plot(comparison(with_norm, without), path)
    content = path.read_bytes()
    assert content.startswith(PNG)
    assert struct.unpack(">II", content[16:24]) == (1600, 760)
    assert [file.name for file in tmp_path.iterdir()] == ["plot.png"]


def test_plot_is_a_png_whatever_the_file_is_called(tmp_path):
    plot(comparison(training(0.9), training(0.8)), tmp_path / "plot.jpg")
    assert (tmp_path / "plot.jpg").read_bytes().startswith(PNG)


def test_plot_needs_no_display_and_leaves_pyplot_alone(tmp_path):
    plot(comparison(training(0.9), training(0.8)), tmp_path / "plot.png")
    assert "matplotlib.pyplot" not in sys.modules


def test_plot_into_nowhere_is_refused(tmp_path):
    with pytest.raises(OutputError, match="there is no folder"):
        plot(comparison(training(0.9), training(0.8)), tmp_path / "nowhere" / "plot.png")


def test_missing_matplotlib_is_told_with_its_remedy(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match="matplotlib, which is not installed") as caught:
        plot(comparison(training(0.9), training(0.8)), tmp_path / "plot.png")
    assert "pip install matplotlib" in caught.value.remedy
