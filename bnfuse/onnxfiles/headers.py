"""A graph some of whose constants are for a while only named: name, dtype and shape, no numbers."""

from __future__ import annotations

__all__ = ["headers_only"]

from contextlib import contextmanager
from typing import TYPE_CHECKING

import onnx
import onnx_ir as ir

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def headers_only(
    graph: ir.Graph, chosen: Callable[[ir.TensorProtocol], bool]
) -> Iterator[dict[str | None, ir.TensorProtocol]]:
    """Let some constants serialise to messages without numbers, as long as this lasts.

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
