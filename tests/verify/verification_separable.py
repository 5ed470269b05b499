"""Depthwise-separable nets in which a signal dies away, and their right folds."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

__all__ = ["folded", "separable"]


def separable(seed: int, width: int = 1024) -> nn.Sequential:
    """Return a depthwise-separable net whose norms do something and whose weights hardly do."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for before, after, kernel, stride, groups in (
        (3, 16, 3, 2, 1), (16, width, 1, 1, 1),
        (width, width, 3, 2, width), (width, width, 1, 1, 1),
    ):  # fmt: skip
        conv = nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=False)
        norm = nn.BatchNorm2d(after)
        nn.init.normal_(conv.weight, std=0.04)
        for tensor in (norm.running_var, norm.weight):
            assert tensor is not None
            nn.init.uniform_(tensor, 0.6, 1.6)
        for tensor in (norm.running_mean, norm.bias):
            assert tensor is not None
            nn.init.normal_(tensor, std=0.3)
        layers += [conv, norm, nn.ReLU6()]
    return nn.Sequential(*layers).eval()


def folded(net: nn.Sequential) -> onnx.ModelProto:
    """Return its right fold, derived in float64."""
    nodes, tensors, x = [], [], "x"
    for place in range(0, len(net), 3):
        conv, norm = net[place], net[place + 1]
        scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
        weight = (conv.weight.double() * scale.reshape(-1, 1, 1, 1)).float().detach().numpy()
        shift = (norm.bias.double() - norm.running_mean.double() * scale).float().detach().numpy()
        names = f"w{place}", f"b{place}"
        tensors += map(numpy_helper.from_array, (weight, shift), names)
        given: dict[str, Any] = {"pads": [conv.padding[0]] * 4, "strides": conv.stride}
        made, y = f"c{place}", "y" if place + 3 == len(net) else f"h{place}"
        nodes.append(helper.make_node("Conv", [x, *names], [made], group=conv.groups, **given))
        nodes.append(helper.make_node("Clip", [made, "low", "high"], [y]))
        x = y
    tensors += [numpy_helper.from_array(np.float32(v), n) for v, n in ((0, "low"), (6, "high"))]
    ports = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8]),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", None, None, None]),
    ]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], tensors)
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8)
