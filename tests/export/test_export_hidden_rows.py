"""Attention rows in which every position is hidden: zeros in PyTorch, and so in the export."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

SHOWN = torch.tensor([[True] * 5, [True, False, True, False, False], [False] * 5])
X = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(0))
HIDDEN = 2


class Attention(nn.Module):
    """Two heads of width 4, the third sequence hidden; ``mask`` makes what the operator takes."""

    def __init__(self, mask):
        super().__init__()
        self.mask = mask
        self.mix = nn.Linear(8, 24)

    def forward(self, x, shown):
        q, k, v = self.mix(x).unflatten(2, (3, 2, 4)).permute(2, 0, 3, 1, 4)
        mask = self.mask(shown[:, None, None, :])
        return scaled_dot_product_attention(q, k, v, mask).transpose(1, 2).flatten(2)


class Spelt(nn.Module):
    """The translation's own spelling, by a module that means it: the lowest number is a mean."""

    def __init__(self, lowest):
        super().__init__()
        self.mix = nn.Linear(8, 16)
        self.lowest = lowest

    def forward(self, x, shown):
        k, v = self.mix(x).chunk(2, -1)
        scores = x @ k.mT + torch.where(shown[:, None, :], 0.0, self.lowest)
        shares = scores.softmax(-1)
        return torch.where(shares.isnan(), 0.0, shares) @ v


def floats(lowest, dtype=torch.float32):
    return lambda shown: torch.zeros(shown.shape, dtype=dtype).masked_fill(~shown, lowest)


@pytest.fixture
def exported(tools):
    """The graph of a module, what it computes and what the module does."""

    def exported(module, x, mask):
        model = tools.export(module, x, mask, names=("x", "shown")).model
        with torch.no_grad():
            return model, tools.run(model, x, mask)[0], module(x, mask).numpy()

    return exported


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        *itertools.product(["boolean", "infinity"], [torch.float32, torch.float64, torch.float16]),
        # The translation writes the lowest double as a float, which it is not.
        *itertools.product(["lowest"], [torch.float32, torch.float16]),
    ],
)
def test_a_hidden_row_is_what_the_module_makes_of_it(exported, kind, dtype):
    lowest = torch.finfo(dtype).min if kind == "lowest" else -torch.inf
    mask = nn.Identity() if kind == "boolean" else floats(lowest, dtype)
    model, got, wanted = exported(Attention(mask).to(dtype), X.to(dtype), SHOWN)
    np.testing.assert_allclose(got, wanted, atol=2e-3 if dtype is torch.float16 else 1e-6)
    assert np.any(wanted[HIDDEN]) == (kind == "lowest")
    assert ("IsNaN" in [node.op_type for node in model.graph]) == (kind != "lowest")


def test_a_mask_of_floats_may_be_an_input(exported):
    class Given(Attention):
        def forward(self, x, shown):
            q, k, v = self.mix(x).unflatten(2, (3, 2, 4)).permute(2, 0, 3, 1, 4)
            return scaled_dot_product_attention(q, k, v, shown[:, None, None, :])

    _, got, wanted = exported(Given(None), X, floats(-torch.inf)(SHOWN))
    np.testing.assert_allclose(got, wanted, atol=1e-6)
    assert not wanted[HIDDEN].any()


def test_a_padded_sequence_of_an_encoder_layer(exported):
    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)

        def forward(self, x, shown):
            return self.layer(x, src_key_padding_mask=~shown)

    net = Encoder()
    _, got, fused = exported(net, X, SHOWN)
    # Where no gradient is asked for, PyTorch's fused kernel makes NaN of such rows.
    assert np.isnan(fused[HIDDEN]).all()
    np.testing.assert_allclose(got, net(X, SHOWN).detach().numpy(), atol=2e-6)


@pytest.mark.parametrize("lowest", [torch.finfo(torch.float32).min, -torch.inf])
def test_a_modules_own_spelling_stays(exported, lowest):
    _, got, wanted = exported(Spelt(lowest), X, SHOWN)
    np.testing.assert_allclose(got, wanted, atol=1e-6)
    assert np.any(wanted[HIDDEN]) == np.isfinite(lowest)


def test_scores_with_a_bias_that_hides_nothing_get_no_guard(exported):
    bias = nn.Parameter(torch.linspace(0, 1, 5), requires_grad=False)
    model, got, wanted = exported(Attention(lambda shown: shown * bias), X, SHOWN)
    np.testing.assert_allclose(got, wanted, atol=1e-6)
    assert "IsNaN" not in [node.op_type for node in model.graph]
