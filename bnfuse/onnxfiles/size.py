"""How large a model is, in nodes and in bytes, without writing it or reading its weights."""

from __future__ import annotations

__all__ = ["file_bytes", "files_of", "model_bytes", "node_count"]

from pathlib import Path
from typing import TYPE_CHECKING

from bnfuse.onnxfiles.mapped import MappedTensor
from bnfuse.onnxfiles.message import ModelMessage

if TYPE_CHECKING:
    import onnx_ir as ir


def node_count(model: ir.Model) -> int:
    """Its nodes, those of its subgraphs included, constants not counted."""
    return sum(node.op_type != "Constant" for node in model.graph.all_nodes())


def model_bytes(model: ir.Model) -> int:
    """The bytes of the file that it would be."""
    return ModelMessage.of(model).length


def file_bytes(path: Path, model: ir.Model) -> int:
    """The size of an ONNX file and of the external data that its tensors lie in."""
    return sum(file.stat().st_size for file in {path.resolve(), *files_of(model)})


def files_of(model: ir.Model) -> set[Path]:
    """The files that its tensors lie in."""
    tensors = (value.const_value for value in model.graph.initializers.values())
    return {tensor.file.path for tensor in tensors if isinstance(tensor, MappedTensor)}
