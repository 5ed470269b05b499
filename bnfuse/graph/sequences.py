"""``torch.chunk`` as PyTorch exports it: a sequence of which each part is taken by its number.

``SplitToSequence`` and the ``SequenceAt`` that read it are one ``Split``, if its parts are known.
"""

from __future__ import annotations

__all__ = ["split_sequences"]

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from bnfuse.graph.access import given, graph_of, input_of, is_op, opset_of
from bnfuse.graph.channel import static_dim
from bnfuse.graph.rewire import output_like

if TYPE_CHECKING:
    from bnfuse.graph.constants import ConstantEvaluator

_SIZES_ARE_AN_INPUT = 13
_PARTS_ARE_COUNTED = 18
"""The opsets from which on a Split is told its sizes by an input, and its number of outputs."""


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
