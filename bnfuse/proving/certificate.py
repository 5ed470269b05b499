"""Writing a proof: what was proved of which two files, and the cuts that show it."""

from __future__ import annotations

__all__ = ["PREDICATE", "STATEMENT", "in_toto", "text_of", "written"]

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bnfuse.checker.certificate import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bnfuse.checker.check import Cut

STATEMENT = (
    "For all inputs, in real arithmetic, the candidate computes the original's outputs, if each of "
    "its stored constants is moved by at most `units` rounding units of the terms that the "
    "constant was summed from."
)

PREDICATE = f"https://github.com/bnfuse/{SCHEMA}"
"""The ``predicateType`` of an in-toto statement whose predicate is a certificate."""


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
    relation = cut.relation
    if relation.order is not None:
        entry["order"] = list(relation.order)
    if not replace(relation, order=None).is_identity:
        entry["axis"] = relation.axis
        entry["scale"], entry["shift"] = relation.scale.tolist(), relation.shift.tolist()
    return entry


def text_of(certificate: dict[str, Any]) -> str:
    """The certificate as it is written to a file: the same every time."""
    return json.dumps(certificate) + "\n"


def in_toto(certificate: dict[str, Any], names: Sequence[str]) -> str:
    """An in-toto statement (v1) of a certificate, for those who sign.

    The predicate is the certificate without its cuts, which are named by the digest of the file
    that :func:`text_of` gives.

    Args:
        certificate: The certificate.
        names: What to call the original and the candidate.
    """
    digest = hashlib.sha256(text_of(certificate).encode()).hexdigest()
    head = {key: value for key, value in certificate.items() if key != "cuts"}
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {"name": name, "digest": {"sha256": certificate[side]["sha256"]}}
            for name, side in zip(names, ("original", "candidate"), strict=True)
        ],
        "predicateType": PREDICATE,
        "predicate": {**head, "certificate": {"sha256": digest}},
    }
    return json.dumps(statement, indent=2) + "\n"
