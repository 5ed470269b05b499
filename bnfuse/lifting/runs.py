"""Runs of Affine nodes: each becomes one node, and is cut into the sites that the model has.

Mixed precision computes a norm in a wider type: Cast up, the norm, Cast down. In exact arithmetic
both casts are identities. Folded into the narrow linear map before it, the result is rounded once
where the model rounds twice, so the fold is no less precise. The casts belong to the norm only as
a pair: alone, a Cast rounds a value that something else reads.
"""

from __future__ import annotations

__all__ = ["join_runs"]

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from bnfuse.errors import NonFiniteNormError
from bnfuse.graph.access import graph_of, input_of, is_op, readers
from bnfuse.graph.affine import ChannelAffine
from bnfuse.graph.limits import fits
from bnfuse.graph.rewire import bypass, output_like, substitute
from bnfuse.lifting.fused import Standardized, gelu_numbers, standardized
from bnfuse.lifting.nodes import (
    LiftedAffine,
    affine_at,
    affine_of,
    composed,
    hold,
    linear_of,
    new_affine,
)
from bnfuse.lifting.sites import Kind, Site, Step, cut_into_sites
from bnfuse.lifting.whitening import moments_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bnfuse.graph.constants import ConstantEvaluator
    from bnfuse.lifting.nodes import Moments

_PART_OF_NORMALIZER = "ONNX Runtime makes one op of it and the normaliser that it ends"
_PART_OF_GELU = "ONNX Runtime makes one op of the GELU that it is part of"


def join_runs(graph: ir.Graph, constants: ConstantEvaluator) -> dict[Site, ChannelAffine]:
    """Join each run of Affines into one node and cut it into sites; return what each computes."""
    sites: dict[Site, ChannelAffine] = {}
    fixed = gelu_numbers(graph)
    for run in _runs(graph, fixed):
        members = run[1:] if _join_bias(run[0], constants) else run
        members, tail = _part_tail(members, constants)
        sites.update(tail)
        groups = cut_into_sites(list(map(_step, members)))
        found = [Site.of(group) for group in groups]
        left = iter(members)
        parts = [[next(left) for _ in group] for group in groups]
        for site, part in zip(found, parts, strict=True):
            sites[site] = _checked(site, composed(part))
        is_fixed = members[:1] == run[:1] and run[0] in fixed
        moments = moments_of(zip(found, parts, strict=True), constants)
        casts = None if is_fixed else _casts_around(members)
        if members:
            _merge(members, found, casts, moments)
        if is_fixed:
            _anchor(run[0], _PART_OF_GELU, is_fixed=True)
    return sites


def _part_tail(
    members: list[ir.Node], constants: ConstantEvaluator
) -> tuple[list[ir.Node], dict[Site, ChannelAffine]]:
    """Part the scale and shift that end a written-out normaliser from what follows them.

    Returns:
        The members that are left, and the site of the tail with its map if there is one.
    """
    how = standardized(members[0].inputs[0], constants) if members else None
    if how is None:
        return members, {}
    group = cut_into_sites(list(map(_step, members)))[0]
    first = group[0]
    is_product = first.source.op_type == "Mul" and first.per_channel
    if not is_product or not composed(members).is_finite:
        return members, {}
    tail, rest = members[: len(group)], members[len(group) :]
    site = Site.of(group, Kind.AFFINE)
    _merge(tail, [site])
    # The runtime's fusion asks for a constant of one dimension.
    constant = constants.constant(first.source.inputs[1 - first.position])
    is_vector = constant is not None and len(constant.shape) == 1
    if how is Standardized.FUSED and is_vector:
        _anchor(tail[-1], _PART_OF_NORMALIZER)
    return rest, {site: _affine(tail[-1])}


def _anchor(node: ir.Node, reason: str, *, is_fixed: bool = False) -> None:
    hold(node, replace(affine_at(node), anchor=reason, is_fixed=is_fixed))


def _runs(graph: ir.Graph, fixed: frozenset[ir.Node]) -> list[list[ir.Node]]:
    """The maximal runs of Affine nodes in which each alone consumes the one before it."""
    runs: list[list[ir.Node]] = []
    seen: set[ir.Node] = set()
    for node in graph:
        if node in seen or affine_of(node) is None:
            continue
        run, whole = [node], _affine(node)
        while (following := _following(run[-1])) is not None:
            if not whole.composes_with(_affine(following)) or {run[-1], following} & fixed:
                break
            # Minus infinity masks; it is no part of a norm and must not spoil one.
            if _masks(run[-1]) or _masks(following):
                break
            whole = whole.then(_affine(following))
            # Ops that each hold in half precision may not hold as one.
            if whole.is_finite and not fits(whole, following.outputs[0].dtype):
                break
            run.append(following)
        seen.update(run)
        runs.append(run)
    return runs


