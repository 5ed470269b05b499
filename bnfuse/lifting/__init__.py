"""Lift: name what is there. The graph's norms become ``Affine`` and its linear ops ``Linear``.

One pass over the nodes in order. Every elementwise op or BatchNormalization that is one scale
and one shift per channel becomes an Affine node, every linear op by a constant a Linear node,
and runs of Affines become one, which remembers the sites it stands for.
"""

from __future__ import annotations

__all__ = ["Lifted", "Unlifted", "lift"]

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bnfuse.graph.access import input_of, name_of
from bnfuse.graph.channel import NotPerChannel
from bnfuse.graph.constants import ConstantEvaluator
from bnfuse.graph.rewire import output_like, substitute
from bnfuse.lifting.batchnorm import read_batch_norm
from bnfuse.lifting.elementwise import AffineRead, read_elementwise
from bnfuse.lifting.linear import LINEAR_OPS, read_linear
from bnfuse.lifting.nodes import LiftedAffine, drop_dead, hold, new_affine, new_linear
from bnfuse.lifting.normalizer import NORMALIZERS, read_normalizer
from bnfuse.lifting.pieces import pieces_of
from bnfuse.lifting.recurrent import lift_recurrent
from bnfuse.lifting.runs import join_runs
from bnfuse.lifting.sites import Kind, Site, Step

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx_ir as ir

    from bnfuse.graph.affine import ChannelAffine


@dataclass(frozen=True)
class Unlifted:
    """A norm-like op that is no constant map per channel, and why."""

    site: Site
    reason: str


@dataclass(frozen=True, eq=False)
class Lifted:
    """A model whose norms and linear ops are named.

    Attributes:
        model: The model, changed in place; holds internal ops.
        constants: Its constants.
        sites: Every norm, scale and shift that was lifted.
        unlifted: Every one that could not be.
        maps: What each of ``sites`` computes in the model.
    """

    model: ir.Model
    constants: ConstantEvaluator
    sites: tuple[Site, ...]
    unlifted: tuple[Unlifted, ...]
    maps: Mapping[Site, ChannelAffine]


def lift(model: ir.Model) -> Lifted:
    """Lift a prepared model in place (see :func:`bnfuse.lifting.preparing.prepare.prepare`).

    Raises:
        NonFiniteNormError: A norm's scale or shift is NaN or infinite.
    """
    constants = ConstantEvaluator(model.opset_imports.get("", 1))
    constants.tied = tied_tensors(model.graph, constants)
    _lift_pieces(model.graph, constants)
    unlifted: list[Unlifted] = []
    normalizers: dict[Site, ChannelAffine] = {}
    order = {name_of(node): position for position, node in enumerate(model.graph)}
    for node in tuple(model.graph):
        if all(constants.is_constant(v) or constants.pattern(v) is not None for v in node.outputs):
            continue
        lift_recurrent(node, constants)
        linear = read_linear(node, constants)
        if linear is not None:
            x = input_of(node, int(linear.constant_on_left))
            substitute(node, new_linear(x, output_like(node.outputs[0]), linear))
            continue
        if node.op_type in NORMALIZERS:
            own = _lift_normalizer(node, constants)
            if isinstance(own, Unlifted):
                unlifted.append(own)
            else:
                normalizers.update(own)
            continue
        read = read_batch_norm(node, constants) or read_elementwise(node, constants)
        if isinstance(read, NotPerChannel):
            is_norm, scales = node.op_type == "BatchNormalization", node.op_type in ("Mul", "Div")
            unlifted.append(_unlifted(node, read, is_norm or scales, is_norm or not scales))
        elif read is not None and (read.affine.is_finite or read.step.per_channel):
            _lift_affine(node, input_of(node, read.step.position), read)
    maps = join_runs(model.graph, constants) | normalizers
    in_order = sorted(maps, key=lambda site: order[site.nodes[0]])
    return Lifted(model, constants, tuple(in_order), tuple(unlifted), maps)


def _lift_pieces(graph: ir.Graph, constants: ConstantEvaluator) -> None:
    """Lift the maps that are put together from pieces, the largest of those that nest."""
    for node, piece in reversed(pieces_of(graph, constants).items()):
        made_by = piece.x.producer()
        # A larger map may have left the node, or what it is a map of, without a reader.
        if node.graph is None or (made_by is not None and made_by.graph is None):
            continue
        affine = piece.affine
        scales, shifts = affine.has_scale, affine.has_shift
        step = Step.of(node, scales=scales, shifts=shifts, per_channel=True)
        step = replace(step, spelling=piece.spelling)
        _lift_affine(node, piece.x, AffineRead(affine, step))
        drop_dead(graph)


def _lift_normalizer(
    node: ir.Node, constants: ConstantEvaluator
) -> dict[Site, ChannelAffine] | Unlifted:
    """Mark a normaliser; its scale and shift as a site, unless they change nothing."""
    read = read_normalizer(node, constants)
    if isinstance(read, NotPerChannel):
        return _unlifted(node, read, scales=True, shifts=True, kind=Kind.AFFINE)
    if read is None:
        return {}
    hold(node, read)
    return {} if read.site is None else {read.site: read.affine}


def _lift_affine(node: ir.Node, x: ir.Value, read: AffineRead) -> None:
    output = output_like(node.outputs[0])
    output.shape = x.shape or output.shape
    lifted = LiftedAffine(read.affine, (), (read.step,))
    substitute(node, new_affine(x, output, lifted, name_of(node)))


def _unlifted(
    node: ir.Node, why: NotPerChannel, scales: bool, shifts: bool, kind: Kind | None = None
) -> Unlifted:
    step = Step.of(node, scales=scales, shifts=shifts, per_channel=True)
    return Unlifted(Site.of([step], kind), why.reason)


def tied_tensors(graph: ir.Graph, constants: ConstantEvaluator) -> frozenset[ir.Value]:
    """The stored tensors that linear ops and other ops both read, themselves or what they make.

    Uses of one kind often take the same change and then share one new tensor. A lookup and a
    product, as of an embedding table that is an output layer too, never do, so a change would store
    the table twice.
    """
    kinds: dict[ir.Value, set[bool]] = {}
    parts: dict[ir.Value, frozenset[ir.Value]] = {}
    for node in graph.all_nodes():
        if all(constants.is_constant(value) for value in node.outputs):
            continue
        for value in node.inputs:
            if value is None or not constants.is_constant(value):
                continue
            if value not in parts:
                parts[value] = constants.parts(value)
            for part in parts[value]:
                kinds.setdefault(part, set()).add(node.op_type in LINEAR_OPS)
    return frozenset(part for part, found in kinds.items() if len(found) > 1)
