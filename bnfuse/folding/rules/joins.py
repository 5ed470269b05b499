"""Carry an affine through an op that joins several run-time values, as the op's row says.

::

    s · (u + v) + t = (s · u + t) + s · v              (s · u + t) + v = s · (u + v / s) + t
    s · max(u, v) + t = max(s · u + t, s · v + t)      likewise min, where, mean
    s · (u · v) = (s · u) · v
    A(concat(u, v)) = concat(A₁(u), A₂(v))
"""

from __future__ import annotations

__all__ = ["Choice", "Product", "Sum", "Together"]

from dataclasses import dataclass, replace
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING

import numpy as np

from bnfuse.folding.plan import Answer, Refusal
from bnfuse.folding.rule import two_ways
from bnfuse.folding.rules.parts import axis_of, embed, spans
from bnfuse.graph.access import input_of, readers
from bnfuse.graph.affine import ChannelAffine
from bnfuse.graph.channel import static_dim
from bnfuse.lifting.batchnorm import batch_statistics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray

    from bnfuse.folding.plan import Response
    from bnfuse.folding.rule import Crossing
    from bnfuse.folding.rules.row import Row


@dataclass(frozen=True)
class _Join:
    row: Row
    joins = True

    def _places(self, at: Crossing, lost: Mapping[int, ChannelAffine] | None = None) -> list[int]:
        """The inputs that are joined, without those that have lost something."""
        places = range(len(at.node.inputs))[slice(*self.row.places)]
        return [p for p in places if at.node.inputs[p] is not None and p not in (lost or ())]

    def _pull(
        self, at: Crossing, parts: Iterable[tuple[int, ChannelAffine]], *push: ChannelAffine
    ) -> Answer:
        """Inputs gain what is a part of what the output gains, which goes on as ``push``."""
        back, pull = self.row.channels.back, []
        for place, part in parts:
            way = replace(at, place=place)
            pull.append((way.x, back(way, part.shift_times(self._weight(place)))))
        return Answer(pull=tuple(pull), push=tuple((at.y, affine) for affine in push))

    def _total(self, at: Crossing, lost: Mapping[int, ChannelAffine]) -> ChannelAffine:
        """The scale that inputs lost, as the output sees it, and the sum of their shifts."""
        total: ChannelAffine | None = None
        for place, affine in lost.items():
            part = self.row.channels.on(replace(at, place=place), affine)
            part = part.shift_times(self._weight(place))
            if total is None:
                total = part
            elif total.composes_with(part) and np.all(total.scale == part.scale):
                total = total.only_scale().then(total.only_shift()).then(part.only_shift())
            else:
                raise two_ways(at.node)
        assert total is not None
        return total

    def _weight(self, place: int) -> float:
        return self.row.weights[place] if place < len(self.row.weights) else 1.0


class Sum(_Join):
    """Every input takes the scale, and one of them the shift."""

    def backward(self, at: Crossing, affine: ChannelAffine) -> Response:
        """Each branch in turn is tried for the shift."""
        places = self._places(at)
        self.row.check(at, affine)
        takers = places if affine.has_shift else places[:1]
        return _any(partial(self._shared, at, taker, places, affine) for taker in takers)

    def forward(self, at: Crossing, lost: Mapping[int, ChannelAffine]) -> Response:
        """The other branches are divided by the scale; one may take the shift, or the sum has it.

        ``(s · u + t) + v = s · (u + (v + t) / s)``.
        """
        out = self._total(at, lost)
        self.row.check(at, out)
        others = self._places(at, lost)
        if not others:
            return Answer(push=((at.y, out),))
        undo = _undo(at, out).shift_times(-1.0)
        takers = others if out.has_shift else []
        ways = [partial(self._shared, at, t, others, undo, out.only_scale()) for t in takers]
        return _any([*ways, partial(self._shared, at, None, others, undo, out)])

    def _shared(
        self,
        at: Crossing,
        taker: int | None,
        places: Iterable[int],
        affine: ChannelAffine,
        *push: ChannelAffine,
    ) -> Answer:
        """One of the inputs, asked first, takes the whole affine, the others the scale.

        An input that stands at several places takes its part of the shift at each.
        """
        scale = affine.only_scale()
        inputs = at.node.inputs
        taking = [p for p in places if taker is not None and inputs[p] is inputs[taker]]
        times = sum(map(self._weight, taking))
        if taking and times == 0.0:
            raise at.refusal("a shift is lost in")
        parts = [(p, affine.shift_times(self._weight(p) / times)) for p in taking]
        return self._pull(at, [*parts, *((p, scale) for p in places if p not in taking)], *push)

    def _places(self, at: Crossing, lost: Mapping[int, ChannelAffine] | None = None) -> list[int]:
        """Those that nothing else reads first: there a walk is short."""
        places = super()._places(at, lost)
        return sorted(places, key=lambda p: len(readers(input_of(at.node, p))) > 1)


