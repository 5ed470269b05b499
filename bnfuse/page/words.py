"""Numbers, sizes and rules as a person reads them."""

from __future__ import annotations

__all__ = ["RULES", "STATES", "equation", "number", "size", "state"]

from typing import Any

STATES = {"folded": "✓", "partly": "◐", "left": "●"}
"""What may become of a norm, each with a mark that tells it without its colour."""

RULES = {
    "absorb after": ("the linear op before it took it", "W[o] ← s[o] · W[o],  b ← s · b + t"),
    "absorb before": (
        "the linear op behind it took it",
        "W[:, i] ← W[:, i] · s[i],  b ← b + Σᵢ W[:, i] · t[i]",
    ),
    "compose after": ("another norm took it", "s ← s₂ · s,  t ← s₂ · t + t₂"),
    "compose before": ("another norm took it", "s ← s · s₂,  t ← s · t₂ + t"),
    "rescale": ("the scale and shift of a normaliser took it", "γ ← s · γ,  β ← s · β + t"),
    "recompute": ("a stored constant took it", "c ← s · c + t"),
    "rebound": ("a bound moved with it", "v ← s · v + t"),
    "merge parallel": ("parallel linear maps became one", "W ← W₁ + W₂,  b ← b₁ + b₂"),
    "merge sequence": ("linear maps in a row became one", "W ← W₂ · W₁,  b ← W₂ · b₁ + b₂"),
    "merge padding": ("a Pad became the padding of its Conv", "pads ← pads + pads of the Pad"),
    "tidy": ("what was left without effect is gone", ""),
}
"""What is done to a node, in words and as an equation, by the name that the fold gives it."""


def equation(channels: dict[str, Any] | None) -> str:
    """What a norm computes."""
    if channels is None:
        return "y = scale · x + shift"
    if channels["axis"] is None:
        return "y = s · x + t"
    return f"y[c] = s[c] · x[c] + t[c],  c along axis {channels['axis']}"


def state(site: dict[str, Any]) -> str:
    """``folded``, ``left``, or ``partly`` where a part of it went."""
    if site["status"] == "folded":
        return "folded"
    return "partly" if site["into"] else "left"


def number(value: float | str) -> str:
    """Four digits."""
    return value if isinstance(value, str) else f"{value:.4g}".replace("-", "−")


def size(count: int) -> str:
    """Bytes in the unit that suits them."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= unit:
            return f"{count / unit:.2f} {name}"
    return f"{count} bytes"
