"""Finding proofs: which value of a candidate is which value of the original.

What is found is admitted by the code of :mod:`bnfuse.checker` alone, which can check it again.
"""

from __future__ import annotations

__all__ = ["Proved", "prove"]

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy
import onnx

from bnfuse import __version__
from bnfuse.checker.certificate import written
from bnfuse.checker.check import unbelieving
from bnfuse.checker.graph import Graph, NotProved, digest_of
from bnfuse.proving.search import Search

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Proved:
    """What a search for a proof came to.

    Attributes:
        proved: Whether both models compute the same for all inputs.
        units: The largest residual of a stored constant, in rounding units.
        where: Where it was met.
        value: The first value of the candidate that has no match; empty where proved.
        reason: Why it has none.
        certificate: The proof, ready for ``json.dumps``; ``None`` where there is none.
    """

    proved: bool
    units: float
    where: str
    value: str
    reason: str
    certificate: dict[str, Any] | None


def prove(original: str | Path, candidate: str | Path) -> Proved:
    """Look for a proof that two ONNX files compute the same, for all inputs.

    Args:
        original: The file that is right.
        candidate: The file that should compute the same, whoever made it.
    """
    try:
        with unbelieving():
            search = Search(Graph.read(original), Graph.read(candidate))
            search.run()
    except NotProved as refusal:
        return Proved(False, 0.0, "", refusal.value, str(refusal), None)
    return Proved(True, *_found(search, original, candidate))


def _found(search: Search, original: str | Path, candidate: str | Path) -> tuple[Any, ...]:
    units, where = search.proving.units, search.proving.where
    versions = {"bnfuse": __version__, "numpy": numpy.__version__, "onnx": onnx.__version__}
    digests = [digest_of(path) for path in (original, candidate)]
    return units, where, "", "", written(digests, units, where, search.needed(), versions)
