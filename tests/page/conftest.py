"""A small net in which every fate occurs, and the report of its fold as the command writes it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from graphs import Net
from page_names import HOSTILE

import bnfuse
from bnfuse.cli.report import document


@pytest.fixture(scope="session")
def model() -> onnx.ModelProto:
    """A Conv with a norm of hostile names, a skip, and a norm that stays before a padded Conv."""
    net = Net(dtype=np.float32)
    conv = net.conv(net.input(["N", 3, 8, 8]), 3, 8, name=HOSTILE)
    normed = net.norm(conv, 8, 2, positive=True)
    inner = net.norm(net.conv(net.op("Relu", normed), 8, 8, pads=[1, 1, 1, 1]), 8, 2)
    joined = net.op("Relu", net.op("Add", normed, inner))
    stays = net.op("Mul", joined, net.op("Sigmoid", net.norm(joined, 8, 2)))
    return net.model(net.op("Relu", stays, name="the output's Relu"))


@pytest.fixture(scope="session")
def folded(model: onnx.ModelProto) -> bnfuse.pipeline.Folded:
    return bnfuse.fold(model, providers=("cpu",))


@pytest.fixture(scope="session")
def run(folded: Any) -> dict[str, Any]:
    """What ``--json --detailed`` writes."""
    return document("fold", 0, folded.report.to_json(detailed=True))


@pytest.fixture(scope="session")
def times() -> dict[str, Any]:
    """What ``bnfuse bench --json`` writes."""
    spread = {"median": 2e-3, "lower_quartile": 1e-3, "upper_quartile": 3e-3, "least": 1e-3}
    half = {key: value / 2 for key, value in spread.items()}
    ratio = {"value": 0.5, "low": 0.4, "high": 0.6}
    first = {"path": "a.onnx", "bytes": 9, "seconds": spread, "ratio": None, "difference": None}
    second = {**first, "path": "b<i>.onnx", "seconds": half, "ratio": ratio, "difference": "faster"}
    head = {"command": "bench", "error": None, "onnxruntime": "1", "provider": "cpu"}
    return {**head, "threads": 1, "rounds": 50, "models": [first, second]}
