"""From a PyTorch module to an ONNX graph in which every norm is still there to be found.

PyTorch's current exporter is asked first; where it refuses, the tracing exporter is, and the notes
say so. Neither fuses a norm, and onnxsim runs afterwards with everything that would touch a norm,
a scale or a bias left out, so that each fold is bnfuse's own and can be reported.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx_ir as ir
    from torch import nn

    from bnfuse.examples import ExampleInputs

__all__ = ["CAPTURE", "TRACE", "Exported", "export_module", "simplify"]

CAPTURE = "torch.onnx (torch.export)"
"""The name of PyTorch's current exporter in reports."""

TRACE = "torch.onnx (jit trace)"
"""The name of PyTorch's tracing exporter in reports."""


@dataclass(frozen=True)
class Exported:
    """A module as an ONNX graph.

    Attributes:
        model: The graph. It owns its weights: training the module further does not change it.
            Inputs bear the names of ``forward``'s parameters, initialisers those of the module's
            parameters and buffers. Each node that stems from a module carries its path in
            ``metadata_props["pkg.torch.onnx.name_scopes"]``: the text of a list, from the root
            ``''`` over every enclosing module's full path to the operator.
        exporter: :data:`CAPTURE` or :data:`TRACE`.
        opset: The version of the default operator set that the graph is written in.
        notes: What a user should know, one sentence each: dimensions that became fixed, a path
            that the trace fixed, a simplification that was left out.
    """

    model: ir.Model
    exporter: str
    opset: int
    notes: tuple[str, ...]


def export_module(
    module: nn.Module,
    inputs: ExampleInputs,
    *,
    opset: int | None = None,
    simplify: bool = True,
    told: Callable[[str], None] | None = None,
) -> Exported:
    """Export a module's inference function to ONNX.

    The module comes back as it was: training flags, hooks, attributes, buffers and the state of
    the random generators. What it prints, warns or logs in ``forward`` reaches no stream.

    Args:
        module: Any module; it is exported in eval mode.
        inputs: Example tensors with the names of ``forward``'s parameters and the dimensions that
            should stay dynamic.
        opset: The default operator set's version to write; by default the one that PyTorch's
            exporter recommends.
        simplify: Let onnxsim fold constants and drop operators without effect.
        told: Hears what is being done.

    Returns:
        The graph, which passes ONNX's checker, and how it was made. It was run beside the module;
        what had to be given up for that (onnxsim, dynamic sizes) is in the notes.

    Raises:
        ExportError: No exporter accepts the module, the module fails on the example inputs, it
            returns no tensor, or the opset cannot be reached.
    """
    from bnfuse.exporting.stages import export

    return export(module, inputs, opset=opset, simplified=simplify, told=told or (lambda _: None))


def simplify(model: ir.Model) -> ir.Model:
    """Fold constants and drop operators without effect; leave each norm, scale and bias alone.

    Args:
        model: Any ONNX model; it is not changed.

    Returns:
        The simpler model: the same function, inputs, outputs and module paths. Where onnxsim fails
        or would change the interface, an unchanged copy.
    """
    from bnfuse.exporting.simplification import simplified

    return simplified(model).model
