from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from processes import run as process

from bnfuse.cli.train import train
from bnfuse.errors import BnfuseError, OutputError, UsageError
from bnfuse.models import MODULE_CLASSES, load_digits, names

QUICK = ["conv-bn-linear-bn", "--epochs", "2"]


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")


def run(*args: str) -> Result:
    return CliRunner().invoke(train, [*args], catch_exceptions=False)


def refused(*args: str) -> BnfuseError:
    with pytest.raises(BnfuseError) as caught:
        run(*args)
    assert os.listdir() == []
    return caught.value


def rows(result: Result) -> dict[str, str]:
    lines = (line.split(None, 1) for line in result.stdout.splitlines())
    return {line[0]: line[1] for line in lines if len(line) == 2}


def test_trains_saves_and_says_what_came_out():
    result = run(*QUICK, "-o", "model.pt")
    assert result.exit_code == 0
    found = rows(result)
    assert found["net"] == "conv-bn-linear-bn, norm torch"
    assert found["epochs"] == "2"
    assert float(found["loss"]) > 0
    assert "of 360" in result.stdout
    assert float(found["seconds"]) > 0
    assert found["file"].startswith("model.pt (")
    assert result.stdout.splitlines()[-1].split(None, 1) == ["next", "bnfuse fold model.pt"]
    assert os.listdir() == ["model.pt"]


def test_file_holds_the_net_that_was_reported():
    result = run("conv-bn-net", "-o", "model.pt", "--epochs", "3")
    nn = torch.nn
    known = [nn.Conv2d, nn.Linear, nn.ModuleList]
    with torch.serialization.safe_globals([*MODULE_CLASSES, *known]):
        net = torch.load("model.pt")
    data = load_digits()
    right = net(data.held_out_images).argmax(1).eq(data.held_out_labels).sum().item()
    assert f"({right} of 360)" in result.stdout


def test_no_encoding_stops_the_training_or_the_export():
    # Neither has the letter.
    train, export = ["train", *QUICK, "-o", "中.pt"], ["export", "中.pt"]
    for encoding, words in (("cp1252", train), ("ascii", export)):
        ran = process(Path(), *words, PYTHONIOENCODING=encoding, PYTHONUTF8="0")
        assert ran.code == 0, ran.err


def test_file_is_named_after_the_net_when_no_name_is_given():
    run(*QUICK)
    assert os.listdir() == ["conv-bn-linear-bn.pt"]


@pytest.mark.parametrize(
    ("norm", "kind"),
    [("none", "Identity"), ("torch", "BatchNorm2d"), ("scratch", "ScratchBatchNorm2d")],
)
def test_norm_rebuilds_the_net(norm, kind):
    result = run(*QUICK, "-o", "model.pt", "--norm", norm)
    assert rows(result)["net"] == f"conv-bn-linear-bn, norm {norm}"
    named = torch.serialization.get_unsafe_globals_in_checkpoint("model.pt")
    assert kind in {title.rpartition(".")[2] for title in named}


def test_same_seed_gives_the_same_results():
    first, same, other = (run(*QUICK, "--seed", seed) for seed in ("5", "5", "6"))
    numbers = [
        [line for line in result.stdout.splitlines() if line.startswith(("loss", "held"))]
        for result in (first, same, other)
    ]
    assert numbers[0] == numbers[1] != numbers[2]


def test_options_reach_the_training():
    slow = run(*QUICK, "--lr", "1e-9", "--batch-size", "700")
    assert float(rows(slow)["loss"]) > 2


def test_progress_goes_to_stderr_and_results_to_stdout():
    result = run(*QUICK)
    assert "2/2" in result.stderr
    assert "training" not in result.stdout
    assert "\x1b" not in result.output


def test_verbose_shows_every_epoch_and_quiet_nothing():
    assert "epoch 1, loss" in run(*QUICK, "-v").stderr
    assert run(*QUICK, "-q").output == ""
    assert os.listdir() == ["conv-bn-linear-bn.pt"]


