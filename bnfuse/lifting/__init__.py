"""Lift: name what is there. The graph's norms become ``Affine`` and its linear ops ``Linear``.

One pass over the nodes in order. Every elementwise op or BatchNormalization that is one scale
and one shift per channel becomes an Affine node, every linear op by a constant a Linear node,
and runs of Affines become one, which remembers the sites it stands for.
"""

from __future__ import annotations

__all__ = ["Lifted", "Unlifted", "lift"]

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bnfuse.graph.channel import NotPerChannel
from bnfuse.graph.constants import ConstantEvaluator
from bnfuse.graph.rewire import output_like, substitute
from bnfuse.graph.source import module_path
from bnfuse.lifting.batchnorm import read_batch_norm
from bnfuse.lifting.dead_code import drop_dead
from bnfuse.lifting.elementwise import ElementwiseRead, read_elementwise
from bnfuse.lifting.linear import read_linear
from bnfuse.lifting.nodes import LiftedAffine, Origin, new_affine, new_linear
from bnfuse.lifting.normalizer import NORMALIZERS, read_normalizer, set_normalizer
from bnfuse.lifting.pieces import pieces_of
from bnfuse.lifting.recurrent import lift_recurrent
from bnfuse.lifting.runs import join_runs
from bnfuse.lifting.sites import Kind, Site, Step
from bnfuse.lifting.tied import tied_tensors

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


@dataclass(frozen=True, eq=False)
class _Read:
    """An op read as a map, with the step it is in its run."""

    x: ir.Value
    affine: ChannelAffine
    step: Step


def lift(model: ir.Model) -> Lifted:
    """Lift a prepared model in place (see :func:`bnfuse.lifting.preparing.prepare.prepare`).

    Raises:
        NonFiniteNormError: A norm's scale or shift is NaN or infinite.
    """
    constants = ConstantEvaluator(model.opset_imports.get("", 1))
    constants.tied = tied_tensors(model.graph, constants)
    unlifted: list[Unlifted] = []
    steps = _lift_pieces(model.graph, constants)
    normalizers: dict[Site, ChannelAffine] = {}
    order = {_name(node): position for position, node in enumerate(model.graph)}
    for node in tuple(model.graph):
        if all(constants.is_constant(v) or constants.pattern(v) is not None for v in node.outputs):
            continue
        lift_recurrent(node, constants)
        linear = read_linear(node, constants)
        if linear is not None:
            x = _present(node.inputs[1 if linear.constant_on_left else 0])
            substitute(node, new_linear(x, output_like(node.outputs[0]), linear))
            continue
        if node.op_type in NORMALIZERS:
            own = _lift_normalizer(node, constants)
            if isinstance(own, Unlifted):
                unlifted.append(own)
            else:
                normalizers.update(own)
            continue
        read = _read(node, constants)
        if isinstance(read, Unlifted):
            unlifted.append(read)
        elif read is not None:
            steps[_lift_affine(node, read)] = read.step
    maps = join_runs(model.graph, steps, constants) | normalizers
    in_order = sorted(maps, key=lambda site: order[site.nodes[0]])
    return Lifted(model, constants, tuple(in_order), tuple(unlifted), maps)


def _lift_pieces(graph: ir.Graph, constants: ConstantEvaluator) -> dict[ir.Node, Step]:
    """Lift the maps that are put together from pieces, the largest of those that nest."""
    steps: dict[ir.Node, Step] = {}
    for node, piece in reversed(pieces_of(graph, constants).items()):
        if node.graph is None:
            continue
        affine = piece.affine
        step = _step(node, scales=affine.has_scale, shifts=affine.has_shift, per_channel=True)
        step = replace(step, op_type=" ".join(piece.spelling))
        steps[_lift_affine(node, _Read(piece.x, affine, step))] = step
        drop_dead(graph)
    return steps


def _lift_normalizer(
    node: ir.Node, constants: ConstantEvaluator
) -> dict[Site, ChannelAffine] | Unlifted:
    """Mark a normaliser; its scale and shift as a site, unless they change nothing."""
    read = read_normalizer(node, constants)
    if isinstance(read, NotPerChannel):
        step = _step(node, scales=True, shifts=True, per_channel=True)
        return Unlifted(Site.of([step], Kind.AFFINE), read.reason)
    if read is None:
        return {}
    set_normalizer(node, read)
    return {} if read.site is None else {read.site: read.affine}


def _lift_affine(node: ir.Node, read: _Read) -> ir.Node:
    output = output_like(node.outputs[0])
    output.shape = read.x.shape or output.shape
    # What several nodes compute together is not put back as it was.
    alone = read.x in node.inputs
    origins = (Origin.of(node, node.inputs.index(read.x)),) if alone else ()
    lifted = LiftedAffine(read.affine, (), origins)
    return substitute(node, new_affine(read.x, output, lifted, read.step.node))


def _read(node: ir.Node, constants: ConstantEvaluator) -> _Read | Unlifted | None:
    norm = read_batch_norm(node, constants)
    if norm is not None:
        step = _step(node, scales=True, shifts=True, per_channel=True)
        if isinstance(norm, NotPerChannel):
            return Unlifted(Site.of([step]), norm.reason)
        return _Read(_present(node.inputs[0]), norm, step)
    read = read_elementwise(node, constants)
    if isinstance(read, ElementwiseRead):
        if not read.affine.is_finite and not read.per_channel:
            return None
        step = _step(node, scales=read.scales, shifts=read.shifts, per_channel=read.per_channel)
        return _Read(read.x, read.affine, step)
    if isinstance(read, NotPerChannel):
        scales = node.op_type in ("Mul", "Div")
        step = _step(node, scales=scales, shifts=not scales, per_channel=True)
        return Unlifted(Site.of([step]), read.reason)
    return None


def _step(node: ir.Node, *, scales: bool, shifts: bool, per_channel: bool) -> Step:
    return Step(
        op_type=node.op_type,
        node=_name(node),
        output=node.outputs[0].name or "",
        module=module_path(node),
        scales=scales,
        shifts=shifts,
        per_channel=per_channel,
    )


def _name(node: ir.Node) -> str:
    return node.name or (node.outputs[0].name or "")


def _present(value: ir.Value | None) -> ir.Value:
    assert value is not None
    return value
