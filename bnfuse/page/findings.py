"""Channels of a norm that a person should look at, each in words."""

from __future__ import annotations

__all__ = ["Finding", "findings", "summary"]

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from bnfuse.page.words import number

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DEAD = 1e-6
"""Of the median scale: below it a channel passes nothing on that float32 would keep."""
_FLAT = 1 / 30
"""Of the median deviation: below it a channel hardly varied where the statistics were taken."""
_FAR = 6.0
"""Robust standard deviations from the median beyond which a channel is an outlier."""
_LEAST = 4.0
"""How many times larger or smaller than the median a scale has to be besides."""
_FEW = 4
"""Channels below which nothing can stand out."""
_NORMAL = 1.4826
"""A standard deviation over the median distance from the median, of a normal distribution."""


@dataclass(frozen=True)
class Finding:
    """One channel and what is odd about it.

    Attributes:
        kind: ``dead``, ``flat`` (near-zero variance), ``scale`` or ``shift`` (an outlier of it).
        channel: Its position.
        words: A clause.
    """

    kind: str
    channel: int
    words: str


def findings(channels: dict[str, Any]) -> tuple[Finding, ...]:
    """What stands out in the constants of a norm, as the JSON report has them."""
    scale, shift, deviation = (
        np.asarray([float(v) for v in channels[key]]) for key in ("scale", "shift", "deviation")
    )
    found: list[Finding] = []
    if not (np.isfinite(scale).all() and np.isfinite(shift).all()):
        return ()
    sizes = np.abs(scale)
    typical = float(np.median(sizes)) if sizes.size else 0.0
    dead = sizes <= _DEAD * typical
    found += [
        Finding("dead", c, f"dead: scale {number(scale[c])}, always gives {number(shift[c])}")
        for c in np.flatnonzero(dead).tolist()
    ]
    if deviation.size >= _FEW:
        usual = float(np.median(deviation))
        found += [
            Finding(
                "flat",
                c,
                f"near-zero variance: deviation {number(deviation[c])}, median {number(usual)}",
            )
            for c in np.flatnonzero(deviation < _FLAT * usual).tolist()
        ]
    if sizes.size < _FEW or typical == 0.0:
        return tuple(found)
    logs = np.log(np.where(dead, typical, sizes))
    far = _far(logs) & (np.abs(logs - np.log(typical)) > np.log(_LEAST)) & ~dead
    found += [
        Finding(
            "scale", c, f"scale {number(scale[c])}, {number(sizes[c] / typical)} times the median"
        )
        for c in np.flatnonzero(far).tolist()
    ]
    middle = median(shift.tolist())
    found += [
        Finding("shift", c, f"shift {number(shift[c])}, median {number(middle)}")
        for c in np.flatnonzero(_far(shift) & ~dead).tolist()
    ]
    return tuple(found)


def summary(found: tuple[Finding, ...]) -> str:
    """How many of which, or the empty string."""
    names = {
        "dead": "dead",
        "flat": "near-zero variance",
        "scale": "scale outlier",
        "shift": "shift outlier",
    }
    counts = {kind: sum(item.kind == kind for item in found) for kind in names}
    return ", ".join(
        f"{n} {names[kind]}{'s' if n > 1 and 'outlier' in names[kind] else ''}"
        for kind, n in counts.items()
        if n
    )


def _far(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    distance = np.abs(values - np.median(values))
    spread = _NORMAL * float(np.median(distance))
    return distance > _FAR * spread if spread > 0.0 else np.zeros(values.shape, dtype=bool)
