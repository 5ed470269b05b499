"""Right candidates: the same function by another road, from several tools."""

from __future__ import annotations

import contextlib
import io
import os
from typing import TYPE_CHECKING

from verification_nets import NETS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import onnx

__all__ = ["RIGHT"]


def folded(net: str, seed: int, folder: Path, kind: str) -> onnx.ModelProto:
    del folder
    return NETS[net](seed, kind)


def from_onnxsim(net: str, seed: int, folder: Path) -> onnx.ModelProto:
    del folder
    import onnxsim

    with contextlib.redirect_stdout(io.StringIO()):
        simplified, _ = onnxsim.simplify(NETS[net](seed))
    return simplified


def from_onnxslim(net: str, seed: int, folder: Path) -> onnx.ModelProto:
    del folder
    import onnxslim

    with contextlib.redirect_stdout(io.StringIO()):
        return onnxslim.slim(NETS[net](seed))


def from_onnxruntime(net: str, seed: int, folder: Path) -> str:
    import onnxruntime

    path = os.fspath(folder / f"{net}-{seed}-ort.onnx")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = path
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    onnxruntime.InferenceSession(
        NETS[net](seed).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return path


RIGHT: dict[str, Callable[[str, int, Path], onnx.ModelProto | str]] = {
    "float64 fold": lambda net, seed, folder: folded(net, seed, folder, "float64"),
    "float32 fold": lambda net, seed, folder: folded(net, seed, folder, "float32"),
    "onnxsim": from_onnxsim,
    "onnxslim": from_onnxslim,
    "onnxruntime": from_onnxruntime,
}
