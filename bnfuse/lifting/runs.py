"""Runs of Affine nodes: each becomes one node, and is cut into the sites that the model has."""

from __future__ import annotations

__all__ = ["join_runs"]


from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bnfuse.errors import NonFiniteNormError
from bnfuse.graph.affine import ChannelAffine
from bnfuse.graph.limits import fits
from bnfuse.graph.readers import readers
from bnfuse.graph.rewire import bypass
from bnfuse.lifting.casts import Casts, casts_around
from bnfuse.lifting.gelu import gelu_numbers
from bnfuse.lifting.moments import Moments
from bnfuse.lifting.nodes import (
    LiftedAffine,
    Origin,
    affine_of,
    composed,
    linear_of,
    origins_of,
    set_affine,
    set_linear,
)
from bnfuse.lifting.sites import Kind, Site, Step, cut_into_sites
from bnfuse.lifting.standardized import Standardized, standardized
from bnfuse.lifting.whitening import moments_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

from bnfuse.graph.constants import ConstantEvaluator

_PART_OF_NORMALIZER = "ONNX Runtime makes one op of it and the normaliser that it ends"
_PART_OF_GELU = "ONNX Runtime makes one op of the GELU that it is part of"


def join_runs(
    graph: ir.Graph, steps: dict[ir.Node, Step], constants: ConstantEvaluator
) -> dict[Site, ChannelAffine]:
    """Join each run of Affines into one node and cut it into sites; return what each computes."""
    sites: dict[Site, ChannelAffine] = {}
    fixed = gelu_numbers(graph)
    for run in _runs(graph, steps, fixed):
        members = run[1:] if _join_bias(run[0], steps[run[0]], constants) else run
        members, tail = _part_tail(members, steps, constants)
        sites.update(tail)
        groups = cut_into_sites([steps[member] for member in members])
        found = [Site.of(group) for group in groups]
        left = iter(members)
        parts = [[next(left) for _ in group] for group in groups]
        for site, part in zip(found, parts, strict=True):
            sites[site] = _checked(site, composed(part))
        is_fixed = members[:1] == run[:1] and run[0] in fixed
        moments = moments_of(zip(found, parts, strict=True), steps, constants)
        _merge(members, found, None if is_fixed else casts_around(members), moments)
        if is_fixed:
            _anchor(run[0], _PART_OF_GELU, is_fixed=True)
    return sites


def _part_tail(
    members: list[ir.Node], steps: dict[ir.Node, Step], constants: ConstantEvaluator
) -> tuple[list[ir.Node], dict[Site, ChannelAffine]]:
    """Part the scale and shift that end a written-out normaliser from what follows them.

    Returns:
        The members that are left, and the site of the tail with its map if there is one.
    """
    how = standardized(members[0].inputs[0], constants) if members else None
    if how is None:
        return members, {}
    group = cut_into_sites([steps[member] for member in members])[0]
    first = group[0]
    if first.op_type != "Mul" or not first.per_channel or not composed(members).is_finite:
        return members, {}
    tail, rest = members[: len(group)], members[len(group) :]
    site = Site.of(group, Kind.AFFINE)
    _merge(tail, [site], None, None)
    lifted = affine_of(tail[-1])
    assert lifted is not None
    if how is Standardized.FUSED and lifted.origins and _is_vector(lifted.origins[0], constants):
        _anchor(tail[-1], _PART_OF_NORMALIZER)
    return rest, {site: lifted.affine}


def _anchor(node: ir.Node, reason: str, *, is_fixed: bool = False) -> None:
    lifted = affine_of(node)
    assert lifted is not None
    set_affine(node, replace(lifted, anchor=reason, is_fixed=is_fixed))


def _is_vector(product: Origin, constants: ConstantEvaluator) -> bool:
    """Whether the constant of a Mul has one dimension, as the runtime's fusion asks for."""
    constant = constants.constant(product.source.inputs[1 - product.position])
    return constant is not None and len(constant.shape) == 1


def _runs(
    graph: ir.Graph, steps: dict[ir.Node, Step], fixed: frozenset[ir.Node]
) -> list[list[ir.Node]]:
    """The maximal runs of Affine nodes in which each alone consumes the one before it."""
    runs: list[list[ir.Node]] = []
    seen: set[ir.Node] = set()
    for node in graph:
        if node in seen or affine_of(node) is None:
            continue
        run, composed = [node], _affine(node)
        while (following := _following(run[-1])) is not None:
            if not composed.composes_with(_affine(following)) or {run[-1], following} & fixed:
                break
            # Minus infinity masks; it is no part of a norm and must not spoil one.
            if _masks(steps[run[-1]], run[-1]) or _masks(steps[following], following):
                break
            composed = composed.then(_affine(following))
            # Ops that each hold in half precision may not hold as one.
            if composed.is_finite and not fits(composed, following.outputs[0].dtype):
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
    lifted = affine_of(node)
    assert lifted is not None
    return lifted.affine


def _join_bias(node: ir.Node, step: Step, constants: ConstantEvaluator) -> bool:
    """Give a bias that is added to a MatMul's product to the linear map: it is no site."""
    product = node.inputs[0]
    assert product is not None
    producer, lifted = product.producer(), affine_of(node)
    linear = linear_of(producer)
    if producer is None or linear is None or lifted is None:
        return False
    if linear.op_type != "MatMul" or linear.bias is not None:
        return False
    if step.op_type != "Add" or not step.per_channel or not lifted.affine.is_finite:
        return False
    if lifted.affine.axis not in (None, linear.output_axis):
        return False
    if len(product.uses()) != 1 or product.is_graph_output():
        return False
    source = lifted.origins[0].source
    stored = next(v for v in source.inputs if v is not None and v is not product)
    bias = constants.constant(stored)
    if bias is None:
        return False
    name = product.name or ""
    if stored.producer() is not None:
        # What makes the bias may stand behind the product.
        assert node.graph is not None
        node.graph.insert_before(node, producer)
    bypass(node)
    set_linear(producer, linear.with_bias(source, bias, lifted.affine.shift, name))
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


def _masks(step: Step, node: ir.Node) -> bool:
    return step.op_type == "Add" and _is_mask(_affine(node))


def _is_mask(affine: ChannelAffine) -> bool:
    """Whether it adds minus infinity, as attention masks do."""
    return not affine.has_scale and bool(np.any(np.isneginf(affine.shift)))


def _merge(
    members: Sequence[ir.Node],
    sites: Sequence[Site],
    casts: Casts | None,
    moments: Moments | None,
) -> None:
    """Make one Affine node of a run: the last one, fed by what fed the first."""
    if not members:
        return
    if casts is not None:
        casts.replace(members, composed(members), sites, moments)
        return
    joined = LiftedAffine(composed(members), tuple(sites), origins_of(members), moments=moments)
    set_affine(members[-1], joined)
    if len(members) > 1:
        x = members[0].inputs[0]
        assert x is not None
        for member in members[:-1]:
            # What reads a shape in between finds the same shape before the run.
            for use in tuple(member.outputs[0].uses()):
                if use.node not in members:
                    use.node.replace_input_with(use.idx, x)
        members[-1].replace_input_with(0, x)
        graph = members[0].graph
        assert graph is not None
        graph.remove(members[:-1], safe=True)
