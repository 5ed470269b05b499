"""Pairs whose result has the shape that inference has for it, if any."""

from __future__ import annotations

from typing import Any

from premises import Pair


def pair(
    a: str,
    b: str,
    inputs: str,
    constants: dict[str, Any] | None = None,
    *,
    out: str = "float",
    **more: Any,
) -> Pair:
    """Two models, of which no premise is asked."""
    return Pair("", a, b, inputs, constants or {}, out=f"{out}[]", **more)
