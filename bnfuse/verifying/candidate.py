"""A model under judgement, with what only its maker knows of it."""

from __future__ import annotations

__all__ = ["Candidate"]

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bnfuse.verifying.comparing.constants import Derived


@dataclass(frozen=True, eq=False)
class Candidate:
    """What :func:`bnfuse.verify` takes as a candidate from the one who folded it.

    Attributes:
        model: An ONNX model in any form that :func:`bnfuse.fold` takes.
        derived: What its constants should be in float64.
        unfolded: Where the original is a module, the ONNX export that was folded. A proof is of
            this export, and values are compared with those of it where the models part. It
            decides nothing: what is wrong with an export is wrong with its fold too.
    """

    model: Any
    derived: Iterable[Derived] = ()
    unfolded: Any = None
