"""What is known of an op that an affine may pass: one row of the table."""

from __future__ import annotations

__all__ = ["Channels", "Flow", "Row", "Scales"]

import enum
from collections.abc import Callable, Iterable
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from bnfuse.folding.rule import Crossing

if TYPE_CHECKING:
    import onnx_ir as ir
    from numpy.typing import NDArray

    from bnfuse.folding.rules.conditions import Bound
    from bnfuse.graph.affine import ChannelAffine


class Scales(enum.Enum):
    """Which scales pass."""

    ANY = "any"
    NOT_NEGATIVE = "≥ 0"
    POSITIVE = "> 0"

    def check(self, at: Crossing, affine: ChannelAffine) -> None:
        """Refuse a scale of the wrong sign, by its channel."""
        scale = np.atleast_1d(affine.scale)
        wrong = np.flatnonzero(scale <= 0.0 if self is Scales.POSITIVE else scale < 0.0)
        if self is not Scales.ANY and wrong.size:
            what = "negative" if self is Scales.NOT_NEGATIVE else "not positive"
            whose = "" if affine.axis is None else f" of channel {wrong[0]}"
            raise at.refusal(f"the scale{whose} is {what}, next to")


class Flow(enum.Enum):
    """How the affines of an op's inputs and outputs depend on each other."""

    THROUGH = "on its one input and output"
    APART = "on its one input; each output has a part"
    TOGETHER = "on its one output; each input has a part"
    SUM = "the scale on every input, the shift on one"
    CHOICE = "scale and shift on every input"
    PRODUCT = "the scale on one factor"


class Channels(Protocol):
    """Which channels of an op's output are which of its input."""

    def back(self, at: Crossing, affine: ChannelAffine) -> ChannelAffine:
        """What the input must gain for the output to gain ``affine``."""

    def on(self, at: Crossing, affine: ChannelAffine) -> ChannelAffine:
        """What the output has lost where the input has lost ``affine``."""


@dataclass(frozen=True)
class Row:
    """An identity ``op(A(x)) = A'(op(x))``, and all that it depends on.

    Attributes:
        names: The ops that it is about, with spaces between them.
        channels: Which channels of ``op(x)`` are which of ``x``.
        flow: How many inputs and outputs have a part in it, and how they share.
        scales: The scales for which it holds.
        shift: Why it holds for no shift, as the end of a sentence; ``None`` where it does.
        count: How many times the shift of ``x`` is in ``op(x)``, once where it does not say; it
            gives ``None`` where that is not known before a run.
        weights: By place, how many times an input's shift is in a sum; once where it does not say.
        places: The first of the inputs that it is about, and the one behind the last.
        bounds: Numbers of the node that are of the same kind as ``x``, and move with it.
        of_constant: What the op makes of numbers: a channel whose scale is 0 is all shift.
        guard: Raises a ``Refusal`` where it does not hold for this node and affine.
    """

    names: str
    channels: Channels
    flow: Flow = Flow.THROUGH
    _: KW_ONLY
    scales: Scales = Scales.ANY
    shift: str | None = None
    count: Callable[[Crossing], float | None] | None = None
    weights: tuple[float, ...] = ()
    places: tuple[int, int | None] = (0, None)
    bounds: Callable[[Crossing], Iterable[Bound]] | None = None
    of_constant: Callable[[NDArray[np.float64], ir.Node], NDArray[np.float64]] | None = None
    guard: Callable[[Crossing, ChannelAffine], None] | None = None

    @property
    def ops(self) -> tuple[str, ...]:
        """The ops that it is about."""
        return tuple(self.names.split())

    def check(self, at: Crossing, affine: ChannelAffine) -> None:
        """Refuse an affine that must not pass, whichever way it goes."""
        if self.guard is not None:
            self.guard(at, affine)
        if affine.has_shift and self.shift is not None:
            raise at.refusal("a shift does not pass through", self.shift)
        self.scales.check(at, affine)
