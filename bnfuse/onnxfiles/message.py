"""A model as the bytes of a ModelProto, its large tensors one after another.

Protobuf's own way to a file goes over the whole message in memory, twice. Here the message is
made without the numbers of its large tensors. They are computed or read when their turn comes, and
nothing but one of them is held. A message's fields may come in any order, so the graph is written
behind the rest and its constants behind its nodes; all lengths are known before the first byte.
"""

from __future__ import annotations

__all__ = ["Heard", "ModelMessage", "headers_only"]

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import IO, Any

import onnx
import onnx_ir as ir

from bnfuse.errors import OutputError
from bnfuse.onnxfiles.protos import TRAINING_INFO
from bnfuse.onnxfiles.wire import field_header

Heard = Callable[[int, int], None]
"""Is told of the bytes that were written and of all there are to write."""

_LARGE = 1 << 14
"""Bytes of a tensor that is worth its own write; smaller ones are serialised with the graph."""

_GRAPH = onnx.ModelProto.GRAPH_FIELD_NUMBER
_INITIALIZER = onnx.GraphProto.INITIALIZER_FIELD_NUMBER
_RAW = onnx.TensorProto.RAW_DATA_FIELD_NUMBER


@dataclass(frozen=True, eq=False)
class _Constant:
    """A TensorProto, or one whose raw data is still to come.

    Attributes:
        message: It, all but the raw data.
        tensor: Where the raw data is, if it is not in the message.
    """

    message: bytes
    tensor: Any

    @property
    def length(self) -> int:
        """The bytes of the whole TensorProto."""
        if self.tensor is None:
            return len(self.message)
        raw: int = self.tensor.nbytes
        return len(self.message) + len(field_header(_RAW, raw)) + raw

    def write(self, file: IO[bytes]) -> None:
        """Write it, computing what is still to be computed."""
        file.write(field_header(_INITIALIZER, self.length))
        file.write(self.message)
        if self.tensor is None:
            return
        file.write(field_header(_RAW, self.tensor.nbytes))
        begin = file.tell()
        self.tensor.tofile(file)
        written = file.tell() - begin
        if written != self.tensor.nbytes:
            raise OutputError(
                f"{self.tensor.name!r} gave {written:,} bytes instead of {self.tensor.nbytes:,}.",
                "This is a bug in bnfuse: please report it with the model.",
            )


@dataclass(frozen=True, eq=False)
class ModelMessage:
    """The parts of a ModelProto in the order in which they are written."""

    model: bytes
    graph: bytes
    constants: tuple[_Constant, ...]

    @classmethod
    def of(cls, model: ir.Model) -> ModelMessage:
        """The message of ``model``, which is left as it is; no large tensor is read."""
        with headers_only(model.graph, _comes_later) as large:
            proto = ir.serde.serialize_model(model)
        for info in model.meta.get(TRAINING_INFO, ()):
            proto.training_info.add().ParseFromString(info)
        constants = tuple(
            _Constant(tensor.SerializeToString(), large.get(tensor.name))
            for tensor in proto.graph.initializer
        )
        del proto.graph.initializer[:]
        graph = proto.graph.SerializeToString()
        proto.ClearField("graph")
        return cls(proto.SerializeToString(), graph, constants)

    @cached_property
    def length(self) -> int:
        """The bytes of the file."""
        graph = self._graph_length
        return len(self.model) + len(field_header(_GRAPH, graph)) + graph

    @cached_property
    def _graph_length(self) -> int:
        lengths = [constant.length for constant in self.constants]
        return len(self.graph) + sum(len(field_header(_INITIALIZER, n)) + n for n in lengths)

    def write(self, file: IO[bytes], heard: Heard | None = None) -> None:
        """Write the message to a file opened for writing bytes.

        Raises:
            OSError: The disk refuses.
            FoldError: A folded constant differs from its independent derivation.
        """
        file.write(self.model)
        file.write(field_header(_GRAPH, self._graph_length))
        file.write(self.graph)
        for constant in self.constants:
            if constant.tensor is not None and heard is not None:
                heard(file.tell(), self.length)
            constant.write(file)


def _comes_later(tensor: ir.TensorProtocol) -> bool:
    """Whether its numbers are left out at first: they are many, or not computed yet."""
    return isinstance(tensor, ir.LazyTensor) or tensor.nbytes >= _LARGE


@contextmanager
def headers_only(
    graph: ir.Graph, chosen: Callable[[ir.TensorProtocol], bool]
) -> Iterator[dict[str | None, ir.TensorProtocol]]:
    """Let some constants serialise to name, dtype and shape, as long as this lasts.

    Args:
        graph: Whose initialisers are replaced, and put back afterwards.
        chosen: Which tensors are meant; strings never are.

    Yields:
        Those tensors by name.
    """
    large = {
        value: tensor
        for value in graph.initializers.values()
        if (tensor := value.const_value) is not None
        and tensor.dtype is not ir.DataType.STRING
        and chosen(tensor)
    }
    try:
        for value, tensor in large.items():
            value.const_value = _header(value.name, tensor)
        yield {value.name: tensor for value, tensor in large.items()}
    finally:
        for value, tensor in large.items():
            value.const_value = tensor


def _header(name: str | None, tensor: ir.TensorProtocol) -> ir.TensorProtocol:
    header = onnx.TensorProto(name=name, data_type=int(tensor.dtype), dims=tensor.shape.numpy())
    if tensor.doc_string:
        header.doc_string = tensor.doc_string
    named = ir.serde.TensorProtoTensor(header)
    # Not in the message: onnx_ir would write them a second time.
    named.metadata_props.update(tensor.metadata_props)
    return named
