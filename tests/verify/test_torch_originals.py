"""Modules as originals: truth from their own code, whatever it pins or hides from .double()."""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from bnfuse.verifying import Candidate, Verdict, verify
from bnfuse.verifying.truth.branches import BranchCounter
from bnfuse.verifying.truth.torch_model import TorchModel, flatten

if TYPE_CHECKING:
    from pathlib import Path


class Hidden(nn.Module):
    """Statistics as plain attributes, which .double() does not reach."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 6)
        self.means = torch.rand(6)
        self.variances = torch.rand(6) + 0.5

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu((self.linear(x) - self.means) / (self.variances + 1e-5).sqrt())


class Pinned(nn.Module):
    """Code that asks for float32 by name."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x).float().exp().to(torch.float32) * torch.ones(6, dtype=torch.float32)


class Heads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(30, 6)
        self.norm = nn.BatchNorm1d(6)
        with torch.no_grad():
            self.norm.running_mean.normal_()
            self.norm.running_var.uniform_(0.5, 2.0)

    def forward(self, ids: torch.Tensor, scale: torch.Tensor) -> dict[str, Any]:
        hidden = self.norm(self.table(ids).mean(1)) * scale
        return {"hidden": hidden, "rest": (hidden.softmax(-1), hidden.argmax(-1))}


class Random(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.rand_like(x)


def exported(module: nn.Module, args: tuple[Any, ...], folder: Path, **names: Any) -> Path:
    path = folder / "model.onnx"
    with warnings.catch_warnings():
        # The tracing exporter says that it is deprecated; it is here for its speed.
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), args, str(path), dynamo=False, opset_version=17, **names)
    return path


def features() -> torch.Tensor:
    return torch.randn(2, 6)


DYNAMIC = {"input_names": ["x"], "dynamic_axes": {"x": {0: "N"}}}


