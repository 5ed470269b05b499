"""The tools of the coverage table, each a function from one ONNX file to another."""

from __future__ import annotations

__all__ = ["TOOLS", "MissingToolError", "Tool", "open_optimised", "optimised_by_runtime"]

import contextlib
import importlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bnfuse.bench.sessions import open_runner

if TYPE_CHECKING:
    from pathlib import Path

Run = Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]


class MissingToolError(Exception):
    """A tool that is not installed."""


@dataclass(frozen=True)
class Tool:
    """One column of the table.

    Attributes:
        name: The package's.
        optimise: Writes the optimised model; ``None`` for a runtime that keeps it to itself.
    """

    name: str
    optimise: Callable[[Path, Path], None] | None


def open_optimised(tool: Tool, model: Path, folder: Path) -> tuple[Run, dict[str, int]]:
    """What ``tool`` makes of ``model``, as a function on one thread, and its ops by type.

    Raises:
        MissingToolError: It is not installed.
    """
    if tool.optimise is None:
        return _openvino(model)
    target = folder / f"{model.stem}.{tool.name}.onnx"
    with contextlib.redirect_stdout(io.StringIO()):
        tool.optimise(model, target)
    return _run_in_onnxruntime(target), _count(target)


def _run_in_onnxruntime(model: Path) -> Run:
    session = open_runner(model, "cpu", 1).session
    name = session.get_inputs()[0].name

    def run(image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        output: np.ndarray[Any, Any] = session.run(None, {name: image})[0]
        return output

    return run


def _count(model: Path) -> dict[str, int]:
    """The ops that depend on an input, by type: arithmetic on constants costs nothing in a run."""
    import onnx

    graph = onnx.load(model).graph
    constants = {item.name for item in graph.initializer}
    varying = {item.name for item in graph.input} - constants
    products: set[str] = set()
    counts: dict[str, int] = {}
    for node in graph.node:
        if varying.isdisjoint(node.input):
            continue
        varying.update(node.output)
        kind = node.op_type
        if kind == "MatMul":
            products.update(node.output)
        elif kind == "Add" and not products.isdisjoint(node.input) and not varying >= {*node.input}:
            kind = "bias of a MatMul"
        counts[kind] = counts.get(kind, 0) + 1
    return counts


def _imported(package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise MissingToolError(package) from error


def _unchanged(source: Path, target: Path) -> None:
    target.write_bytes(source.read_bytes())


def _onnxsim(source: Path, target: Path) -> None:
    import onnx

    simplified, sound = _imported("onnxsim").simplify(onnx.load(source))
    if not sound:
        raise RuntimeError("onnxsim's own check failed")
    onnx.save(simplified, target)


def _onnxslim(source: Path, target: Path) -> None:
    _imported("onnxslim").slim(str(source), str(target))


def _onnxoptimizer(source: Path, target: Path) -> None:
    import onnx

    optimizer = _imported("onnxoptimizer")
    passes = optimizer.get_fuse_and_elimination_passes()
    onnx.save(optimizer.optimize(onnx.load(source), passes, fixed_point=True), target)


def _onnxscript(source: Path, target: Path) -> None:
    import onnx

    optimised = _imported("onnxscript.optimizer").optimize(onnx.load(source))
    onnx.save(_imported("onnxscript.rewriter").rewrite(optimised), target)


def _onnxruntime(source: Path, target: Path) -> None:
    """Its own optimiser's file, before the layout of this processor is chosen."""
    optimised_by_runtime(source, target, "extended")


def optimised_by_runtime(source: Path, target: Path, level: str) -> None:
    """ONNX Runtime's own optimiser's file: ``basic`` or ``extended``."""
    import onnxruntime

    levels = onnxruntime.GraphOptimizationLevel
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = getattr(levels, f"ORT_ENABLE_{level.upper()}")
    options.optimized_model_filepath = str(target)
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])


def _bnfuse(source: Path, target: Path) -> None:
    from bnfuse.pipeline import fold

    fold(source, output=target, verified=False)


def _openvino(model: Path) -> tuple[Run, dict[str, int]]:
    openvino = _imported("openvino")
    compiled = openvino.Core().compile_model(
        str(model), "CPU", {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    )
    request = compiled.create_infer_request()
    counts: dict[str, int] = {}
    for op in compiled.get_runtime_model().get_ops():
        kind = str(op.get_rt_info()["layerType"].astype(str))
        counts[kind] = counts.get(kind, 0) + 1

    def run(image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        request.infer([image])
        output: np.ndarray[Any, Any] = request.get_output_tensor(0).data
        return output.copy()

    return run, counts


TOOLS: tuple[Tool, ...] = (
    Tool("unfolded", _unchanged),
    Tool("onnxsim", _onnxsim),
    Tool("onnxslim", _onnxslim),
    Tool("onnxoptimizer", _onnxoptimizer),
    Tool("onnxscript", _onnxscript),
    Tool("onnxruntime", _onnxruntime),
    Tool("openvino", None),
    Tool("bnfuse", _bnfuse),
)
