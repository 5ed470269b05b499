"""Norms of torch modules that no op alone is, all in one net, and what is said of one not known."""

from __future__ import annotations

from collections import Counter

import torch
from torch import nn

import bnfuse

C = 4


class _Norm(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.randn(C))
        self.register_buffer("var", torch.rand(C) + 0.5)
        self.weight, self.bias = nn.Parameter(torch.randn(C)), nn.Parameter(torch.randn(C))

    @property
    def scale(self):
        return self.weight / (self.var + 1e-5).sqrt()

    @property
    def shift(self):
        return self.bias - self.mean * self.scale


class _WritesChannels(_Norm):
    def forward(self, x):
        y = torch.zeros_like(x)
        for c in range(C):
            y[:, c] = (x[:, c] - self.mean[c]) / (self.var[c] + 1e-5) ** 0.5
        return y


class _StacksChannels(_Norm):
    def forward(self, x):
        return torch.stack([x[:, c] * self.scale[c] + self.shift[c] for c in range(C)], 1)


class _Lerp(_Norm):
    def forward(self, x):
        centred = x - self.mean[:, None, None]
        return torch.lerp(self.bias[:, None, None], centred, self.scale[:, None, None])


class _DiagonalProduct(_Norm):
    def forward(self, x):
        flat = torch.diag(self.scale) @ x.flatten(2) + self.shift[:, None]
        return flat.view_as(x)


class _RepeatedDiagonal(_Norm):
    def forward(self, x):
        n, c, h, w = x.shape
        shift = self.shift.view(1, c, 1).expand(n, c, h * w)
        return torch.baddbmm(shift, torch.diag(self.scale).expand(n, c, c), x.flatten(2)).view_as(x)


class _DiagonalEinsum(_Norm):
    def forward(self, x):
        return torch.einsum("nchw,cd->ndhw", x, torch.diag(self.scale)) + self.shift[:, None, None]


class _FixedChoice(_Norm):
    def forward(self, x):
        mean = torch.where(torch.tensor(self.training), x.mean((0, 2, 3)), self.mean)
        return (x - mean[:, None, None]) * self.scale[:, None, None]


class _Sorted(_Norm):
    """Normalises by statistics in an order that the input decides: no norm."""

    def forward(self, x):
        order = torch.argsort(x.mean((0, 2, 3)))
        return (x - self.mean[order].view(1, C, 1, 1)) * self.scale[order].view(1, C, 1, 1)


class _Net(nn.Module):
    def __init__(self, norms):
        super().__init__()
        torch.manual_seed(0)
        self.convs = nn.ModuleList(nn.Conv2d(3 if not i else C, C, 1) for i in range(len(norms)))
        self.norms = nn.ModuleList(norm() for norm in norms)

    def forward(self, image):
        for conv, norm in zip(self.convs, self.norms, strict=True):
            image = torch.relu(norm(conv(image)))
        return image.mean((2, 3))


def test_norms_that_are_put_together_fold():
    norms = [_WritesChannels, _StacksChannels, _Lerp, _DiagonalProduct, _RepeatedDiagonal]
    net = _Net([*norms, _DiagonalEinsum, _FixedChoice]).eval()
    folded = bnfuse.fold(net, torch.randn(2, 3, 4, 4)).raise_for_verdict()
    assert folded.report.verification.proof.proved
    ops = Counter(node.op_type for node in folded.model.graph)
    assert ops == {"Conv": 7, "Relu": 7, "ReduceMean": 1}
    assert not folded.report.notes


def test_a_part_that_keeps_statistics_and_in_which_no_norm_was_recognised_is_named():
    net = _Net([_Lerp, _Sorted]).eval()
    (note,) = bnfuse.fold(net, torch.randn(2, 3, 4, 4), verified=False).report.notes
    assert note.startswith("norms.1: no norm was recognised")
    assert "TopK" in note
