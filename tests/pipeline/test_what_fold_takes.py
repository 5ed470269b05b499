"""What a caller has in memory is folded and verified, or refused in one sentence."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import nn

import bnfuse
from bnfuse.errors import BnfuseError, LoadError, UsageError
from bnfuse.loading import on_cpu

if TYPE_CHECKING:
    from pathlib import Path


def net() -> nn.Module:
    torch.manual_seed(0)
    made = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()).eval()
    nn.init.normal_(made[1].bias)
    return made


class Difference(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5))

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return self.layer(left) - self.layer(right)


X = torch.randn(2, 3, 16, 16)


def loaded(folder: Path) -> bnfuse.LoadedModel:
    torch.save(net(), folder / "model.pt")
    return bnfuse.load(folder / "model.pt")


SOURCES = {
    "an ExportedProgram": lambda _: torch.export.export(net(), (X,)),
    "an ONNXProgram": lambda _: torch.onnx.export(net(), (X,), dynamo=True, verbose=False),
    "bytes": lambda _: ir.to_proto(bnfuse.export(net(), X).model).SerializeToString(),
    "an Exported": lambda _: bnfuse.export(net(), X),
    "a LoadedModel": loaded,
    "TorchScript": lambda _: torch.jit.trace(net(), X),
    "compiled": lambda _: torch.compile(net()),
    "a PathLike": lambda folder: SimplePath(loaded(folder).path),
}


class SimplePath:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __fspath__(self) -> str:
        return str(self._path)


@pytest.mark.parametrize("form", SOURCES)
def test_a_model_in_any_form_is_folded_and_verified(form: str, tmp_path: Path) -> None:
    source = SOURCES[form](tmp_path)
    folded = bnfuse.fold(source, providers="cpu")
    assert folded.report.verdict == "PASS"
    # Torch's own exporter folds what it knows, before it gives its program away.
    left = [] if form == "an ONNXProgram" else [True]
    assert [norm.folded for norm in folded.report.norms] == left
    assert bnfuse.verify(source, folded, providers="cpu").verdict.name == "PASS"


def test_of_a_compiled_module_nothing_is_compiled() -> None:
    def compiler(*_: Any) -> None:
        raise AssertionError("compiled")

    source = torch.compile(net(), backend=compiler)
    folded = bnfuse.fold(source, X, providers="cpu")
    assert "OptimizedModule taken off" in folded.report.notes
    assert bnfuse.verify(source, folded, X, providers="cpu").verdict.name == "PASS"


def test_the_module_of_an_exported_program_with_its_inputs() -> None:
    source = torch.export.export(net(), (X,)).module()
    assert bnfuse.fold(source, X, providers="cpu").report.verdict == "PASS"


def test_what_fold_returned_is_folded_again_to_itself() -> None:
    first = bnfuse.fold(net(), X, providers="cpu")
    again = bnfuse.fold(first, providers="cpu")
    assert again.report.verdict == "PASS"
    assert [node.op_type for node in again.model.graph] == ["Conv", "Relu"]


def test_a_state_dict_with_its_factory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "from torch import nn\n\n\ndef make():\n    return nn.Sequential(" + (
        "nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())\n"
    )
    (tmp_path / "factory_of_nets.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    weights = net().state_dict()
    folded = bnfuse.fold(weights, model="factory_of_nets:make", providers="cpu")
    assert folded.report.verdict == "PASS"
    options = {"model": "factory_of_nets:make"}
    result = bnfuse.verify(weights, folded, providers="cpu", load_options=options)
    assert result.verdict.name == "PASS"
    with pytest.raises(LoadError, match=r"7 tensors and no architecture.*model="):
        bnfuse.fold(weights)


@pytest.mark.parametrize("given", [nn.ReLU, None, 3, [net()], {}, len, b"", b"abc", {"a": 1}])
def test_what_holds_no_model_is_refused_in_a_sentence(given: Any) -> None:
    with pytest.raises(BnfuseError) as error:
        bnfuse.fold(given)
    assert error.value.exit_code == 2
    assert error.value.remedy


@pytest.mark.parametrize("inputs", [X.numpy(), [X.numpy()], (X,), {"input": X.numpy()}])
def test_arrays_are_inputs(inputs: Any) -> None:
    folded = bnfuse.fold(net(), inputs, providers="cpu")
    assert folded.report.verdict == "PASS"
    assert [tuple(value.shape)[1:] for value in folded.model.graph.inputs] == [(3, 16, 16)]


def test_inputs_that_hang_on_a_graph_are_taken_as_values() -> None:
    x = X.clone().requires_grad_()
    assert bnfuse.fold(net(), x * 2, providers="cpu").report.verdict == "PASS"


@pytest.mark.parametrize("inputs", [X, (X,), [X.numpy()], X.numpy(), X.double().numpy()])
def test_verify_takes_the_inputs_that_fold_takes(inputs: Any) -> None:
    folded = bnfuse.fold(net(), X, providers="cpu")
    for original in (net(), bnfuse.export(net(), X)):
        assert bnfuse.verify(original, folded, inputs, providers="cpu").verdict.name == "PASS"


def test_verify_takes_several_inputs_in_order() -> None:
    left, right = torch.randn(3, 4), torch.randn(3, 4)
    original = Difference().eval()
    folded = bnfuse.fold(original, (left, right), providers="cpu")
    assert bnfuse.verify(original, folded, (left, right), providers="cpu").verdict.name == "PASS"
    assert bnfuse.verify(original, folded, (left, left), providers="cpu").verdict.name == "PASS"
    with pytest.raises(UsageError, match=r"1 inputs were given, and the model takes 2 \(left"):
        bnfuse.verify(original, folded, left, providers="cpu")


def test_one_string_is_one_value() -> None:
    folded = bnfuse.fold(net(), input_shapes="N,3,20,20", providers="cpu")
    assert folded.report.verification is not None
    assert {row.provider for row in folded.report.verification.rows} == {"cpu"}
    (value,) = folded.model.graph.inputs
    assert tuple(value.shape)[1:] == (3, 20, 20)
    exported = bnfuse.export(net(), input_shapes="N,3,20,20")
    assert tuple(exported.model.graph.inputs[0].shape)[1:] == (3, 20, 20)


@pytest.mark.parametrize(
    "options",
    [
        {"providers": None},
        {"providers": [0]},
        {"input_shapes": (1, 3, 16, 16)},
        {"input_shapes": [(1, 3, 16, 16)]},
        {"allow": [nn.Conv2d]},
        {"opset": "20"},
    ],
)
def test_what_is_no_string_or_number_is_refused_in_a_sentence(options: dict[str, Any]) -> None:
    with pytest.raises(BnfuseError) as caught:
        bnfuse.fold(net(), X, **options)
    assert "\n" not in str(caught.value)
    assert caught.value.remedy


def test_an_input_of_another_type_than_the_weights_is_told_by_its_type() -> None:
    # What numpy makes is float64 unless it is told otherwise.
    with pytest.raises(BnfuseError, match="float64") as caught:
        bnfuse.fold(net(), X.double().numpy())
    assert "float32" in caught.value.remedy
    with pytest.raises(BnfuseError) as caught:
        bnfuse.fold(net(), X.flatten(1))
    assert "shapes" in caught.value.remedy


@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_a_checkpoint_in_memory_is_told_where_its_weights_are(key: str) -> None:
    with pytest.raises(UsageError, match=key):
        bnfuse.fold({key: net().state_dict(), "epoch": 3}, model="mynets:Net")


def test_one_string_is_one_class_to_allow(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'nonsense' is not the dotted name"):
        bnfuse.load(loaded(tmp_path).path, allow="nonsense")


def test_values_on_the_meta_device_are_refused() -> None:
    with pytest.raises(UsageError, match="meta device"):
        bnfuse.fold(net(), X.to("meta"))
    with pytest.raises(LoadError, match="meta device"):
        bnfuse.fold(net().to("meta"), X)


def test_a_module_on_another_device_is_folded_from_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    home = sys.modules["bnfuse.loading.prepare"]
    monkeypatch.setattr(home, "_elsewhere", lambda _: ["cuda:0"])
    original = net().train()
    copied, notes = on_cpu(original)
    assert copied is not original
    assert original.training
    assert not copied.training
    assert "is on cuda:0: a copy on the CPU was taken" in notes
    original.handle = (_ for _ in ())
    with pytest.raises(LoadError, match=r"cuda:0 and cannot be copied"):
        on_cpu(original)


def test_the_rows_of_an_array_are_not_inputs() -> None:
    with pytest.raises(BnfuseError, match="2 inputs were given, and forward takes 1"):
        bnfuse.fold(net(), [np.zeros((3, 16, 16), np.float32)] * 2)
