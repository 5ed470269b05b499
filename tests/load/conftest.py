"""Fixtures for the tests of loading."""

from __future__ import annotations

import importlib
import sys

import pytest

from bnfuse.loading.consent.imports import working_directory_on_path

MYNETS = """
import torch
from torch import nn


class ScratchBN(nn.Module):
    def __init__(self, channels=2):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.register_buffer("moving_mean", torch.full((1, channels, 1, 1), 0.25))
        self.register_buffer("moving_var", torch.full((1, channels, 1, 1), 0.5))

    def forward(self, x):
        return (x - self.moving_mean) / torch.sqrt(self.moving_var + 1e-5) * self.gamma


class PlainNorm(nn.Module):
    def __init__(self, channels=2):
        super().__init__()
        self.m = nn.Parameter(torch.ones(channels, 1, 1))

    def forward(self, x):
        if self.training:
            self.means = x.mean((0, 2, 3))[:, None, None]
            self.stds = x.std((0, 2, 3))[:, None, None]
        return (x - self.means) / self.stds * self.m


class Net(nn.Module):
    def __init__(self, channels=2, norm=ScratchBN):
        super().__init__()
        self.conv = nn.Conv2d(1, channels, 3)
        self.norm = norm(channels)

    def forward(self, x):
        return self.norm(self.conv(x))


def make(channels=2):
    return Net(channels)


def plain():
    return Net(2, PlainNorm)


def broken():
    raise RuntimeError("no such weights")


def number():
    return 3


from os import system as innocent
"""


@pytest.fixture
def mynets(tmp_path, monkeypatch):
    """A module of the user's in the working directory, importable only from there."""
    (tmp_path / "mynets.py").write_text(MYNETS)
    monkeypatch.chdir(tmp_path)
    sys.modules.pop("mynets", None)
    with working_directory_on_path():
        module = importlib.import_module("mynets")
    yield module
    sys.modules.pop("mynets", None)


@pytest.fixture
def forget_mynets():
    """As a new process would be: the module is not imported yet."""

    def forget():
        sys.modules.pop("mynets", None)

    return forget