def test_long_paths_are_not_cut():
    path = Path("a" * 60) / ("b" * 60 + "[bold].pt")
    path.parent.mkdir()
    result = run(*QUICK, "-o", str(path))
    # A shell would take the brackets for a pattern.
    assert f"bnfuse fold '{path}'" in result.stdout.splitlines()[-1]


def test_list_names_every_net():
    result = run("--list")
    assert result.exit_code == 0
    listed = [line.split()[0] for line in result.stdout.splitlines() if line[:1].isalpha()]
    assert tuple(listed[1:]) == names()


def test_compare_plots_and_prints_both():
    result = run("--compare", "conv-bn-linear-bn", "--epochs", "3", "-o", "plot.png")
    assert Path("plot.png").read_bytes().startswith(b"\x89PNG")
    assert os.listdir() == ["plot.png"]
    for row in ("epochs to 90%", "epochs to 95%", "held out, last", "loss, last", "At the end"):
        assert row in result.stdout
    assert "with norm (torch)" in result.stdout
    assert "6/6" in result.stderr


def test_compare_takes_the_norm_and_a_default_net():
    result = run("--compare", "--epochs", "1", "--norm", "torch")
    assert "with norm (torch)" in result.stdout
    assert os.listdir() == ["scratch-cnn.png"]


def test_unknown_net_is_one_sentence_with_the_nearest_name():
    error = refused("deep-mpl")
    assert error.exit_code == 2
    assert "Did you mean deep-mlp?" in error.remedy


def test_no_net_at_all():
    assert "--list" in refused().remedy


@pytest.mark.parametrize("more", [[], ["--compare"]])
def test_unwritable_output_is_told_before_training(more, monkeypatch):
    monkeypatch.setattr("bnfuse.models.training.train", None)
    monkeypatch.setattr("bnfuse.models.comparison.compare", None)
    error = refused("scratch-cnn", *more, "-o", "nowhere/model.pt")
    assert isinstance(error, OutputError)
    assert isinstance(refused("scratch-cnn", *more, "-o", "."), OutputError)


def test_divergence_saves_nothing():
    error = refused("conv-bn-net", "--batch-size", "2", "--epochs", "1")
    assert "diverged" in str(error)
    assert "--lr" in error.remedy


def test_failing_training_leaves_the_old_file():
    Path("model.pt").write_bytes(b"before")
    with pytest.raises(BnfuseError):
        run("conv-bn-net", "--batch-size", "2", "--epochs", "1", "-o", "model.pt")
    assert Path("model.pt").read_bytes() == b"before"


def test_comparing_no_norm_is_refused():
    assert "itself" in str(refused("--compare", "--norm", "none"))


@pytest.mark.parametrize("lr", ["0", "-1", "nan"])
def test_learning_rate_that_trains_nothing_is_refused(lr):
    assert isinstance(refused("scratch-cnn", "--lr", lr), UsageError)


@pytest.mark.parametrize(
    ("option", "value"),
    [("--epochs", "0"), ("--batch-size", "1"), ("--norm", "layer"), ("--seed", "x")],
)
def test_bad_options_are_usage_errors(option, value):
    result = run("scratch-cnn", option, value)
    assert result.exit_code == 2
    assert option in result.stderr


def test_missing_scikit_learn_is_told_with_its_remedy(monkeypatch):
    load_digits.cache_clear()
    monkeypatch.setitem(sys.modules, "sklearn", None)
    assert "pip install scikit-learn" in refused("scratch-cnn").remedy


def test_missing_matplotlib_is_told_before_training(monkeypatch):
    monkeypatch.setattr("bnfuse.models.comparison.compare", None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "pip install matplotlib" in refused("--compare").remedy


def test_help_keeps_the_lines_of_its_example():
    assert "Example:\n    bnfuse train scratch-cnn" in run("--help").stdout


def test_help_needs_no_torch():
    import subprocess

    code = (
        "import sys; from click.testing import CliRunner; from bnfuse.cli.train import train;"
        "result = CliRunner().invoke(train, ['--help']); assert result.exit_code == 0;"
        "sys.exit(bool({'torch', 'sklearn', 'matplotlib', 'rich'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
