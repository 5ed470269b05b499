from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch

from bnfuse.examples.inputs import ExampleInputs
from bnfuse.exporting import Exported, export_module


def inputs(*args, names=None, dynamic=None):
    names = tuple(names or (("x",) if len(args) == 1 else tuple("abcdefg"[: len(args)])))
    dynamic = tuple(dynamic if dynamic is not None else [{0: "N"}] * len(args))
    return ExampleInputs(tuple(args), names, dynamic, found="given by the test")


def run(model, *feeds):
    """Run in ONNX Runtime as written: nothing fused, nothing rearranged."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    data = ir.to_proto(model).SerializeToString()
    session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    return session.run(None, {name: feed.numpy() for name, feed in zip(names, feeds, strict=True)})


def close(found, wanted, tolerance=1e-5):
    wanted = wanted.detach().float().numpy()
    assert found.shape == wanted.shape
    scale = max(float(np.abs(wanted).max(initial=0)), 1e-6)
    return float(np.abs(found.astype(np.float32) - wanted).max(initial=0)) <= tolerance * scale


def operators(model):
    return [node.op_type for node in model.graph]


@pytest.fixture
def tools():
    """The helpers of this folder, which has no package to import them from."""

    class Tools:
        pass

    for helper in (inputs, run, close, operators):
        setattr(Tools, helper.__name__, staticmethod(helper))

    def export(module, *args, names=None, dynamic=None, **options) -> Exported:
        module.eval()
        return export_module(module, inputs(*args, names=names, dynamic=dynamic), **options)

    Tools.export = staticmethod(export)
    return Tools


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(7)
