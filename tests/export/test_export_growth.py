"""No export is larger than its module's parameters by a copy of a constant."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import bnfuse

ROWS, WIDTH = 3000, 32


class Tied(nn.Module):
    """The embedding table is the output layer too."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(ROWS, WIDTH)
        self.linear = nn.Linear(WIDTH, WIDTH)
        self.norm = nn.BatchNorm1d(WIDTH)

    def features(self, ids):
        return self.norm(self.linear(self.table(ids)).transpose(1, 2)).transpose(1, 2)

    def forward(self, ids):
        return self.features(ids) @ self.table.weight.T * 0.5


class TiedScaled(Tied):
    def forward(self, ids):
        return self.features(ids) @ (self.table.weight.T * 0.5)


class TiedLinear(Tied):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(WIDTH, ROWS, bias=False)
        self.head.weight = self.table.weight

    def forward(self, ids):
        return self.head(self.features(ids))


class Repeated(nn.Module):
    """A row for all positions, and a number for each."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(ROWS)
        self.row = nn.Parameter(torch.randn(1, WIDTH))

    def forward(self, x):
        rows = self.row.expand(ROWS, WIDTH) * 2.0 + torch.arange(ROWS)[:, None] * self.row
        return self.norm(torch.sigmoid(x)) + rows


def stored_bytes(model):
    return sum(value.const_value.nbytes for value in model.graph.initializers.values())


@pytest.mark.parametrize("kind", [Tied, TiedScaled, TiedLinear, Repeated])
def test_an_export_stores_no_constant_twice(kind):
    net = kind().eval()
    own = sum(tensor.nbytes for tensor in [*net.parameters(), *net.buffers()])
    x = torch.randn(2, ROWS, WIDTH) if kind is Repeated else torch.randint(0, ROWS, (2, 5))
    exported = bnfuse.export(net, x)
    assert stored_bytes(exported.model) <= own + 4096
    folded = bnfuse.fold(exported.model, verified=False)
    assert stored_bytes(folded.model) <= own + 4096
    assert folded.report.norms[0].folded or kind is Repeated
    assert exported.notes == ()


def test_a_weight_that_nothing_else_reads_is_still_written_out():
    net = nn.Sequential(nn.Linear(256, 256), nn.BatchNorm1d(256)).eval()
    torch.nn.utils.parametrizations.weight_norm(net[0])
    exported = bnfuse.export(net, torch.randn(3, 256))
    assert [node.op_type for node in exported.model.graph] == ["Gemm", "BatchNormalization"]
