"""``python -m bnfuse.checker proof.json ORIGINAL CANDIDATE``: does the proof hold?

Exit code 0 if it does, 3 if it does not. numpy and onnx are all that it needs.
"""

from __future__ import annotations

__all__ = ["check_files", "main"]

import sys
from typing import TYPE_CHECKING

from bnfuse.checker.certificate import read
from bnfuse.checker.check import Proof, check, unbelieving
from bnfuse.checker.graph import Graph, digest_of
from bnfuse.checker.nodes import NotProved

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def check_files(proof: str | Path, original: str | Path, candidate: str | Path) -> Proof:
    """Check a certificate against two files.

    Raises:
        NotProved: It is of other files, or one of its claims does not hold.
    """
    content, cuts = read(proof)
    with unbelieving():
        for side, path in (("original", original), ("candidate", candidate)):
            if digest_of(path) != content[side]["sha256"]:
                raise NotProved(f"the certificate is of another {side} than {str(path)!r}")
        graphs = Graph.pair(original, candidate)
    result = check(*graphs, cuts)
    if result.units > content["units"]:
        raise NotProved(f"it claims {content['units']:.3g} units and {result.units:.3g} were met")
    return result


def main(arguments: Sequence[str]) -> int:
    """Check, and say so on stdout."""
    if len(arguments) != 3:
        sys.stderr.write("usage: python -m bnfuse.checker PROOF.json ORIGINAL CANDIDATE\n")
        return 2
    try:
        result = check_files(*arguments)
    except NotProved as refusal:
        sys.stderr.write(f"not proved: {refusal}\n")
        return 3
    except OSError as error:
        sys.stderr.write(f"error: {error.filename!r} cannot be read: {error.strerror}.\n")
        return 2
    sys.stdout.write(f"PROVED within {result.units:.3g} units by {result.cuts} cuts\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
