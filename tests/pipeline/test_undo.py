"""A fold that fails its verification is delivered without what made it fail."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import onnx
import onnx_ir as ir
import pytest
import torch
from torch import nn

import bnfuse
from bnfuse.cli.main import main
from bnfuse.errors import FoldError
from bnfuse.folding.merges import sequence
from bnfuse.graph.affine import ChannelAffine
from bnfuse.lifting.linear import LinearMap
from bnfuse.lowering.derive import Derivation
from bnfuse.pipeline import (
    stages as inner,
)
from bnfuse.pipeline import (
    undo as undoing,
)
from bnfuse.pipeline import (
    verifier as judging,
)
from bnfuse.pipeline.bodies import Nested

if TYPE_CHECKING:
    from pathlib import Path

    from bnfuse.pipeline import Folded


def folded(source: Any, **options: Any) -> Folded:
    return bnfuse.fold(source, providers="cpu", **options)


@pytest.mark.usefixtures("one_shift_dropped")
@pytest.mark.parametrize("kind", ["module", "onnx"])
def test_the_norm_to_blame_is_left_and_the_rest_is_delivered(
    kind: str, net: nn.Module, exported: ir.Model, tmp_path: Path
) -> None:
    source: Any = net if kind == "module" else exported
    inputs = torch.randn(2, 3, 12, 10) if kind == "module" else None
    result = folded(source, inputs=inputs, output=tmp_path / "out.onnx")
    report = result.report
    assert report.verdict == "PASS"
    assert result.path == tmp_path / "out.onnx"
    assert [file.name for file in tmp_path.iterdir()] == ["out.onnx"]
    left = [site for site in report.norms if not site.folded]
    # The shift of the norm before a padded Conv stays in any case.
    assert {site.module for site in left} == {"norm2", "between"}
    (reason,) = [site.reason for site in left if site.module == "norm2"]
    assert "times less precise than the original, and 2 times is allowed" in reason
    (blame,) = report.undone
    assert blame.sites == ("norm2",)
    assert blame.into == ("Conv conv2",)
    assert any("left alone: norm2" in note for note in report.notes)
    again = bnfuse.verify(source, result.path, inputs, providers="cpu")
    assert again.verdict.name == "PASS"


@pytest.mark.usefixtures("one_shift_dropped")
def test_the_same_without_a_file(exported: ir.Model) -> None:
    result = folded(exported)
    assert result.report.verdict == "PASS"
    assert bnfuse.verify(exported, result.model, providers="cpu").verdict.name == "PASS"


@pytest.mark.usefixtures("padding_ignored")
def test_what_a_rule_wrongly_takes_is_undone(net: nn.Module) -> None:
    report = folded(net, inputs=torch.randn(2, 3, 12, 10)).report
    assert report.verdict == "PASS"
    assert [site.module for site in report.norms if not site.folded] == ["between"]


@pytest.fixture
def two_shifts_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    after = LinearMap.after

    def wrong(self: LinearMap, affine: ChannelAffine) -> LinearMap:
        bad = "conv2" in self.label or "conv0" in self.label
        return after(self, affine.only_scale() if bad else affine)

    monkeypatch.setattr(LinearMap, "after", wrong)
    monkeypatch.setattr(Derivation, "check", lambda *_: None)
    monkeypatch.setattr(judging, "_derived", lambda _: ())


@pytest.mark.usefixtures("two_shifts_dropped")
def test_each_of_several_is_undone(exported: ir.Model) -> None:
    report = folded(exported).report
    assert report.verdict == "PASS"
    assert [blame.sites for blame in report.undone] == [("norm0",), ("norm2",)]
    assert {s.module for s in report.norms if s.folded} == {"norm1", "norm3"}


@pytest.mark.usefixtures("two_shifts_dropped")
def test_where_the_search_ends_early_the_beginning_that_passed_is_delivered(
    exported: ir.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undoing, "_MOST", 1)
    report = folded(exported).report
    assert report.verdict == "PASS"
    left = [site for site in report.norms if not site.folded]
    assert len(left) == 5
    assert all("the fold was ended before it" in site.reason for site in left)


def test_a_merge_that_is_wrong_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(16, 4), nn.Linear(4, 4), nn.BatchNorm1d(4)).eval()
    nn.init.normal_(net[2].bias)
    x = torch.randn(5, 16)
    assert folded(net, inputs=x).report.merges
    right = sequence.merged_product
    wrong = ChannelAffine.of(None, 1.5)
    monkeypatch.setattr(sequence, "merged_product", lambda *maps: right(*maps).after(wrong))
    report = folded(net, inputs=x).report
    assert report.verdict == "PASS"
    assert [norm.folded for norm in report.norms] == [True]
    assert not report.merges
    (refusal,) = report.unmerged
    assert "times less precise" in refusal.reason
    (blame,) = report.undone
    assert blame.rules == ("merge sequence",)


@pytest.fixture
def one_constant_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A constant of one map that differs from its second derivation."""
    check = Derivation.check

    def checked(self: Derivation, weight: Any) -> None:
        if "conv2" in self.linear.label:
            raise self._differs(self.linear.name)
        check(self, weight)

    monkeypatch.setattr(Derivation, "check", checked)


