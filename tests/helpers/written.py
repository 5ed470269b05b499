"""Small models written in ONNX's textual syntax."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx.parser
from onnx import numpy_helper

_HEADER = '<ir_version: 8, opset_import: ["": 18]>\n'


def parse(body: str, **tensors: Any) -> onnx.ModelProto:
    """The model of a graph, with these float32 initialisers."""
    model = onnx.parser.parse_model(_HEADER + body)
    model.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value, np.float32), name)
        for name, value in tensors.items()
    )
    return model
