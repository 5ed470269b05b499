"""Finding proofs: which value of a candidate is which value of the original.

What is found is admitted by the code of :mod:`bnfuse.checker` alone, which can check it again.
"""

from __future__ import annotations

__all__ = ["Difference", "Proved", "prove"]

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy
import onnx

from bnfuse.checker.check import check, unbelieving
from bnfuse.checker.graph import Graph, digest_of
from bnfuse.checker.nodes import NotProved
from bnfuse.proving.certificate import written
from bnfuse.proving.differences import Difference, difference
from bnfuse.proving.search import Search
from bnfuse.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from bnfuse.checker.check import Cut


@dataclass(frozen=True)
class Proved:
    """What a search for a proof came to.

    Attributes:
        proved: Whether both models compute the same for all inputs.
        units: The largest residual of a stored constant, in rounding units.
        where: Where it was met.
        value: The first value of the candidate that has no match; empty where proved.
        reason: Why it has none.
        cuts: The proof; empty where there is none.
        difference: The one constant that is another, where everything else was proved.
        certificate: The proof of two files, ready for ``json.dumps``.
    """

    proved: bool
    units: float = 0.0
    where: str = ""
    value: str = ""
    reason: str = ""
    cuts: tuple[Cut, ...] = ()
    difference: Difference | None = None
    certificate: dict[str, Any] | None = None


def prove(
    original: str | Path | onnx.ModelProto,
    candidate: str | Path | onnx.ModelProto,
    *,
    certified: bool = True,
) -> Proved:
    """Look for a proof that two ONNX models compute the same, for all inputs, and check it.

    Args:
        original: The model that is right, as a file or, all its data within, in memory.
        candidate: The model that should compute the same, whoever made it.
        certified: Whether to write the certificate of two files.
    """
    sides = original, candidate
    search = None
    try:
        with unbelieving():
            graphs = Graph.pair(original, candidate)
            search = Search(*graphs)
            search.run()
            cuts = tuple(search.needed())
        found = check(*graphs, cuts)
    except NotProved as refusal:
        differs = difference(search) if search is not None else None
        return Proved(False, value=refusal.value, reason=str(refusal), difference=differs)
    proved = Proved(True, found.units, found.where, cuts=cuts)
    files = [side for side in sides if not isinstance(side, onnx.ModelProto)]
    if len(files) < len(sides) or not certified:
        return proved
    versions = {"bnfuse": __version__, "numpy": numpy.__version__, "onnx": onnx.__version__}
    digests = [digest_of(path) for path in files]
    return replace(proved, certificate=written(digests, found.units, found.where, cuts, versions))
