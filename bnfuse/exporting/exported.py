"""What an export came to, and the names of the exporters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["CAPTURE", "TRACE", "Exported"]

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
