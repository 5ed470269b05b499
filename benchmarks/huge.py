"""A model of 4 GB with external data, folded end to end: its memory, and whether it is right."""

from __future__ import annotations

__all__ = ["fold_huge"]

import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.process import measure

_WIDTH = 4096
_LAYERS = 64
_NORM = (("Sub", -0.1, 0.1), ("Div", 0.8, 1.2), ("Mul", 0.8, 1.2), ("Add", -0.1, 0.1))


def fold_huge(layers: int = _LAYERS) -> dict[str, Any]:
    """Make it in a temporary folder, fold it in a process of its own, and check the result.

    Args:
        layers: Each is a MatMul by 64 MiB with a hand-written norm and a Relu.

    Raises:
        AssertionError: The result is not valid or a weight is not the folded one.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "huge.onnx"), Path(folder, "folded.onnx")
        _write(source, layers)
        command = ["-m", "bnfuse", "fold", "--no-verify", "-q", str(source), "-o", str(target)]
        cost = measure([sys.executable, *command])
        # By its path: a message of more than 2 GB cannot be checked in memory.
        onnx.checker.check_model(str(target))
        folded = onnx.load(target, load_external_data=False)
        kinds = [node.op_type for node in folded.graph.node]
        assert kinds == ["Gemm", "Relu"] * layers
        for layer in {0, layers // 2, layers - 1}:
            _check(target, folded, layer)
        size = sum(file.stat().st_size for file in target.parent.glob("folded.onnx*"))
    return {"layers": layers, "bytes": size, **asdict(cost)}


def _write(path: Path, layers: int) -> None:
    data = path.with_name(f"{path.name}.data")
    nodes: list[onnx.NodeProto] = []
    constants: list[TensorProto] = []

    def op(op_type: str, *inputs: str) -> str:
        output = f"{op_type}_{len(nodes)}"
        nodes.append(helper.make_node(op_type, inputs, [output], name=output))
        return output

    x = "x"
    with data.open("wb") as file:
        for layer in range(layers):
            constants.append(_external(f"weight_{layer}", _weight(layer), file))
            x = op("MatMul", x, constants[-1].name)
            for op_type, vector in _norm(layer).items():
                constants.append(numpy_helper.from_array(vector, f"{op_type}_{layer}.constant"))
                x = op(op_type, x, constants[-1].name)
            x = op("Relu", x)
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", _WIDTH]) for name in ("x", x)
    ]
    graph = helper.make_graph(nodes, "huge", ends[:1], ends[1:], constants)
    opset = helper.make_opsetid("", 18)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)


def _external(name: str, array: np.ndarray, file: BinaryIO) -> TensorProto:
    tensor = TensorProto(
        name=name,
        data_type=TensorProto.FLOAT,
        dims=array.shape,
        data_location=TensorProto.EXTERNAL,
    )
    place = {"location": Path(file.name).name, "offset": file.tell(), "length": array.nbytes}
    for key, value in place.items():
        tensor.external_data.add(key=key, value=str(value))
    array.tofile(file)
    return tensor


def _weight(layer: int) -> np.ndarray:
    rng = np.random.default_rng(layer)
    return rng.standard_normal((_WIDTH, _WIDTH), np.float32) * np.float32(_WIDTH**-0.5)


def _norm(layer: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng((1, layer))
    return {
        op_type: rng.uniform(low, high, _WIDTH).astype(np.float32) for op_type, low, high in _NORM
    }


def _check(target: Path, model: onnx.ModelProto, layer: int) -> None:
    """Hold a layer's weight and bias to the numbers that the model was made of."""
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    weight, bias = (
        _numbers(stored[name], target.parent) for name in model.graph.node[2 * layer].input[1:]
    )
    mean, deviation, scale, shift = (v.astype(np.float64) for v in _norm(layer).values())
    factor = scale / deviation
    exact = _weight(layer) * factor
    unit = np.finfo(np.float32).eps
    assert np.all(np.abs(weight - exact) <= 0.51 * unit * np.abs(exact)), f"weight {layer}"
    terms = np.abs(shift) + np.abs(mean * factor)
    assert np.all(np.abs(bias - (shift - mean * factor)) <= 0.51 * unit * terms), f"bias {layer}"


def _numbers(tensor: TensorProto, folder: Path) -> np.ndarray:
    if tensor.data_location != TensorProto.EXTERNAL:
        return numpy_helper.to_array(tensor)
    place = {entry.key: entry.value for entry in tensor.external_data}
    count = int(np.prod(tensor.dims))
    path = folder / place["location"]
    array = np.fromfile(path, np.float32, count, offset=int(place["offset"]))
    return array.reshape(tensor.dims)
