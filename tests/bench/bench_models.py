"""Small ONNX files to time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from pathlib import Path


def write_conv(
    path: Path,
    *,
    layers: int = 1,
    name: str = "x",
    dims: tuple[object, ...] = ("N", 3, 8, 8),
    elem_type: int = TensorProto.FLOAT,
    external: bool = False,
) -> Path:
    """A chain of 3×3 convolutions that keep three channels."""
    rng = np.random.default_rng(0)
    dtype = helper.tensor_dtype_to_np_dtype(elem_type)
    weights = [rng.standard_normal((3, 3, 3, 3)).astype(dtype) for _ in range(layers)]
    values = [name, *(f"v{i}" for i in range(layers))]
    nodes = [
        helper.make_node("Conv", [values[i], f"w{i}"], [values[i + 1]], pads=[1, 1, 1, 1])
        for i in range(layers)
    ]
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "convs",
            [helper.make_tensor_value_info(name, elem_type, dims)],
            [helper.make_tensor_value_info(values[-1], elem_type, dims)],
            [numpy_helper.from_array(w, f"w{i}") for i, w in enumerate(weights)],
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
    )
    if external:
        onnx.save_model(
            model, path, save_as_external_data=True, location=f"{path.name}.data", size_threshold=0
        )
    else:
        onnx.save_model(model, path)
    return path