@pytest.mark.usefixtures("one_constant_off")
@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize("kind", ["module", "onnx"])
def test_a_constant_that_its_derivation_does_not_confirm_is_taken_back(
    kind: str, written: bool, net: nn.Module, exported: ir.Model, tmp_path: Path
) -> None:
    source: Any = net if kind == "module" else exported
    inputs = torch.randn(2, 3, 12, 10) if kind == "module" else None
    result = folded(source, inputs=inputs, output=tmp_path / "out.onnx" if written else None)
    assert result.report.verdict == "PASS"
    assert {s.module for s in result.report.norms if s.folded} == {"norm0", "norm1", "norm3"}
    reasons = {s.module: s.reason for s in result.report.norms if not s.folded}
    assert "differs from its independent derivation" in reasons["norm2"]
    assert "report it" in reasons["norm2"]
    assert "norm2" in [site for blame in result.report.undone for site in blame.sites]
    assert [file.name for file in tmp_path.iterdir()] == ["out.onnx"] * written


@pytest.mark.usefixtures("one_constant_off")
@pytest.mark.parametrize("options", [{"verified": False}, {"localize": True}])
def test_nothing_is_taken_back_unasked(
    options: dict[str, bool], exported: ir.Model, tmp_path: Path
) -> None:
    for output in (None, tmp_path / "out.onnx"):
        with pytest.raises(FoldError, match="differs from its independent derivation"):
            folded(exported, output=output, **options)
    assert not list(tmp_path.iterdir())


def test_a_merge_that_its_parts_do_not_confirm_ends_the_fold_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    layers = [nn.Conv1d(4, 4, 1), nn.BatchNorm1d(4), nn.Flatten(), nn.Linear(24, 4)]
    net = nn.Sequential(*layers, nn.Linear(4, 4)).eval()
    nn.init.normal_(net[1].bias)

    def differs(*_: Any) -> None:
        raise FoldError("They differ from the product.", "Report it.")

    monkeypatch.setattr(sequence, "agree", differs)
    report = folded(net, inputs=torch.randn(5, 4, 6)).report
    assert report.verdict == "PASS"
    assert [norm.folded for norm in report.norms] == [True]
    assert not report.merges
    (blame,) = report.undone
    assert blame.rules == ("merge",)
    assert "They differ from the product" in blame.reason


def test_a_body_that_cannot_be_confirmed_leaves_the_model_as_it_was(
    monkeypatch: pytest.MonkeyPatch, exported: ir.Model
) -> None:
    def differs(*_: Any, **options: Any) -> Any:
        if options["folding"]:
            raise FoldError("A constant differs.", "Report it.")
        return Nested(set())

    monkeypatch.setattr(inner, "fold_bodies", differs)
    report = folded(exported).report
    assert report.verdict == "PASS"
    assert not any(norm.folded for norm in report.norms)
    assert any("nothing is folded: A constant differs" in note for note in report.notes)


@pytest.mark.usefixtures("wrong_before_any_rule")
def test_a_fold_that_is_wrong_before_any_rule_gives_what_was_exported(
    exported: ir.Model, tmp_path: Path
) -> None:
    result = folded(exported, output=tmp_path / "out.onnx")
    assert result.report.verdict == "PASS"
    assert not any(site.folded for site in result.report.norms)
    assert [node.op_type for node in result.model.graph] == [n.op_type for n in exported.graph]
    assert any("nothing is folded" in note for note in result.report.notes)
    onnx.checker.check_model(str(result.path))


@pytest.mark.usefixtures("one_shift_dropped")
def test_the_command_delivers_and_tells(
    exported: ir.Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out, report = (tmp_path / name for name in ("net.onnx", "out.onnx", "report.json"))
    ir.save(exported, source)
    with pytest.raises(SystemExit, match="0"):
        main(f"fold {source} -o {out} --provider cpu --json {report}".split())
    printed = " ".join(capsys.readouterr().out.split())
    assert "left: folding it made the model" in printed
    assert "left alone: norm2" in printed
    told = json.loads(report.read_text())
    assert told["verdict"] == "PASS"
    (undone,) = told["undone"]
    assert undone["sites"] == ["norm2"]
    assert "times less precise" in undone["reason"]
    assert told["norms"]["left"] == 2


class Block(nn.Module):
    """One of a pre-activation net; one channel of its norm has almost no scale."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(width)
        self.conv = nn.Conv2d(width, width, 3, padding=1, bias=False)
        nn.init.normal_(self.norm.bias, 0.0, 0.5)
        nn.init.uniform_(self.norm.weight, 0.5, 1.5)
        assert self.norm.running_mean is not None
        assert self.norm.running_var is not None
        self.norm.running_mean.normal_()
        self.norm.running_var.uniform_(0.5, 2.0)
        with torch.no_grad():
            self.norm.weight[3] = 1e-6

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = x + self.conv(self.norm(x).relu())
        return y


def test_a_net_whose_norms_nearly_vanish_is_delivered() -> None:
    torch.manual_seed(0)
    blocks = [Block(16) for _ in range(4)]
    net = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), *blocks, nn.BatchNorm2d(16)).eval()
    assert folded(net, inputs=torch.randn(2, 3, 12, 12)).report.verdict == "PASS"
