"""What PyTorch's exporter writes in a roundabout way, written as it is meant.

**Batches in the channels.** A tracked InstanceNorm reshapes ``x`` (N, C, …) to (1, N · C, …) and
tiles each parameter N times. Channel ``n · C + c`` has the constants of ``c``, so it is the norm of
``x`` itself, reshaped: ``BN(reshape(x); tile(p, N)) = reshape(BN(x; p))``.

**Sequences.** ``torch.chunk`` is a sequence of which each part is taken by its number:
``SplitToSequence`` and the ``SequenceAt`` that read it are one ``Split``, if its parts are known.
"""

from __future__ import annotations

__all__ = ["split_sequences", "unfold_batches"]

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from bnfuse.graph.access import given, graph_of, input_of, is_op, opset_of
from bnfuse.graph.channel import static_dim
from bnfuse.graph.rewire import output_like, substitute
from bnfuse.graph.sizes import dims_of
from bnfuse.graph.source import Source

if TYPE_CHECKING:
    from bnfuse.graph.constants import ConstantEvaluator

_SIZES_ARE_AN_INPUT = 13
_PARTS_ARE_COUNTED = 18
"""The opsets from which on a Split is told its sizes by an input, and its number of outputs."""


def unfold_batches(graph: ir.Graph, constants: ConstantEvaluator) -> None:
    """Move each norm of a batch that was folded into the channels before its Reshape, in place."""
    for node in tuple(graph):
        if not is_op(node, "BatchNormalization"):
            continue
        reshape = _reshape(node)
        parameters = [_repeated(value, constants) for value in node.inputs[1:5]]
        if reshape is None or len(node.outputs) != 1:
            continue
        x, target = reshape.inputs
        assert x is not None
        if any(v is None or v.shape != (static_dim(x.shape, 1),) for v in parameters):
            continue
        normed = ir.Value(type=x.type, shape=x.shape)
        norm = Source.of(node).emit([x, *parameters], normed)
        folded = Source.of(reshape).emit([normed, target], output_like(node.outputs[0]))
        substitute(node, norm, folded)
        graph.remove(reshape, safe=True)


def _reshape(norm: ir.Node) -> ir.Node | None:
    """The Reshape from (N, C, …) to (1, N · C, …) before a norm that alone reads it."""
    y = input_of(norm)
    node = y.producer()
    if not is_op(node, "Reshape") or y.is_graph_output() or len(y.uses()) != 1:
        return None
    before, after = input_of(node).shape, y.shape
    if before is None or after is None or len(before) != len(after) or after[0] != 1:
        return None
    rest = dims_of(ir.Shape(before[2:]))
    return node if rest is not None and rest == dims_of(ir.Shape(after[2:])) else None


def _repeated(value: ir.Value | None, constants: ConstantEvaluator) -> ir.Value | None:
    """The constant that is tiled a number of times that is known only at run time."""
    node = None if value is None else value.producer()
    if value is None or not is_op(node, "Tile") or constants.is_constant(value):
        return None
    return node.inputs[0] if constants.is_constant(input_of(node)) else None


def split_sequences(graph: ir.Graph, constants: ConstantEvaluator) -> bool:
    """Put a Split in the place of each sequence that is only taken apart; whether there was one."""
    changed = False
    for node in tuple(graph):
        sizes = _sizes(node, constants) if is_op(node, "SplitToSequence") else None
        readers = None if sizes is None else _readers(node, len(sizes), constants)
        if sizes is not None and readers is not None:
            _split(node, sizes, readers)
            changed = True
    return changed


def _sizes(node: ir.Node, constants: ConstantEvaluator) -> list[int] | None:
    """The lengths of the parts."""
    x, asked = input_of(node), given(node, 1)
    if x.shape is None:
        return None
    length = static_dim(x.shape, node.attributes.get_int("axis", 0) % len(x.shape))
    if asked is None and not node.attributes.get_int("keepdims", 1):
        return None
    split = np.array(1) if asked is None else constants.array(asked)
    if split is None or not length or split.min(initial=1) < 1:
        return None
    if split.ndim:
        return [int(n) for n in split] if split.sum() == length else None
    return [min(int(split), length - start) for start in range(0, length, int(split))]


def _readers(
    node: ir.Node, parts: int, constants: ConstantEvaluator
) -> list[tuple[ir.Node, int]] | None:
    """The nodes that take a part of the sequence and which; ``None`` if something else reads it."""
    sequence, found = node.outputs[0], []
    for use in sequence.uses():
        index = constants.array(given(use.node, 1))
        if not is_op(use.node, "SequenceAt") or index is None:
            return None
        if use.node.graph is not node.graph or not -parts <= int(index) < parts:
            return None
        found.append((use.node, int(index) % parts))
    taken = [part for _, part in found]
    if not found or sequence.is_graph_output() or len(set(taken)) < len(taken):
        return None
    return found


def _split(node: ir.Node, sizes: list[int], readers: list[tuple[ir.Node, int]]) -> None:
    graph, opset = graph_of(node), opset_of(node)
    outputs = [ir.Value() for _ in sizes]
    for reader, part in readers:
        outputs[part] = output_like(reader.outputs[0])
    attributes: list[ir.Attr] = [ir.AttrInt64("axis", node.attributes.get_int("axis", 0))]
    inputs, new = [node.inputs[0]], []
    if opset < _SIZES_ARE_AN_INPUT:
        attributes.append(ir.AttrInt64s("split", sizes))
    elif len(set(sizes)) > 1:
        tensor = ir.Tensor(np.array(sizes, dtype=np.int64))
        new.append(ir.Node("", "Constant", [], attributes=[ir.AttrTensor("value", tensor)]))
        inputs.append(new[0].outputs[0])
    elif opset >= _PARTS_ARE_COUNTED:
        attributes.append(ir.AttrInt64("num_outputs", len(sizes)))
    new.append(
        ir.Node(
            "",
            "Split",
            inputs,
            attributes=attributes,
            outputs=outputs,
            name=node.name,
            doc_string=node.doc_string,
            metadata_props=dict(node.metadata_props),
        )
    )
    graph.insert_before(node, new)
    for reader, part in readers:
        reader.outputs[0].replace_all_uses_with(outputs[part], replace_graph_outputs=True)
    graph.remove([*(reader for reader, _ in readers), node], safe=True)
