"""PyTorch's tracing exporter: runs the module once and writes down what it did.

For programs that torch.export cannot capture. It is asked for no constant folding, which is where
it would fuse batch norm into convolutions, and for exact module paths in its scopes.
"""

from __future__ import annotations

__all__ = ["Traced", "trace"]

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx_ir as ir
import torch
from torch.jit._trace import TracerWarning

from bnfuse.exporting.quiet import quiet
from bnfuse.exporting.request import RefusedError, one_sentence, where
from bnfuse.exporting.scopes import exact_scopes, scopes_to_metadata

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bnfuse.exporting.request import Request

_MAX_OPSET = 20
_PRESERVE = torch.onnx.TrainingMode.PRESERVE


@dataclass(frozen=True)
class Traced:
    """A traced graph.

    Attributes:
        model: The graph, at most at opset 20.
        decisions: The source lines, ``model.py:40``, whose outcome the trace fixed.
    """

    model: ir.Model
    decisions: tuple[str, ...]


def trace(request: Request, *, dynamic: bool) -> Traced:
    """Export by tracing.

    Args:
        request: The job.
        dynamic: Declare the dimensions that were asked for dynamic so. The graph may compute with
            the sizes of the example all the same.

    Raises:
        RefusedError: The tracing exporter does not take the module.
    """
    asked = request.inputs.dynamic if dynamic else [{} for _ in request.inputs.names]
    axes = dict(zip(request.inputs.names, asked, strict=True))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.onnx"
        decisions = _export(request, path, axes)
        model = ir.load(path)
        # The files vanish with the folder.
        ir.external_data.load_to_model(model)
    undo_deduplication(model)
    scopes_to_metadata(model, request.module)
    _forget_made_up_dimensions(model, axes)
    return Traced(model, tuple(decisions))


def _export(request: Request, path: Path, axes: Mapping[str, Mapping[int, str]]) -> list[str]:
    try:
        with (
            quiet() as warned,
            exact_scopes(request.module),
            _taking_the_examples(request),
            torch.no_grad(),
        ):
            torch.onnx.export(
                request.module,
                request.inputs.args,
                path,
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


@contextmanager
def _taking_the_examples(request: Request) -> Iterator[None]:
    """Give the module a forward of its examples alone.

    The exporter passes all parameters up to the last example by position, defaults too, where
    decorators of ``forward`` expect to be told of them by name or not at all.
    """
    module, forward = request.module, request.module.forward
    if isinstance(module, torch.jit.ScriptModule):
        yield
        return

    def called(*tensors: torch.Tensor) -> Any:
        positional = tensors[: len(request.args)]
        named = dict(zip(request.kwargs, tensors[len(request.args) :], strict=True))
        return forward(*positional, **named)

    own = module.__dict__.get("forward")
    module.forward = called
    try:
        yield
    finally:
        if own is None:
            del module.forward
        else:
            module.forward = own


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
