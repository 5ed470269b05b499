"""Lower: put standard ops back. What did not change is put back as it was.

A changed linear map gets new constants, rounded once from float64; an affine that is left
becomes the cheapest standard op that computes it; nothing internal survives.
"""

from __future__ import annotations

__all__ = ["Lowered", "lower"]

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import onnx_ir as ir
import onnx_ir.passes.common as common

from bnfuse.graph.constants import ConstantEvaluator
from bnfuse.graph.initializers import FreshNames, Initializers
from bnfuse.graph.rewire import substitute
from bnfuse.lifting.nodes import DOMAIN, affine_of, linear_of, normalizer_of
from bnfuse.lowering.affine import lower_affine
from bnfuse.lowering.derive import Derivation, DerivedConstant, FoldedWeight
from bnfuse.lowering.linear import lower_linear
from bnfuse.lowering.misread import guard_pooling
from bnfuse.lowering.normalizer import lower_normalizer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclass(frozen=True)
class Lowered:
    """A model of standard ops.

    Attributes:
        model: The model, changed in place.
        derivations: For each changed linear map, how its constants follow from the stored ones.
        rescaled: The constants of the normalisers that changed.
        guarded: The names of the nodes that are written so that the runtime reads them rightly.
    """

    model: ir.Model
    derivations: tuple[Derivation, ...]
    rescaled: tuple[DerivedConstant, ...] = ()
    guarded: tuple[str, ...] = ()

    def plus(
        self,
        derivations: Iterable[Derivation],
        rescaled: Iterable[DerivedConstant],
        guarded: Iterable[str],
    ) -> Lowered:
        """The same with what changed in the bodies of its nodes."""
        return replace(
            self,
            derivations=(*self.derivations, *derivations),
            rescaled=(*self.rescaled, *rescaled),
            guarded=(*self.guarded, *guarded),
        )

    def constants(self) -> Iterator[DerivedConstant]:
        """Every constant that changed, derived from the stored ones."""
        for derivation in self.derivations:
            yield from derivation.constants()
        yield from self.rescaled


def lower(model: ir.Model, *, lazily: bool = False) -> Lowered:
    """Lower a folded model in place.

    Args:
        model: The model.
        lazily: Leave the folded weights to be computed, and checked, whenever they are read: one
            by one while the model is written.

    Raises:
        FoldError: A folded constant differs from its independent derivation.
    """
    graph = model.graph
    initializers = Initializers(graph, FreshNames(graph))
    derivations: list[Derivation] = []
    rescaled: list[DerivedConstant] = []
    for node in tuple(graph):
        linear, lifted, normalizer = linear_of(node), affine_of(node), normalizer_of(node)
        if linear is not None:
            derivation = lower_linear(node, linear, initializers)
            if derivation is not None:
                _bind(derivation)
                derivations.append(derivation)
        elif lifted is not None:
            substitute(node, *lower_affine(node, lifted, initializers))
        elif normalizer is not None:
            rescaled.extend(lower_normalizer(node, normalizer, initializers))
    guarded = guard_pooling(graph, ConstantEvaluator(graph.opset_imports.get("", 1)))
    common.RemoveUnusedNodesPass()(model)
    _order_initializers(graph)
    if not lazily:
        _compute_weights(graph)
    assert not any(node.domain == DOMAIN for node in graph.all_nodes())
    return Lowered(model, tuple(derivations), tuple(rescaled), tuple(guarded))


def _bind(derivation: Derivation) -> None:
    """Have the constants held to their derivation whenever they are computed."""
    weight = derivation.weight.const_value if derivation.linear.weight_changed else None
    if isinstance(weight, FoldedWeight):
        weight.derivations.append(derivation)
    else:
        derivation.check(None)


def _compute_weights(graph: ir.Graph) -> None:
    for value in graph.initializers.values():
        if isinstance(value.const_value, FoldedWeight):
            value.const_value = ir.Tensor(
                value.const_value.numpy(), dtype=value.const_value.dtype, name=value.name
            )


def _order_initializers(graph: ir.Graph) -> None:
    """Store the constants in the order of their first use: the same model, the same bytes."""
    used = dict.fromkeys(
        value.name for node in graph.all_nodes() for value in node.inputs if value is not None
    )
    rank = {name: position for position, name in enumerate(used)}
    ordered = sorted(
        graph.initializers.items(), key=lambda item: (rank.get(item[0], len(rank)), item[0])
    )
    graph.initializers.clear()
    for _, value in ordered:
        graph.register_initializer(value)
