"""Attention rows that are hidden completely: zeros, as PyTorch computes them.

``scaled_dot_product_attention`` gives zeros where a mask hides every position of a row. The
translation of torch.export hides by the lowest finite number where the mask is boolean, after
which all positions count alike: the guard ``Where(IsNaN(p), 0, p)`` behind its Softmax is there,
and never sees a NaN. It hides by minus infinity instead. With a mask of floats there is no guard,
and minus infinities in all of a row make it NaN: it gets one, if the mask may hold them.
"""

from __future__ import annotations

__all__ = ["zero_hidden_rows"]

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from bnfuse.exporting.canonical import insert
from bnfuse.exporting.scopes import TYPES
from bnfuse.graph.access import made_by

if TYPE_CHECKING:
    from collections.abc import Iterator

_ATTENTION = "'aten.scaled_dot_product_attention.default']"


def zero_hidden_rows(model: ir.Model) -> None:
    """Rewrite, in place, the attentions that torch.export's translation spells out.

    Others' look-alikes stay: a Softmax of the module's own makes NaN of such rows, or a mean.
    """
    for node in list(model.graph.all_nodes()):
        if node.op_type != "Softmax" or not node.metadata_props.get(TYPES, "").endswith(_ATTENTION):
            continue
        scores = made_by(node.inputs[0], "Add")
        if scores is None:
            continue
        mask = scores.inputs[1]
        hiding = made_by(mask, "Where")
        if any(user.op_type == "IsNaN" for user, _ in node.outputs[0].uses()):
            lowest = None if hiding is None else _constant(hiding.inputs[2])
            if hiding and lowest and np.all(lowest.numpy() == lowest.dtype.min):
                hiding.replace_input_with(2, _scalar(hiding, -np.inf, lowest.dtype))
        elif mask is not None and _may_be_infinite(mask):
            _guard(node)


def _constant(value: ir.Value | None) -> ir.TensorProtocol | None:
    return None if value is None else ir.convenience.get_const_tensor(value)


def _may_be_infinite(mask: ir.Value) -> bool:
    """Whether a mask of floats is given at run time, or made with a minus infinity."""
    for value in _ancestors(mask):
        tensor = _constant(value)
        if tensor is not None and tensor.dtype.is_floating_point():
            if np.isneginf(tensor.numpy().astype(np.float64)).any():
                return True
        elif value.is_graph_input() and value.dtype is not None and value.dtype.is_floating_point():
            return True
    return False


def _ancestors(value: ir.Value) -> Iterator[ir.Value]:
    seen, waiting = {value}, [value]
    while waiting:
        value = waiting.pop()
        yield value
        maker = value.producer()
        for source in maker.inputs if maker is not None else ():
            if source is not None and source not in seen:
                seen.add(source)
                waiting.append(source)


def _guard(softmax: ir.Node) -> None:
    rows = softmax.outputs[0]
    users = list(rows.uses())
    hidden = ir.node("IsNaN", [rows])
    zero = ir.node("CastLike", [_scalar(softmax, 0.0, ir.DataType.FLOAT), rows])
    shown = ir.node("Where", [hidden.outputs[0], zero.outputs[0], rows])
    shown.outputs[0].type, shown.outputs[0].shape = rows.type, rows.shape
    assert softmax.graph is not None
    softmax.graph.insert_after(softmax, [hidden, zero, shown])
    for made in (hidden, zero, shown):
        made.metadata_props.update(softmax.metadata_props)
    for user, place in users:
        user.replace_input_with(place, shown.outputs[0])


def _scalar(before: ir.Node, number: float, dtype: ir.DataType) -> ir.Value:
    value = ir.tensor(np.array(number, dtype=dtype.numpy()), dtype=dtype)
    constant = ir.node("Constant", [], {"value": value})
    insert(before, constant)
    return constant.outputs[0]
