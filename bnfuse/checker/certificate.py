"""Reading a proof: what is claimed of which two files, and the cuts that should show it."""

from __future__ import annotations

__all__ = ["SCHEMA", "read"]

import json
import math
import operator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bnfuse.checker.check import Cut
from bnfuse.checker.nodes import NotProved
from bnfuse.checker.relations import IDENTITY, Relation

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = "bnfuse-proof/1"

_LARGEST = 1 << 28
"""Bytes of a certificate that are read."""


def read(path: str | Path) -> tuple[dict[str, Any], list[Cut]]:
    """A certificate's claims, none of them believed.

    Raises:
        NotProved: It is no certificate of this schema.
    """
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(_LARGEST + 1)
        if len(text) > _LARGEST:
            raise ValueError("too large")
        content = json.loads(text, parse_constant=_no_number)
        if content["schema"] != SCHEMA:
            raise ValueError(f"its schema is {content['schema']!r}, not {SCHEMA!r}")
        for side in ("original", "candidate"):
            _text(content[side]["sha256"])
        _number(content["units"])
        return content, [_read_cut(entry) for entry in content["cuts"]]
    except (OSError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise NotProved(f"it is no certificate that can be read: {error}") from error


def _read_cut(entry: dict[str, Any]) -> Cut:
    relation = IDENTITY
    if "scale" in entry:
        axis, scale, shift = entry["axis"], entry["scale"], entry["shift"]
        if axis is None:
            relation = Relation.of(None, _number(scale), _number(shift))
        elif type(axis) is int and len(scale) == len(shift):
            parts = [[_number(x) for x in part] for part in (scale, shift)]
            relation = Relation.of(axis, *parts)
        else:
            raise ValueError("a relation along no axis")
    if "order" in entry:
        relation = replace(relation, order=tuple(map(operator.index, entry["order"])))
    over = tuple((_text(a), _text(b)) for a, b in entry.get("over", ()))
    return Cut(_text(entry["a"]), _text(entry["b"]), _text(entry["law"]), relation, over)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no number")
    return float(value)


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number")
