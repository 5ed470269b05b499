"""Pre-activation residual nets whose norms have the statistics of what they read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from graphs import Net
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx

    Gammas = Callable[[np.random.Generator, np.ndarray], np.ndarray]

_EPSILON = 1e-5
_SPELLINGS = ("norm", "affine", "chain")


@dataclass
class _Value:
    """A value of the graph and what it is for random images, float64."""

    name: str
    sample: Tensor


class PreActivation:
    """Builds one.

    Args:
        gammas: Changes the gammas of one norm of the stream, given a random generator.
        spelling: ``norm`` for BatchNormalization, ``affine`` for one Mul and one Add, ``chain``
            for Sub, Div, Mul and Add.
    """

    def __init__(
        self,
        seed: int = 0,
        channels: int = 16,
        dtype: Any = np.float32,
        spelling: str = "norm",
        gammas: Gammas | None = None,
    ) -> None:
        assert spelling in _SPELLINGS
        self.net = Net(seed=seed, dtype=dtype)
        self.channels = channels
        self.spelling = spelling
        self.gammas = gammas

    def build(
        self, blocks: int, *, projections: int = 0, bottleneck: bool = False
    ) -> onnx.ModelProto:
        """A stem, so many blocks, every so many of them with a 1×1 beside it, and a head."""
        sample = torch.tensor(self.net.rng.standard_normal((8, 3, 6, 6)))
        stream = self._conv(_Value(self.net.input(["N", 3, 6, 6]), sample), 3)
        for block in range(blocks):
            branch = self._relu(self._norm(stream, self.gammas))
            if bottleneck:
                branch = self._relu(self._norm(self._conv(branch, 1)))
            branch = self._conv(self._relu(self._norm(self._conv(branch, 3))), 3)
            projected = projections and block % projections == 0
            beside = self._conv(stream, 1) if projected else stream
            total = self.net.op("Add", beside.name, branch.name)
            stream = _Value(total, beside.sample + branch.sample)
        stream = self._relu(self._norm(stream, self.gammas))
        pooled = self.net.op("Flatten", self.net.op("GlobalAveragePool", stream.name))
        return self.net.model(self.net.op("Gemm", pooled, self.net.param(self.channels, 5)))

    def _conv(self, x: _Value, kernel: int) -> _Value:
        inputs = x.sample.shape[1]
        weight = self.net.floats(self.channels, inputs, kernel, kernel)
        weight = (weight * np.sqrt(2.0 / (inputs * kernel**2))).astype(self.net.dtype)
        y = self.net.op("Conv", x.name, self.net.const(weight), pads=[kernel // 2] * 4)
        exact = torch.tensor(weight.astype(np.float64))
        return _Value(y, F.conv2d(x.sample, exact, padding=kernel // 2))

    def _relu(self, x: _Value) -> _Value:
        return _Value(self.net.op("Relu", x.name), F.relu(x.sample))

    def _norm(self, x: _Value, gammas: Gammas | None = None) -> _Value:
        rng, channels = self.net.rng, self.channels
        gamma, beta = np.exp(rng.standard_normal(channels) / 4), rng.standard_normal(channels) / 3
        if gammas is not None:
            gamma = gammas(rng, gamma)
        mean, variance = (f((0, 2, 3)).numpy() for f in (x.sample.mean, x.sample.var))
        # What is stored is what runs: in half precision it is not what was computed.
        stored = [a.astype(self.net.dtype) for a in (gamma, beta, mean, variance)]
        gamma, beta, mean, variance = (a.astype(np.float64) for a in stored)
        scale = gamma / np.sqrt(variance + _EPSILON)
        exact = [torch.tensor(a).reshape(-1, 1, 1) for a in (scale, beta - mean * scale)]
        return _Value(self._spelt(x.name, stored, scale), x.sample * exact[0] + exact[1])

    def _spelt(self, x: str, stored: list[np.ndarray], scale: np.ndarray) -> str:
        gamma, beta, mean, variance = stored
        if self.spelling == "norm":
            constants = [self.net.const(a) for a in stored]
            return self.net.op("BatchNormalization", x, *constants, epsilon=_EPSILON)
        if self.spelling == "affine":
            return self._by("Add", self._by("Mul", x, scale), beta - mean * scale)
        centred = self._by("Sub", x, mean)
        normed = self._by("Div", centred, np.sqrt(variance.astype(np.float64) + _EPSILON))
        return self._by("Add", self._by("Mul", normed, gamma), beta)

    def _by(self, op_type: str, x: str, vector: np.ndarray) -> str:
        constant = vector.astype(self.net.dtype).reshape(-1, 1, 1)
        return self.net.op(op_type, x, self.net.const(constant))
