"""The constants of a norm, channel by channel, as they stood in the model."""

from __future__ import annotations

__all__ = ["Channels", "channels_of"]

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bnfuse.lifting.nodes import affine_of
from bnfuse.lifting.sites import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from bnfuse.graph.affine import ChannelAffine
    from bnfuse.lifting import Lifted
    from bnfuse.lifting.sites import Site

_DIGITS = 6


@dataclass(frozen=True, eq=False)
class Channels:
    """``y = scale · x + shift``, and what the norm knows of ``x``.

    Attributes:
        affine: The map: an axis, and float64 vectors of shape (C,), or () where uniform.
        moments: What makes mean 0 and deviation 1 of ``x``, where the norm's statistics are known.
    """

    affine: ChannelAffine
    moments: ChannelAffine | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain data, of six digits; ``mean`` and ``deviation`` are empty where unknown."""
        found: dict[str, Any] = {
            "axis": self.affine.axis,
            "scale": _numbers(self.affine.scale),
            "shift": _numbers(self.affine.shift),
            "mean": [],
            "deviation": [],
        }
        if self.moments is not None and np.all(self.moments.scale != 0.0):
            found["mean"] = _numbers(-self.moments.shift / self.moments.scale)
            found["deviation"] = _numbers(1.0 / np.abs(self.moments.scale))
        return found


def channels_of(lifted: Lifted) -> Mapping[Site, Channels]:
    """The constants of each site of a model that is lifted and not folded yet."""
    moments: dict[Site, ChannelAffine] = {}
    for node in lifted.model.graph:
        found = affine_of(node)
        if found is not None and found.moments is not None and found.own_sites[0].kind is Kind.NORM:
            # They are those of the run's input: of its first site, if that is the norm.
            moments[found.own_sites[0]] = found.moments.stored
    return {site: Channels(affine, moments.get(site)) for site, affine in lifted.maps.items()}


def _numbers(vector: NDArray[np.float64]) -> list[float | str]:
    return [
        float(f"{number:.{_DIGITS}g}") if np.isfinite(number) else str(number)
        for number in np.atleast_1d(vector).tolist()
    ]
