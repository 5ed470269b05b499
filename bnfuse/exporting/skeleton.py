"""A model without the weights that nobody needs to look at, for tools that serialise it.

The checker, the version converter and onnxsim each take the whole model as one protocol buffer,
which holds at most 2 GB and is copied several times. None of them needs a convolution's weights.
So large initialisers travel as plain graph inputs and come back afterwards by name; those that
constant folding needs stay.
"""

from __future__ import annotations

__all__ = ["Skeleton", "TooLargeError", "skeleton"]

from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx_ir as ir

if TYPE_CHECKING:
    import onnx

_SMALL_BYTES = 1024
_LARGEST_BYTES = 3 * 2**29


class TooLargeError(Exception):
    """Not even the skeleton fits into one protocol buffer."""


@dataclass(frozen=True)
class Skeleton:
    """A model as a protocol buffer, some of its weights standing outside.

    Attributes:
        proto: The model; every absent weight is a graph input after the model's own inputs.
        weights: The absent weights by name.
    """

    proto: onnx.ModelProto
    weights: dict[str, ir.Value]

    def restored(self, proto: onnx.ModelProto) -> ir.Model:
        """Return a tool's result as a graph, with the absent weights that it still uses."""
        model = ir.from_proto(proto)
        graph = model.graph
        for value in list(graph.inputs):
            weight = self.weights.get(value.name or "")
            if weight is None:
                continue
            graph.inputs.remove(value)
            if value.uses():
                value.const_value, value.shape, value.type = (
                    weight.const_value,
                    weight.shape,
                    weight.type,
                )
                graph.register_initializer(value)
        return model


def skeleton(model: ir.Model, *, keep_foldable: bool) -> Skeleton:
    """Serialise a model without its large weights.

    Args:
        model: The model; it is not changed.
        keep_foldable: Keep the weights of constant sub-expressions, for a tool that folds these.

    Raises:
        TooLargeError: What has to stay does not fit into a protocol buffer.
    """
    bare = model.clone()
    graph = bare.graph
    foldable = _foldable_nodes(graph) if keep_foldable else set()
    weights = {}
    kept = 0
    for name, value in list(graph.initializers.items()):
        if _may_leave(value) and not any(user in foldable for user, _ in value.uses()):
            weights[name] = model.graph.initializers[name]
            del graph.initializers[name]
            value.const_value = None
            graph.inputs.append(value)
        elif value.const_value is not None:
            kept += value.const_value.nbytes
            value.const_value = _raw(value.const_value)
    if kept > _LARGEST_BYTES:
        raise TooLargeError(f"{kept / 2**30:.1f} GB of constants are computed with")
    return Skeleton(ir.to_proto(bare), weights)


def _raw(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
    """The same tensor written as bytes, the only form from which onnxsim folds half precision."""
    if not isinstance(tensor, ir.TensorProtoTensor) or tensor.dtype == ir.DataType.STRING:
        return tensor
    return ir.Tensor(tensor.numpy(), dtype=tensor.dtype, shape=tensor.shape, name=tensor.name)


def _may_leave(value: ir.Value) -> bool:
    tensor = value.const_value
    if tensor is None or tensor.dtype == ir.DataType.STRING or tensor.nbytes <= _SMALL_BYTES:
        return False
    return not value.is_graph_input() and not value.is_graph_output()


def _foldable_nodes(graph: ir.Graph) -> set[ir.Node]:
    """The nodes that compute with constants only, so that folding will evaluate them."""
    constant = set(graph.initializers.values())
    foldable: set[ir.Node] = set()
    for node in graph:
        if node.op_type == "Constant" or (
            node.inputs and all(value is None or value in constant for value in node.inputs)
        ):
            foldable.add(node)
            constant.update(node.outputs)
    return foldable