class Choice(_Join):
    """Every input takes the whole affine."""

    def backward(self, at: Crossing, affine: ChannelAffine) -> Response:
        """So does every branch."""
        self.row.check(at, affine)
        return self._pull(at, zip(self._places(at), repeat(affine)))

    def forward(self, at: Crossing, lost: Mapping[int, ChannelAffine]) -> Response:
        """The other branches take the inverse; a mean keeps its part of each one's shift."""
        first, *rest = lost.values()
        self.row.check(at, first)
        out = self._total(at, lost)
        if self.row.count is not None:
            out = out.shift_times(self.row.count(at) or 1.0)
        elif all(first.agrees(affine) for affine in rest):
            out = out.shift_times(1.0 / len(lost))
        else:
            raise two_ways(at.node)
        others = self._places(at, lost)
        if not others:
            return Answer(push=((at.y, out),))
        undo = _undo(at, out.only_scale() if self.row.count is not None else out)
        return self._pull(at, zip(others, repeat(undo)), out)


class Product(_Join):
    """One factor takes the scale; a quotient's is its numerator."""

    def backward(self, at: Crossing, affine: ChannelAffine) -> Response:
        """Each factor is tried."""
        self._check(at, affine)
        return _any(partial(self._pull, at, [(place, affine)]) for place in self._places(at))

    def forward(self, at: Crossing, lost: Mapping[int, ChannelAffine]) -> Response:
        """The product lost the scales that the factors lost."""
        product = ChannelAffine.of(None)
        for place, affine in lost.items():
            way = replace(at, place=place)
            if place not in self._places(at):
                raise way.refusal("it is the divisor of")
            self._check(way, affine)
            out = self.row.channels.on(way, affine)
            if not product.composes_with(out):
                raise two_ways(at.node)
            product = product.then(out)
        return Answer(push=((at.y, product),))

    def _check(self, at: Crossing, affine: ChannelAffine) -> None:
        # A norm by the statistics of its batch ends in a product too, and deserves its own reason.
        reason = batch_statistics(at.node) if affine.has_shift else None
        if reason is not None:
            raise Refusal(reason)
        self.row.check(at, affine)


class Together(_Join):
    """Every input takes its part of the output: along another axis the part is the whole."""

    def backward(self, at: Crossing, affine: ChannelAffine) -> Response:
        """Each its own channels."""
        places = self._places(at)
        self.row.check(at, affine)
        if affine.axis is None or affine.axis != axis_of(at):
            return self._pull(at, zip(places, repeat(affine)))
        parts = [affine.take(part) for part in self._parts(at, affine.axis)]
        return self._pull(at, zip(places, parts, strict=True))

    def forward(self, at: Crossing, lost: Mapping[int, ChannelAffine]) -> Response:
        """The channels of the inputs that lost nothing keep what they have."""
        first, *rest = lost.values()
        axis = axis_of(at)
        for affine in lost.values():
            self.row.check(at, affine)
        others = self._places(at, lost)
        is_one = all(first.agrees(affine) for affine in rest)
        if is_one and not others and (first.axis is None or first.axis != axis):
            return Answer(push=((at.y, first),))
        if is_one and axis is not None and first.axis not in (None, axis):
            # Along another axis it is one affine for all inputs: the others take the inverse.
            return self._pull(at, zip(others, repeat(_undo(at, first))), first)
        parts, channels = self._parts(at, axis), static_dim(at.y.shape, axis or 0)
        if axis is None or channels is None:
            raise _uncounted(at)
        if any(affine.axis not in (None, axis) for affine in lost.values()):
            raise at.refusal("", " joins it with values that the affine does not concern")
        out = embed(((affine, parts[place]) for place, affine in lost.items()), axis, channels)
        return Answer(push=((at.y, out),))

    def _parts(self, at: Crossing, axis: int | None) -> list[NDArray[np.intp]]:
        parts = None if axis is None else spans(at.node.inputs, axis)
        if parts is None:
            raise _uncounted(at)
        return parts


def _any(ways: Iterable[Callable[[], Answer]]) -> Response:
    """The answers of those ways that there are, or why the first is none."""
    answers: list[Answer] = []
    refusals: list[Refusal] = []
    for way in ways:
        try:
            answers.append(way())
        except Refusal as refusal:
            refusals.append(refusal)
    if not answers:
        raise refusals[0]
    return tuple(answers)


def _uncounted(at: Crossing) -> Refusal:
    return at.refusal("how many channels each input of", " has is not known before a run")


def _undo(at: Crossing, affine: ChannelAffine) -> ChannelAffine:
    if np.any(affine.scale == 0.0):
        raise Refusal(f"a scale of 0 cannot be undone in {at.node.name!r}")
    return affine.inverse()
