"""A wrong fold names the rule application that made it wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import nn

import bnfuse
from bnfuse.cli.main import main
from bnfuse.pipeline import (
    stages as inner,
)
from bnfuse.pipeline import (
    verifier as judging,
)
from bnfuse.verifying import Verdict, verify

if TYPE_CHECKING:
    from pathlib import Path

    from bnfuse.pipeline import Folded


def folded(source: Any, **options: Any) -> Folded:
    return bnfuse.fold(source, providers=["cpu"], **options)


@pytest.mark.usefixtures("padding_ignored")
def test_the_bad_application_of_a_module_is_named(net: nn.Module) -> None:
    result = folded(net, inputs=torch.randn(2, 3, 12, 10), localize=True)
    assert result.report.verdict == "FAIL"
    blame = result.report.blame
    assert blame is not None
    assert blame.sites == ("between",)
    assert blame.into == ("Conv conv2",)
    assert 1 <= blame.number <= blame.of == 5
    assert blame.rules == ("absorb before",)
    assert "between into Conv conv2" in str(blame)


@pytest.mark.usefixtures("one_shift_dropped")
def test_the_bad_application_of_an_onnx_model_is_named(exported: ir.Model) -> None:
    blame = folded(exported, localize=True).report.blame
    assert blame is not None
    assert "norm2" in " ".join(blame.sites)
    assert blame.into == ("Conv conv2",)
    assert "output" in blame.reason


@pytest.mark.usefixtures("one_shift_dropped")
@pytest.mark.parametrize("kind", ["module", "onnx"])
def test_the_numbers_of_each_value_part_at_the_same_place(
    kind: str, net: nn.Module, exported: ir.Model
) -> None:
    source: Any = net if kind == "module" else exported
    options = {"inputs": torch.randn(2, 3, 12, 10)} if kind == "module" else {}
    report = folded(source, localize=True, **options).report
    assert report.verification is not None
    values = report.verification.localized
    worst = max(values, key=lambda item: item.introduced)
    place = values.index(worst)
    assert worst.introduced > 1e-2
    assert all(item.arriving < 1e-5 for item in values[:place])
    assert all(item.introduced < 1e-6 for item in (*values[:place], *values[place + 1 :]))
    assert all(item.arriving > 1e-3 for item in values[place:])
    third = [node for node in exported.graph if node.op_type == "Conv"][2]
    (norm,) = third.outputs[0].consumers()
    assert worst.name == norm.outputs[0].name


@pytest.mark.usefixtures("one_shift_dropped")
def test_nothing_is_blamed_unasked(exported: ir.Model) -> None:
    report = folded(exported).report
    assert report.undone
    assert report.blame is None
    assert report.to_json()["blame"] is None


@pytest.mark.usefixtures("one_shift_dropped")
def test_nothing_is_taken_back_of_what_is_to_be_explained(exported: ir.Model) -> None:
    report = folded(exported, localize=True).report
    assert report.verdict == "FAIL"
    assert not report.undone


def test_a_right_fold_has_nobody_to_blame(exported: ir.Model) -> None:
    report = folded(exported, localize=True).report
    assert report.verdict == "PASS"
    assert report.blame is None
    assert report.verification is not None
    assert not report.verification.localized


def test_a_model_that_is_wrong_before_any_rule_is_said(
    exported: ir.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = inner.lower

    def wrong(model: ir.Model, **options: Any) -> Any:
        next(node for node in model.graph if node.op_type == "Relu").op_type = "Abs"
        return right(model, **options)

    monkeypatch.setattr(inner, "lower", wrong)
    monkeypatch.setattr(judging, "_derived", lambda _: ())
    blame = folded(exported, localize=True).report.blame
    assert blame is not None
    assert blame.number == 0
    assert "before any rule" in str(blame)


@pytest.mark.usefixtures("one_shift_dropped")
def test_the_command_prints_and_writes_it(
    exported: ir.Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, report = tmp_path / "net.onnx", tmp_path / "report.json"
    ir.save(exported, source)
    asked = ["fold", str(source), "--provider", "cpu", "--json", str(report)]
    with pytest.raises(SystemExit, match="1"):
        main([*asked, "--localize"])
    printed = capsys.readouterr().out
    assert "into Conv conv2" in printed
    assert "introduced here" in printed
    blame = json.loads(report.read_text())["blame"]
    assert blame["into"] == ["Conv conv2"]
    assert blame["number"] <= blame["of"]
    assert blame["rules"]


def test_a_module_without_an_export_is_exported_to_localize(net: nn.Module) -> None:
    model = bnfuse.fold(net, torch.randn(2, 3, 12, 10), providers=["cpu"]).model
    wrong = model.clone()
    bias = next(node for node in wrong.graph if node.op_type == "Conv").inputs[2]
    assert bias is not None
    assert bias.const_value is not None
    changed = bias.const_value.numpy().copy()
    changed[3] += np.float32(0.01)
    bias.const_value = ir.tensor(changed, name=bias.name)
    result = verify(net, wrong, providers=["cpu"], localize=True)
    assert result.verdict is Verdict.FAIL
    assert any("an export of the module" in text for text in result.warnings)
    worst = max(result.localized, key=lambda item: item.introduced)
    assert worst is result.localized[0]
