"""PyTorch's tracing exporter: runs the module once and writes down what it did.

For programs that torch.export cannot capture. It is asked for no constant folding, which is where
it would fuse batch norm into convolutions, and for exact module paths in its scopes.
"""

from __future__ import annotations

__all__ = ["Traced", "trace"]

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import torch
from torch.jit._trace import TracerWarning

from bnfuse.exporting.quiet import quiet
from bnfuse.exporting.request import RefusedError, one_sentence, where
from bnfuse.exporting.scopes import exact_scopes, scopes_to_metadata

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bnfuse.exporting.request import Request

_MAX_OPSET = 20
_PRESERVE = torch.onnx.TrainingMode.PRESERVE


@dataclass(frozen=True)
class Traced:
    """A traced graph.

    Attributes:
        model: The graph, at most at opset 20.
        decisions: The source lines, ``model.py:40``, whose outcome the trace fixed.
        notes: What else a user should know.
    """

    model: ir.Model
    decisions: tuple[str, ...]
    notes: tuple[str, ...]


def trace(request: Request) -> Traced:
    """Export by tracing.

    Raises:
        RefusedError: The tracing exporter does not take the module.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.onnx"
        axes = dict(zip(request.inputs.names, request.inputs.dynamic, strict=True))
        decisions = _export(request, path, axes)
        notes = []
        if any(axes.values()) and not _holds(request, path):
            _export(request, path, {})
            notes.append(
                "every dimension is fixed: the trace computes with the sizes of the example"
            )
        model = ir.load(path)
        # The files vanish with the folder.
        ir.external_data.load_to_model(model)
    undo_deduplication(model)
    scopes_to_metadata(model, request.module)
    _forget_made_up_dimensions(model, axes)
    return Traced(model, tuple(decisions), tuple(notes))


def _export(request: Request, path: Path, axes: Mapping[str, Mapping[int, str]]) -> list[str]:
    try:
        with (
            quiet() as warned,
            exact_scopes(request.module),
            torch.no_grad(),
        ):
            torch.onnx.export(
                request.module,
                request.args,
                path,
                kwargs=request.kwargs or None,
                dynamo=False,
                input_names=list(request.inputs.names),
                dynamic_axes={name: symbols for name, symbols in axes.items() if symbols},
                opset_version=min(request.opset, _MAX_OPSET),
                training=_PRESERVE,
                do_constant_folding=False,
                keep_initializers_as_inputs=False,
            )
    except Exception as error:
        raise RefusedError(f"{one_sentence(error)}{where(error)}") from error
    library = str(Path(torch.__file__).parent)
    places = [
        f"{Path(warning.filename).name}:{warning.lineno}"
        for warning in warned
        if issubclass(warning.category, TracerWarning) and not warning.filename.startswith(library)
    ]
    return list(dict.fromkeys(places))


def _holds(request: Request, path: Path) -> bool:
    """Whether the graph agrees with the module at larger sizes than it was traced at.

    A trace writes down a number where the program computed one from a size; then it does not.
    """
    sizes = {
        (name, axis): tensor.shape[axis] + 1
        for name, tensor, symbols in zip(
            request.inputs.names, request.inputs.args, request.inputs.dynamic, strict=True
        )
        for axis in symbols
    }
    larger = request.resized(sizes)
    try:
        expected = [tensor.cpu().double().numpy() for tensor in request.call(*larger)]
    except Exception:
        # A size that the module itself does not take says nothing about the graph.
        return True
    try:
        found = _run(path, dict(zip(request.inputs.names, larger, strict=True)))
    except Exception:
        return False
    return len(found) == len(expected) and all(map(_close, found, expected))


def _run(path: Path, feeds: Mapping[str, torch.Tensor]) -> list[Any]:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    taken = {value.name for value in session.get_inputs()}
    arrays = {name: tensor.cpu().numpy() for name, tensor in feeds.items() if name in taken}
    results: list[Any] = session.run(None, arrays)
    return results


def _close(found: Any, expected: Any) -> bool:
    # Far looser than rounding, even in half precision, and far tighter than another function.
    scale = float(np.abs(expected).max(initial=0.0))
    return found.shape == expected.shape and bool(
        np.allclose(found, expected, rtol=0.05, atol=0.05 * scale, equal_nan=True)
    )


def undo_deduplication(model: ir.Model) -> None:
    """Give parameters of equal values their own initialisers again.

    The tracing exporter keeps one of them and writes the others as Identity of it, which makes
    unrelated modules share a weight.
    """
    graph = model.graph
    for node in list(graph):
        source = node.inputs[0] if node.op_type == "Identity" else None
        if source is None or source.const_value is None or not source.is_initializer():
            continue
        alias = node.outputs[0]
        if alias.is_graph_output():
            continue
        own = ir.Value(
            name=alias.name, shape=source.shape, type=source.type, const_value=source.const_value
        )
        alias.replace_all_uses_with(own)
        graph.remove(node, safe=True)
        graph.register_initializer(own)


def _forget_made_up_dimensions(model: ir.Model, axes: Mapping[str, Mapping[int, str]]) -> None:
    asked = {symbol for symbols in axes.values() for symbol in symbols.values()}
    for value in model.graph.outputs:
        if value.shape is not None:
            value.shape = ir.Shape([_known(dim, asked) for dim in value.shape])


def _known(dim: Any, asked: set[str]) -> int | str | None:
    if isinstance(dim, int):
        return dim
    return dim.value if dim.value in asked else None
