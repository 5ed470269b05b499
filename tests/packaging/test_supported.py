"""What docs/supported.md promises: versions at both ends of their ranges, and operator sets."""

from __future__ import annotations

import re
import tomllib

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from builds import ROOT
from onnx import TensorProto, helper, numpy_helper
from torch import nn

import bnfuse

PAGE = (ROOT / "docs/supported.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OLDEST, NEWEST = 7, 26


def written_norm(opset: int) -> onnx.ModelProto:
    """Conv, a norm by hand, Relu, Conv and a BatchNormalization."""
    rng = np.random.default_rng(opset)
    shapes = dict.fromkeys(("mean", "std", "gamma", "beta"), (1, 8, 1, 1))
    shapes |= dict.fromkeys(("scale", "shift", "running_mean", "running_var"), (4,))
    shapes |= {"w1": (8, 3, 3, 3), "w2": (4, 8, 1, 1)}
    constants = [
        numpy_helper.from_array(rng.uniform(0.5, 2.0, shape).astype(np.float32), name)
        for name, shape in shapes.items()
    ]
    steps = [
        ("Conv", "x w1 conv1"),
        ("Sub", "conv1 mean centred"),
        ("Div", "centred std standard"),
        ("Mul", "standard gamma scaled"),
        ("Add", "scaled beta normed"),
        ("Relu", "normed relu"),
        ("Conv", "relu w2 conv2"),
        ("BatchNormalization", "conv2 scale shift running_mean running_var y"),
    ]
    nodes = [helper.make_node(op, names.split()[:-1], names.split()[-1:]) for op, names in steps]
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8])
    inputs = [image]
    if opset < 9:
        # Before IR version 4 every constant is an input as well.
        inputs += [helper.make_tensor_value_info(c.name, c.data_type, c.dims) for c in constants]
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4, 6, 6])
    graph = helper.make_graph(nodes, "written_norm", inputs, [result], constants)
    opsets = [helper.make_opsetid("", opset)]
    version = 3 if opset < 9 else helper.find_min_ir_version_for(opsets)
    return helper.make_model(graph, opset_imports=opsets, ir_version=version)


@pytest.mark.parametrize("opset", range(OLDEST, onnx.defs.onnx_opset_version() + 1))
def test_every_operator_set_is_folded_and_verified_where_the_runtime_has_it(opset):
    model = written_norm(opset)
    folded = bnfuse.fold(model, providers=["cpu"])
    assert [node.op_type for node in folded.model.graph] == ["Conv", "Relu", "Conv"]
    try:
        onnxruntime.InferenceSession(model.SerializeToString())
    except Exception:
        assert opset > 23
        assert folded.report.verdict == "INCONCLUSIVE"
        assert "does not open" in folded.report.verification.reason
    else:
        assert folded.report.verdict == "PASS"


@pytest.mark.parametrize("opset", [9, 23])
def test_the_oldest_and_the_newest_operator_set_are_exported_folded_and_verified(opset):
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()).eval()
    folded = bnfuse.fold(net, torch.randn(2, 3, 16, 16), opset=opset)
    assert folded.report.opset == opset
    assert [node.op_type for node in folded.model.graph] == ["Conv", "Relu"]
    assert folded.report.verdict == "PASS"


def test_the_page_names_the_oldest_and_the_newest_version_of_every_dependency():
    pins = dict(re.findall(r"^([\w-]+)==([\w.]+)$", (ROOT / "constraints.txt").read_text(), re.M))
    rows = {
        (name, oldest): newest
        for name, oldest, newest in re.findall(
            r"^\| ([\w-]+) \| ([\d.]+) \| ([\d.]+) \|", PAGE, re.M
        )
    }
    floors = dict(one.split(">=") for one in PROJECT["dependencies"])
    assert rows == {(name, oldest): pins[name] for name, oldest in floors.items()}


def test_the_page_and_the_classifiers_name_the_same_pythons():
    named = [one.rpartition(" ")[2] for one in PROJECT["classifiers"] if ":: 3." in one]
    assert f"Python {', '.join(named[:-1])} and {named[-1]}" in PAGE
    assert PROJECT["requires-python"] == f">={named[0]}"


def test_the_page_names_the_operator_sets():
    assert f"{OLDEST} to {NEWEST}" in PAGE
