"""A proof as a file: what was proved of which two files, and the cuts that show it."""

from __future__ import annotations

__all__ = ["SCHEMA", "STATEMENT", "in_toto", "read", "written"]

import json
import math
from typing import TYPE_CHECKING, Any

from bnfuse.checker.check import Cut
from bnfuse.checker.forms import IDENTITY, Relation
from bnfuse.checker.graph import NotProved

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SCHEMA = "bnfuse-proof/1"

STATEMENT = (
    "For all inputs, in real arithmetic, the candidate computes the original's outputs, if each of "
    "its stored constants is moved by at most `units` rounding units of the terms that the "
    "constant was summed from."
)

_LARGEST = 1 << 28
"""Bytes of a certificate that are read."""


def written(
    digests: Sequence[str], units: float, where: str, cuts: Sequence[Cut], versions: dict[str, str]
) -> dict[str, Any]:
    """A certificate, ready for ``json.dumps``.

    Args:
        digests: SHA-256 of the original's and of the candidate's file.
        units: The largest residual, in rounding units.
        where: Where it was met.
        cuts: The claims, in an order in which each follows from those before it.
        versions: Of what found the proof.
    """
    return {
        "schema": SCHEMA,
        "statement": STATEMENT,
        "original": {"sha256": digests[0]},
        "candidate": {"sha256": digests[1]},
        "units": units,
        "where": where,
        "versions": versions,
        "cuts": [_cut(cut) for cut in cuts],
    }


def _cut(cut: Cut) -> dict[str, Any]:
    entry: dict[str, Any] = {"law": cut.law, "a": cut.a, "b": cut.b}
    if cut.over:
        entry["over"] = [list(pair) for pair in cut.over]
    if not cut.relation.is_identity:
        relation = cut.relation
        entry["axis"] = relation.axis
        entry["scale"], entry["shift"] = relation.scale.tolist(), relation.shift.tolist()
    return entry


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


def in_toto(certificate: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """An in-toto statement (v1) of a certificate, for those who sign.

    Args:
        certificate: The certificate.
        names: What to call the original and the candidate.
    """
    sides = ("original", "candidate")
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {"name": name, "digest": {"sha256": certificate[side]["sha256"]}}
            for name, side in zip(names, sides, strict=True)
        ],
        "predicateType": f"https://github.com/bnfuse/{SCHEMA}",
        "predicate": certificate,
    }
