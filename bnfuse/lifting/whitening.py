"""What the first norm of a run does to its input before gamma and beta: the moments it has seen."""

from __future__ import annotations

__all__ = ["moments_of"]

from typing import TYPE_CHECKING

import numpy as np

from bnfuse.graph.affine import ChannelAffine
from bnfuse.lifting.batchnorm import DEFAULT_EPSILON
from bnfuse.lifting.nodes import Moments, affine_at, composed
from bnfuse.lifting.sites import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import onnx_ir as ir

    from bnfuse.graph.constants import ConstantEvaluator
    from bnfuse.lifting.sites import Site, Step

_WIDEST = 4.0
"""How many times the median a deviation may be, where it is known only as a part of a product."""


def moments_of(
    parts: Iterable[tuple[Site, Sequence[ir.Node]]], constants: ConstantEvaluator
) -> Moments | None:
    """Read them from the first norm of a run; ``None`` where there is none.

    Args:
        parts: The run's sites, and the Affine nodes that each is made of.
        constants: The graph's constants.
    """
    passed = ChannelAffine.of(None)
    for site, members in parts:
        if site.kind is Kind.NORM:
            found = passed.then(_whitening(members, constants))
            return Moments(found, found) if found.is_finite else None
        passed = passed.then(composed(members))
    return None


def _whitening(members: Sequence[ir.Node], constants: ConstantEvaluator) -> ChannelAffine:
    """What a norm does to its input before gamma and beta."""
    steps = [affine_at(member).origins[0] for member in members]
    if steps[0].source.op_type == "BatchNormalization":
        return _by_statistics(steps[0], constants)
    scales = [place for place, step in enumerate(steps) if step.scales]
    # Without a product of its own, gamma is in the one with the deviation.
    alone = len(scales) == 1
    end = scales[0] + 1 if alone else scales[-1]
    known = composed(members[:end])
    if not alone and scales[0] > 0:
        return known
    floor = np.median(np.abs(known.scale)) / _WIDEST
    scale = np.copysign(np.maximum(np.abs(known.scale), floor), known.scale)
    factor = np.divide(scale, known.scale, out=np.ones_like(scale), where=known.scale != 0.0)
    return ChannelAffine.of(known.axis, scale, known.shift * factor)


def _by_statistics(step: Step, constants: ConstantEvaluator) -> ChannelAffine:
    stored = (constants.constant(step.source.inputs[place]) for place in (3, 4))
    mean, variance = (constant.array() for constant in stored if constant is not None)
    epsilon = step.source.frame.attributes.get_float("epsilon", DEFAULT_EPSILON)
    with np.errstate(all="ignore"):
        scale = 1.0 / np.sqrt(variance + epsilon)
    return ChannelAffine.of(1, scale, -mean * scale)