@pytest.mark.parametrize("kind", [Hidden, Pinned])
def test_truth_is_the_module_in_float64(kind: type[nn.Module], tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = kind()
    path = exported(module, (features(),), tmp_path, **DYNAMIC)
    result = verify(module, path, providers=["cpu"])
    assert result.verdict is Verdict.PASS, result.reason
    assert result.truth.kind == "module in float64"
    assert ("pins" in result.truth.detail) == (kind is Pinned)


def test_float64_reaches_plain_attributes_and_pinned_casts() -> None:
    torch.manual_seed(0)
    for module in (Hidden(), Pinned()):
        x = features()
        values, _ = TorchModel(module, ["x"]).run_double({"x": x.numpy()})
        single = module.eval()(x).detach().double().numpy()
        assert values[0].dtype == np.float64
        gap = np.abs(values[0] - single)
        # Near the float32 result, but not on the float32 grid.
        assert 0 < gap.max() < 1e-5 * np.abs(single).max()
        live = values[0][values[0] != 0]
        assert (live != live.astype(np.float32)).mean() > 0.9


def test_a_wrong_statistic_is_caught(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Hidden()
    path = exported(module, (features(),), tmp_path, **DYNAMIC)
    module.means[2] *= 1 + 1e-4
    result = verify(module, path, providers=["cpu"])
    assert result.verdict is Verdict.FAIL
    assert "original" in result.reason


def test_the_module_is_left_as_it_was(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Hidden()
    path = exported(module, (features(),), tmp_path, **DYNAMIC)
    module.train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    result = verify(module, path, providers=["cpu"])
    assert module.training
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert next(module.parameters()).dtype == torch.float32
    assert any("training mode" in warning for warning in result.warnings)


def test_nested_outputs_tables_and_integers(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Heads()
    args = (torch.randint(0, 30, (2, 5)), torch.rand(2, 1))
    axes = {"ids": {0: "N", 1: "L"}, "scale": {0: "N"}}
    path = exported(module, args, tmp_path, input_names=["ids", "scale"], dynamic_axes=axes)
    example = SimpleNamespace(args=args, names=("ids", "scale"), dynamic=tuple(axes.values()))
    for inputs in (None, example):
        result = verify(module, path, inputs, providers=["cpu"])
        assert result.verdict is Verdict.PASS, result.reason
        assert len(result.rows[0].outputs) == 3
    found = TorchModel(module, ["ids", "scale"]).table_sizes(
        {"ids": args[0].numpy(), "scale": args[1].numpy()}
    )
    assert found == {"ids": 30}


def test_a_frozen_batch_fails_where_the_example_says_it_is_dynamic(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Hidden()
    path = exported(module, (features()[:1],), tmp_path, input_names=["x"])
    example = SimpleNamespace(args=(features()[:1],), names=("x",), dynamic=({0: "N"},))
    result = verify(module, path, example, providers=["cpu"])
    assert result.verdict is Verdict.FAIL
    assert "fails on" in result.reason


def test_a_batch_that_was_only_guessed_to_be_dynamic_is_compared_as_the_candidate_has_it(
    tmp_path: Path,
) -> None:
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.ReLU()).eval()
    torch.save(module, tmp_path / "m.pt")
    path = exported(module, (torch.randn(2, 6),), tmp_path, input_names=["input"])
    result = verify(tmp_path / "m.pt", path, providers=["cpu"])
    assert result.verdict is Verdict.PASS, result.reason
    assert any("takes dimension 0 of 'input' at 2 only" in note for note in result.warnings)
    asked = {"input_shapes": ("N,6",)}
    assert (
        verify(tmp_path / "m.pt", path, providers=["cpu"], load_options=asked).verdict
        is Verdict.FAIL
    )


def test_a_random_module_is_inconclusive(tmp_path: Path) -> None:
    path = tmp_path / "r.onnx"
    text = '<ir_version: 8, opset_import: ["": 17]> g (float[N] x) => (float[N] y) { y = Neg(x) }'
    onnx.save(onnx.parser.parse_model(text), path)
    result = verify(Random(), path, providers=["cpu"])
    assert result.verdict in {Verdict.INCONCLUSIVE, Verdict.FAIL}
    assert result.truth.kind == "estimated"
    assert "random" in result.truth.detail


class Attention(nn.Module):
    """Attention as PyTorch fuses it, with a dropout that inference does not do."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.Linear(8, 24)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = (part.unflatten(-1, (2, 4)).transpose(1, 2) for part in self.parts(x).chunk(3, -1))
        y = nn.functional.scaled_dot_product_attention(*parts)
        y = self.dropout(y.transpose(1, 2).flatten(2))
        return nn.functional.dropout(y, 0.5, training=self.training)


def test_attention_that_could_draw_and_does_not_is_no_random_module(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module, x = Attention().eval(), torch.randn(2, 5, 8)
    path = exported(module, (x,), tmp_path, input_names=["x"])
    example = SimpleNamespace(args=(x,), names=("x",), dynamic=())
    result = verify(module, path, example, providers=["cpu"])
    assert result.verdict is Verdict.PASS, result.reason
    assert result.truth.kind != "estimated"


def test_branches_of_a_module_are_counted() -> None:
    counter = BranchCounter()
    model = TorchModel(nn.Sequential(nn.ReLU(), nn.Hardtanh(-1, 2)), ["input"])
    model.run_double({"input": np.array([-3.0, 1.0, 5.0], np.float32)}, branches=counter)
    relu, clamp = counter.counts()
    assert relu.sides == {"negative": 1, "positive": 2}
    assert clamp.untaken == ("below",)


def test_a_channel_of_a_module_that_sleeps_is_woken(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 2)).eval()
    with torch.no_grad():
        module[0].bias[3] = -300.0
    right = exported(module, (features(),), tmp_path, **DYNAMIC)
    assert verify(module, right, providers=["cpu"]).verdict is Verdict.PASS
    other = copy.deepcopy(module)
    with torch.no_grad():
        other[2].weight[:, 3] *= 1.01
    wrong = exported(other, (features(),), tmp_path, **DYNAMIC)
    assert verify(module, wrong, providers=["cpu"]).verdict is Verdict.FAIL


@pytest.mark.parametrize("bound", [1e3, 1e7])
def test_a_bound_that_only_the_candidate_has_is_reached_or_said(
    bound: float, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 2)).eval()
    bounded = nn.Sequential(*module, nn.Hardtanh(-bound, bound))
    path = exported(bounded, (features(),), tmp_path, **DYNAMIC)
    result = verify(module, path, providers=["cpu"])
    told = [text for text in result.warnings if "the candidate has more Clip" in text]
    assert (result.verdict is Verdict.FAIL) == (bound == 1e3)
    assert result.verdict is Verdict.FAIL or told
    plain = verify(module, exported(module, (features(),), tmp_path, **DYNAMIC), providers=["cpu"])
    assert not any("the candidate has more" in text for text in plain.warnings)


def test_its_own_export_excuses_nothing(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Hidden()
    path = exported(module, (features(),), tmp_path, **DYNAMIC)
    assert verify(module, Candidate(path, unfolded=path), providers=["cpu"]).verdict is Verdict.PASS
    wrong = Hidden()
    other = exported(wrong, (features(),), tmp_path, **DYNAMIC)
    result = verify(module, Candidate(other, unfolded=other), providers=["cpu"])
    assert result.verdict is Verdict.FAIL


def test_an_export_that_is_a_little_wrong_does_not_excuse_its_fold(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Hidden()
    other = exported(module, (features(),), tmp_path, **DYNAMIC)
    model = onnx.load(other)
    for tensor in model.graph.initializer:
        value = onnx.numpy_helper.to_array(tensor)
        if value.ndim == 2:
            changed = (value * (1 + 2e-6)).astype(value.dtype)
            tensor.CopyFrom(onnx.numpy_helper.from_array(changed, tensor.name))
    alone = verify(module, model, providers=["cpu"])
    excused = verify(module, Candidate(model, unfolded=model), providers=["cpu"])
    assert alone.verdict is excused.verdict is Verdict.FAIL
    assert alone.rows == excused.rows


def test_a_module_whose_kernels_the_runtime_lacks_is_inconclusive(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv1d(3, 4, 3), nn.BatchNorm1d(4)).double().eval()
    x = torch.randn(2, 3, 9, dtype=torch.float64)
    candidate = exported(module, (x,), tmp_path)
    result = verify(module, candidate, x, providers=["cpu"])
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "NOT_IMPLEMENTED" in result.reason


def test_a_module_is_reproduced_from_its_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(6, 6), nn.ReLU())
    file, folder = tmp_path / "net.pt", tmp_path / "repro"
    torch.save(module, file)
    wrong = exported(nn.Sequential(nn.Linear(6, 6), nn.ReLU()), (features(),), tmp_path, **DYNAMIC)
    first = verify(file, wrong, providers=["cpu"], repro=folder, load_options={"trust": False})
    assert first.verdict is Verdict.FAIL
    assert (folder / "original.pt").read_bytes() == file.read_bytes()
    command = (folder / "command.txt").read_text().splitlines()[-1]
    assert command == "bnfuse verify original.pt candidate.onnx --inputs inputs.npz"
    again = verify(
        folder / "original.pt", folder / "candidate.onnx", folder / "inputs.npz", providers=["cpu"]
    )
    assert again.verdict is Verdict.FAIL


def test_a_module_in_memory_is_reproduced_by_its_export(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Hidden()
    right = exported(module, (features(),), tmp_path, **DYNAMIC)
    baseline = onnx.load(right)
    wrong = exported(Hidden(), (features(),), tmp_path, **DYNAMIC)
    folder = tmp_path / "repro"
    verify(module, Candidate(wrong, unfolded=baseline), providers=["cpu"], repro=folder)
    assert (folder / "unfolded.onnx").is_file()
    assert "bnfuse verify unfolded.onnx candidate.onnx" in (folder / "command.txt").read_text()


class OutsideRandom(nn.Module):
    """Draws from numpy, which no dispatch mode sees."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * (1 + 0.02 * float(np.random.rand()))


class Counting(nn.Module):
    """Leaves something behind with every run."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.count += 1e-2
        return x + self.count


IDENTITY = (
    '<ir_version: 8, opset_import: ["": 17]> g (float[N, 6] x) => (float[N, 6] y) '
    "{ y = Identity(x) }"
)


@pytest.mark.parametrize("kind", [OutsideRandom, Counting])
def test_a_module_that_differs_from_itself_is_inconclusive(kind: type[nn.Module]) -> None:
    result = verify(kind(), onnx.parser.parse_model(IDENTITY), providers=["cpu"])
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "run again" in result.reason


class Difference(nn.Module):
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a - b


@pytest.mark.parametrize("names", ["a b", "p q"])
def test_inputs_by_position_or_by_the_parameters_names(names: str) -> None:
    one, two = names.split()
    head = f"g (float[N, 6] {one}, float[N, 6] {two}) => (float[N, 6] y)"
    text = IDENTITY.split("g (")[0] + f"{head} {{ y = Sub({one}, {two}) }}"
    result = verify(Difference(), onnx.parser.parse_model(text), providers=["cpu"])
    assert result.verdict is Verdict.PASS


def test_inputs_in_another_order_fail() -> None:
    head = "g (float[N, 6] b, float[N, 6] a) => (float[N, 6] y)"
    text = IDENTITY.split("g (")[0] + f"{head} {{ y = Sub(a, b) }}"
    result = verify(Difference(), onnx.parser.parse_model(text), providers=["cpu"])
    assert result.verdict is Verdict.FAIL
    assert "another order" in result.reason


class Narrow(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.bfloat16()


def test_a_bfloat16_output_is_not_taken_for_a_float() -> None:
    result = verify(Narrow(), onnx.parser.parse_model(IDENTITY), providers=["cpu"])
    assert result.verdict is Verdict.INCONCLUSIVE
    assert any("bfloat16" in note for note in result.warnings)


@dataclass
class Result:
    logits: torch.Tensor
    hidden: tuple[torch.Tensor, ...]
    loss: torch.Tensor | None = None


def test_outputs_are_flattened_in_order() -> None:
    one, two, three = (torch.full((1,), float(i)) for i in range(3))
    found = flatten(Result(one, (two, three)))
    assert [value.item() for value in found] == [0.0, 1.0, 2.0]
    assert [value.item() for value in flatten({"b": two, "a": [one, None]})] == [1.0, 0.0]
