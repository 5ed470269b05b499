"""What ONNX Runtime's optimiser computes wrongly, up to 1.31, and forms that it leaves alone."""

from __future__ import annotations

__all__ = ["guard_pooling", "misreads_batch_norm"]

from typing import TYPE_CHECKING

import onnx_ir as ir

from bnfuse.graph.access import given, input_of, is_op, made_by, name_of
from bnfuse.lifting.nodes import linear_of

if TYPE_CHECKING:
    from bnfuse.graph.constants import ConstantEvaluator


def misreads_batch_norm(x: ir.Value) -> bool:
    """Whether ONNX Runtime would fold a BatchNormalization of ``x`` into a matrix product.

    It does so through a Reshape, without a look at where the Reshape puts the channels. It leaves a
    Mul and an Add alone.
    """
    reshape = x.producer()
    if not is_op(reshape, "Reshape"):
        return False
    product = input_of(reshape).producer()
    linear = linear_of(product)
    return linear.op_type == "MatMul" if linear else is_op(product, "MatMul")


def guard_pooling(graph: ir.Graph, constants: ConstantEvaluator) -> list[str]:
    """Keep the optimiser from merging a Pad by 0 into the MaxPool behind it, in place.

    It makes the Pad's sizes the pool's, whose padding is minus infinity: a window of negative
    numbers at the border then gives its largest number where 0 is right. It leaves a pool alone
    that says ``auto_pad="VALID"``, which without padding of its own means the same.

    Returns:
        The names of the pools that were changed.
    """
    changed = []
    for node in graph:
        pad = made_by(node.inputs[0], "Pad") if is_op(node, "MaxPool") else None
        if pad is None or not _pads_by_zero(pad, constants) or not _pads_nothing(node):
            continue
        node.attributes.pop("pads", None)
        node.attributes.add(ir.AttrString("auto_pad", "VALID"))
        changed.append(name_of(node))
    return changed


def _pads_by_zero(pad: ir.Node, constants: ConstantEvaluator) -> bool:
    value = given(pad, 2)
    number = None if value is None else constants.array(value)
    return pad.attributes.get_string("mode", "constant") == "constant" and (
        value is None or (number is not None and not number.any())
    )


def _pads_nothing(pool: ir.Node) -> bool:
    attributes = pool.attributes
    return (
        attributes.get_string("auto_pad", "NOTSET") == "NOTSET"
        and not any(attributes.get_ints("pads", ()))
        # With it, VALID gives fewer elements.
        and not attributes.get_int("ceil_mode", 0)
    )
