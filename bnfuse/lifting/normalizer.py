"""Ops that normalise by their input's own statistics, and the scale and shift that they end with.

``y = scale · normalised(x) + shift`` for LayerNormalization, RMSNormalization,
InstanceNormalization and GroupNormalization (ONNX operator specifications). The statistics are no
constants and stay; the scale and shift are one of each per channel, applied last and in the dtype
of the output, so they can be moved like any other, and what follows can be taken into them.
"""

from __future__ import annotations

__all__ = ["NORMALIZERS", "Normalizer", "Place", "read_normalizer"]

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bnfuse.graph.access import given, input_of, opset_of
from bnfuse.graph.affine import ChannelAffine
from bnfuse.graph.channel import NotPerChannel, static_dim
from bnfuse.graph.source import OfNode, Source
from bnfuse.lifting.sites import Kind, Site, Step

if TYPE_CHECKING:
    import onnx_ir as ir

    from bnfuse.graph.constants import ConstantEvaluator
    from bnfuse.lifting.linear import Side

Array = NDArray[np.float64]
_OVER_LAST_AXES = frozenset({"LayerNormalization", "RMSNormalization"})
_OVER_POSITIONS = frozenset({"InstanceNormalization", "GroupNormalization"})
NORMALIZERS = _OVER_LAST_AXES | _OVER_POSITIONS
_SCALE_PER_CHANNEL = 21
"""From this opset on GroupNormalization has one scale a channel; before, one a group."""


@dataclass(frozen=True)
class Place:
    """Where a normaliser's constants lie.

    Attributes:
        axis: The axis that they can run along; ``None`` where they can only be uniform.
        shape: The shape that they are stored in.
        repeats: How many channels share one stored number.
    """

    axis: int | None
    shape: tuple[int, ...]
    repeats: int = 1

    def read(self, array: Array) -> Array | None:
        """One number per channel, or a single one; ``None`` where it is neither."""
        if self.axis is None:
            numbers = np.unique(array)
            return numbers.reshape(()) if numbers.size == 1 else None
        if any(length != 1 for length in array.shape[:-1]):
            return None
        return np.repeat(array.reshape(-1), self.repeats)

    def stored(self, vector: Array) -> Array:
        """The inverse of :meth:`read`."""
        if vector.ndim == 0:
            return np.full(self.shape, vector)
        numbers = vector[:: self.repeats]
        # One stored number served a width that was not known; what was taken has all of them.
        return numbers.reshape(self.shape if numbers.size == np.prod(self.shape) else -1)


@dataclass(frozen=True, eq=False)
class Normalizer(OfNode):
    """The scale and shift of a normaliser.

    Attributes:
        site: Its own scale and shift as a site of the model; ``None`` where they change nothing.
        stored: The map as the model stores it.
        affine: The map as it stands now.
        sites: What the map holds: the normaliser's own, and the norms that it took.
        place: Where its constants lie.
        dtype: The element type of the scale.
        taken: What was taken since the map was last given away, in order.
        given: Whether the stored map was given away.
    """

    site: Site | None
    stored: ChannelAffine
    affine: ChannelAffine
    sites: tuple[Site, ...]
    place: Place
    dtype: ir.DataType
    taken: tuple[ChannelAffine, ...] = ()
    given: bool = False

    @property
    def shifts(self) -> bool:
        """Whether the op has a shift at all."""
        return self.op_type != "RMSNormalization"

    @property
    def is_changed(self) -> bool:
        """Whether it ends with another map than the model's."""
        return self.given or bool(self.taken)

    @property
    def own_sites(self) -> tuple[Site, ...]:
        """Its own scale and shift, while it still has them."""
        return tuple(site for site in self.sites if site is self.site)

    def taking(self, side: Side, affine: ChannelAffine, sites: tuple[Site, ...]) -> Normalizer:
        """The same with an affine of these sites after it.

        Raises:
            ValueError: It stands before it, where the statistics are taken.
        """
        if side != "after":
            raise ValueError(f"{self.title} takes its statistics from it")
        return replace(
            self,
            affine=self.affine.then(affine),
            sites=(*self.sites, *sites),
            taken=(*self.taken, affine),
        )

    def bare(self) -> Normalizer:
        """The normaliser without any scale and shift."""
        nothing = ChannelAffine.of(None)
        return replace(self, affine=nothing, sites=(), taken=(), given=True)


def read_normalizer(
    node: ir.Node, constants: ConstantEvaluator
) -> Normalizer | NotPerChannel | None:
    """Read ``node``, or say why its scale and shift are no constants per channel.

    Returns:
        ``None`` for any other op.
    """
    if node.op_type not in NORMALIZERS or node.domain:
        return None
    scale, shift = constants.constant(node.inputs[1]), constants.constant(given(node, 2))
    if scale is None or constants.varies(given(node, 2)):
        return NotPerChannel("its scale or shift is computed at run time")
    place = _place(node, scale.shape)
    if isinstance(place, NotPerChannel):
        return place
    zero = np.zeros(scale.shape)
    vectors = [place.read(a) for a in (scale.array(), zero if shift is None else shift.array())]
    if any(vector is None for vector in vectors):
        return NotPerChannel("its scale or shift varies over more than one axis")
    affine = ChannelAffine.of(place.axis, *(v for v in vectors if v is not None))
    if not affine.is_finite:
        return NotPerChannel("its scale or shift is not finite")
    site = None if affine.is_identity else Site.of([Step.of(node)], Kind.AFFINE)
    return Normalizer(
        source=Source.of(node),
        site=site,
        stored=affine,
        affine=affine,
        sites=() if site is None else (site,),
        place=place,
        dtype=scale.dtype,
    )


def _place(node: ir.Node, shape: tuple[int, ...]) -> Place | NotPerChannel:
    x = input_of(node)
    if node.op_type == "GroupNormalization" and opset_of(node) < _SCALE_PER_CHANNEL:
        channels = static_dim(x.shape, 1)
        if channels is None:
            return NotPerChannel("its number of channels is not known")
        return Place(1, shape, channels // node.attributes.get_int("num_groups", 1))
    if node.op_type in _OVER_POSITIONS:
        return Place(1, shape)
    if x.shape is None:
        return NotPerChannel("the rank of its input is not known")
    last = len(x.shape) - 1
    if node.attributes.get_int("axis", -1) % len(x.shape) != last:
        return Place(None, shape)
    channels = static_dim(x.shape, last)
    return Place(last, shape if channels is None else (channels,))
