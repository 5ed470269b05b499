"""A path that an export took for some sizes, or for some numbers, is said and held to."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import onnx
import pytest
import torch
from torch import nn

import bnfuse
from bnfuse.exporting.exported import TRACE


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x):
        return self.norm(self.conv(x))


class FewRows(Block):
    def forward(self, x):
        y = super().forward(x)
        return 2 * y if x.shape[0] < 4 else y


class ShortRows(Block):
    def forward(self, x):
        y = super().forward(x)
        return 2 * y if x.shape[2] < 10 else y


class SameForOne(Block):
    """Its path for one row computes what the other does."""

    def forward(self, x):
        y = super().forward(x)
        return y.squeeze(0).unsqueeze(0) if x.shape[0] == 1 else y


class Regulator(nn.Module):
    """Repeats each row as often as its number says."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(20, 4)
        self.norm = nn.BatchNorm1d(4)

    def forward(self, ids):
        counts = ids % 3
        if counts.sum() == 0:
            counts = counts + 1
        row = torch.repeat_interleave(self.table(ids[0]), counts[0], dim=0)
        return self.norm(row.T[None])


@pytest.mark.parametrize(
    ("net", "shape", "sizes"),
    [
        (FewRows(), "N,4,8", {"N": [None, 3]}),
        (ShortRows(), "N,4,L:8", {"L": [None, 9]}),
        (ShortRows(), "N,4,L:12", {"L": [10, None]}),
    ],
)
def test_a_model_is_verified_at_the_sizes_it_says_it_is_valid_for(net, shape, sizes, tmp_path):
    path = tmp_path / "folded.onnx"
    folded = bnfuse.fold(net.eval(), input_shapes=[shape], output=path)
    assert folded.report.verdict == "PASS"
    (symbol,) = sizes
    assert any(f"valid for {symbol} " in note for note in folded.report.verification.warnings)
    props = {prop.key: prop.value for prop in onnx.load(path).metadata_props}
    assert json.loads(props["bnfuse.sizes"]) == sizes
    assert bnfuse.verify(net, path).verdict.value == "PASS"
    again = bnfuse.fold(path)
    assert json.loads(again.model.metadata_props["bnfuse.sizes"]) == sizes


NONSENSE = ("no json", "[]", '{"N": 3}', '{"N": [0, "x"]}', '{"N": [99999, 1]}')


@pytest.mark.parametrize("said", NONSENSE)
def test_sizes_that_make_no_sense_bound_nothing(said):
    net = FewRows().eval()
    model = bnfuse.export(net, input_shapes=["N,4,8"]).model
    model.metadata_props["bnfuse.sizes"] = said
    assert bnfuse.verify(net, model).verdict.value == "FAIL"


def test_a_path_for_one_row_that_computes_the_same_bounds_nothing(tools):
    exported = tools.export(SameForOne(), torch.randn(2, 4, 8))
    assert exported.notes == ()
    assert "bnfuse.sizes" not in exported.model.metadata_props


def test_a_trace_that_holds_only_for_numbers_like_the_examples_says_so(tools):
    exported = tools.export(Regulator(), torch.tensor([[1, 2, 4, 5, 3, 0]]), names=["ids"])
    assert exported.exporter == TRACE
    assert any("only on the path that the example takes" in note for note in exported.notes)


class Table(nn.Module):
    """As many rows as its parameter has."""

    def __init__(self):
        super().__init__()
        self.rows = nn.Parameter(torch.randn(2, 4))

    def forward(self, x):
        return x + self.rows


class Counted(nn.Module):
    def forward(self, x):
        return x * sum(range(int(x.shape[0])))


def line_of(function, text):
    lines, first = inspect.getsourcelines(function)
    (place,) = (n for n, line in enumerate(lines) if text in line)
    return f"{Path(__file__).name}:{first + place}"


def test_the_reason_why_a_dimension_is_fixed_is_named(tools):
    (note,) = tools.export(Table(), torch.randn(2, 4)).notes
    assert note.endswith("is fixed at 2: an operator of forward takes no other size")
    (note,) = tools.export(Counted(), torch.randn(2, 4)).notes
    here = line_of(Counted.forward, "int(x.shape[0])")
    assert note.endswith(f"is fixed at 2: forward decides on it at {here}")


def test_the_line_where_a_path_parts_is_named(tools):
    (note,) = tools.export(FewRows(), torch.randn(2, 4, 8)).notes
    here = line_of(FewRows.forward, "x.shape[0] < 4")
    assert note.endswith(f"forward takes another path outside ({here})")
