"""Fold the bodies of If, Loop and Scan, each as a graph of its own.

What a body reads from outside is pinned: a value is an input while the body is folded, a constant
is one of the body's, and both are the outer ones again afterwards. Nothing crosses the border.
"""

from __future__ import annotations

__all__ = ["Nested", "fold_bodies"]

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import onnx_ir as ir

from bnfuse.folding import fold
from bnfuse.graph.constants import ConstantEvaluator
from bnfuse.lifting import lift
from bnfuse.lifting.preparing.prepare import prepare
from bnfuse.lowering import lower
from bnfuse.reporting import channels_of, site_reports

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bnfuse.folding import Merge, MergeRefusal
    from bnfuse.lowering.derive import Derivation, DerivedConstant
    from bnfuse.reporting import SiteReport

_FIRST_WITH_OWN_CONSTANTS = 4
"""The IR version from which a body may have initialisers."""


@dataclass
class Nested:
    """What became of the bodies of a model, in order, and all names that the model has or had."""

    taken: set[str]
    sites: list[SiteReport] = field(default_factory=list)
    merges: list[Merge] = field(default_factory=list)
    unmerged: list[MergeRefusal] = field(default_factory=list)
    derivations: list[Derivation] = field(default_factory=list)
    rescaled: list[DerivedConstant] = field(default_factory=list)
    guarded: list[str] = field(default_factory=list)


def fold_bodies(
    model: ir.Model, *, folding: bool = True, barred: Mapping[str, str] | None = None
) -> Nested:
    """Fold the bodies in a prepared model, in place.

    Args:
        model: The model, not lifted yet.
        folding: Whether to fold, or only to tell what is there.
        barred: See :func:`bnfuse.folding.fold`.

    Raises:
        BnfuseError: As of the model itself.
    """
    nested = Nested(_names({model.graph, *model.graph.subgraphs()}))
    if model.ir_version < _FIRST_WITH_OWN_CONSTANTS:
        return nested
    for body in _bodies(model.graph):
        _fold_body(model, body, nested, folding, barred)
    return nested


def _bodies(graph: ir.Graph) -> Iterator[ir.Graph]:
    """The bodies of a graph's own nodes."""
    for node in graph:
        for attribute in node.attributes.values():
            if attribute.type is ir.AttributeType.GRAPH:
                yield attribute.as_graph()
            elif attribute.type is ir.AttributeType.GRAPHS:
                yield from attribute.as_graphs()


def _fold_body(
    model: ir.Model,
    body: ir.Graph,
    nested: Nested,
    folding: bool,
    barred: Mapping[str, str] | None,
) -> None:
    standing_in = _stand_ins(body, ConstantEvaluator(model.opset_imports.get("", 1)))
    if standing_in is None:
        return
    before = _names({body})
    body.opset_imports.update(model.opset_imports)
    alone = ir.Model(body, ir_version=model.ir_version)
    interface, _ = prepare(alone)
    for inner in _bodies(body):
        _fold_body(model, inner, nested, folding, barred)
    lifted = lift(alone)
    channels = channels_of(lifted)
    log = fold(lifted, None if folding else 0, barred)
    nested.sites.extend(site_reports(lifted, log, channels))
    lowered = lower(alone)
    interface.restore(alone)
    nested.derivations.extend(lowered.derivations)
    nested.guarded.extend(lowered.guarded)
    nested.merges.extend(log.merges)
    nested.unmerged.extend(log.unmerged)
    for own, outer in standing_in.items():
        own.replace_all_uses_with(outer)
        if own.is_graph_input():
            body.inputs.remove(own)
        elif own.name is not None and own.name in body.initializers:
            del body.initializers[own.name]
    body.opset_imports.clear()
    renamed = _rename(body, before, nested.taken)
    nested.rescaled.extend(
        replace(constant, tensor=renamed.get(constant.tensor, constant.tensor))
        for constant in lowered.rescaled
    )


def _stand_ins(body: ir.Graph, constants: ConstantEvaluator) -> dict[ir.Value, ir.Value] | None:
    """Give a body inputs and constants of its own for what it reads from outside.

    Returns:
        The outer value of each; ``None`` if the body gives an outer value back as it is.
    """
    graphs = {body, *body.subgraphs()}
    outer: dict[ir.Value, None] = {}
    for graph in graphs:
        for node in graph:
            outer.update(dict.fromkeys(v for v in node.inputs if v is not None))
    within = set(_values(graphs))
    if any(value not in within for graph in graphs for value in graph.outputs):
        return None
    made: dict[ir.Value, ir.Value] = {}
    for value in outer:
        if value in within:
            continue
        constant = constants.constant(value)
        own = ir.Value(name=value.name, type=value.type, shape=value.shape)
        if constant is not None and value.producer() is None:
            own.const_value = value.const_value
            body.register_initializer(own)
        else:
            body.inputs.append(own)
        for use in tuple(value.uses()):
            if use.node.graph in graphs:
                use.node.replace_input_with(use.idx, own)
        made[own] = value
    return made


def _values(graphs: set[ir.Graph]) -> Iterator[ir.Value]:
    for graph in graphs:
        yield from graph.inputs
        yield from graph.initializers.values()
        for node in graph:
            yield from node.outputs


def _rename(body: ir.Graph, before: set[str], taken: set[str]) -> dict[str, str]:
    """Give what is new in a body names that nothing else in the model has; the changes."""
    renamed = {}
    for value in tuple(_values({body})):
        first = name = value.name or ""
        if name in before:
            continue
        count = 2
        while name in taken:
            name, count = f"{first}{count}", count + 1
        if name != first:
            renamed[first] = value.name = name
        taken.add(name)
    return renamed


def _names(graphs: set[ir.Graph]) -> set[str]:
    return {value.name for value in _values(graphs) if value.name}