def _following(node: ir.Node) -> ir.Node | None:
    """The Affine that alone consumes this one's output."""
    y = node.outputs[0]
    uses = readers(y)
    if len(uses) != 1 or y.is_graph_output():
        return None
    (use,) = uses
    is_neighbour = affine_of(use.node) is not None and use.node.graph is node.graph
    return use.node if is_neighbour else None


def _affine(node: ir.Node) -> ChannelAffine:
    return affine_at(node).affine


def _step(node: ir.Node) -> Step:
    """What an Affine that is not joined yet was in the model."""
    return affine_at(node).origins[0]


def _join_bias(node: ir.Node, constants: ConstantEvaluator) -> bool:
    """Give a bias that is added to a MatMul's product to the linear map: it is no site."""
    product, step, affine = input_of(node), _step(node), _affine(node)
    producer = product.producer()
    linear = linear_of(producer)
    if producer is None or linear is None or linear.op_type != "MatMul" or linear.bias is not None:
        return False
    if step.source.op_type != "Add" or not step.per_channel or not affine.is_finite:
        return False
    if affine.axis not in (None, linear.output_axis):
        return False
    if len(product.uses()) != 1 or product.is_graph_output():
        return False
    stored = step.source.inputs[1 - step.position]
    bias = constants.constant(stored)
    if bias is None:
        return False
    name = product.name or ""
    if bias.value.producer() is not None:
        # What makes the bias may stand behind the product.
        graph_of(node).insert_before(node, producer)
    bypass(node)
    hold(producer, linear.with_bias(step.source, bias, affine.shift, name))
    return True


def _checked(site: Site, affine: ChannelAffine) -> ChannelAffine:
    if affine.is_finite or site.kind is Kind.SCALAR or _is_mask(affine):
        return affine
    broken = ~(np.isfinite(affine.scale) & np.isfinite(affine.shift))
    channels = np.flatnonzero(np.atleast_1d(broken))
    raise NonFiniteNormError(
        f"the norm {site.label!r} has a scale or shift that is not a finite number in channel "
        f"{channels[0]}" + (f" and {len(channels) - 1} more" if len(channels) > 1 else "") + ".",
        "Look for a zero deviation without eps, a negative or NaN variance, or statistics that "
        "were never set.",
    )


def _masks(node: ir.Node) -> bool:
    return _step(node).source.op_type == "Add" and _is_mask(_affine(node))


def _is_mask(affine: ChannelAffine) -> bool:
    """Whether it adds minus infinity, as attention masks do."""
    return not affine.has_scale and bool(np.any(np.isneginf(affine.shift)))


def _merge(
    members: Sequence[ir.Node],
    sites: Sequence[Site],
    casts: tuple[ir.Node, ir.Node] | None = None,
    moments: Moments | None = None,
) -> None:
    """Make one Affine node of a run: the last one, fed by what fed the first; or of its casts."""
    graph, x = graph_of(members[0]), input_of(members[0])
    steps = tuple(map(_step, members))
    # What several nodes compute together is not put back as it was.
    origins = () if any(step.spelling for step in steps) else steps
    joined = LiftedAffine(composed(members), tuple(sites), origins, moments=moments)
    if casts is not None:
        up, down = casts
        if origins:
            joined = replace(joined, origins=(Step.of(up), *origins, Step.of(down)))
        name = members[-1].name or ""
        substitute(down, new_affine(input_of(up), output_like(down.outputs[0]), joined, name))
        graph.remove([up, *members], safe=True)
        return
    hold(members[-1], joined)
    for member in members[:-1]:
        # What reads a shape in between finds the same shape before the run.
        for use in tuple(member.outputs[0].uses()):
            if use.node not in members:
                use.node.replace_input_with(use.idx, x)
    members[-1].replace_input_with(0, x)
    graph.remove(members[:-1], safe=True)


def _casts_around(members: Sequence[ir.Node]) -> tuple[ir.Node, ir.Node] | None:
    """The Cast before a run and the one after it, if nothing else reads what lies between."""
    if not members:
        return None
    x, y = input_of(members[0]), members[-1].outputs[0]
    if any(len(v.uses()) != 1 or v.is_graph_output() for v in (x, y)):
        return None
    up, down = x.producer(), next(iter(y.uses())).node
    if not is_op(up, "Cast") or not is_op(down, "Cast") or down.graph is not up.graph:
        return None
    narrow, wide = input_of(up).dtype, ir.DataType(up.attributes["to"].as_int())
    if narrow is None or not narrow.is_floating_point() or narrow.itemsize >= wide.itemsize:
        return None
    if ir.DataType(down.attributes["to"].as_int()) != narrow or down.outputs[0].dtype != narrow:
        return None
    return up, down
