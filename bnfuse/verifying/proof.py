"""A proof before the samples: where one is found, they have only the runtime left to judge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bnfuse.proving import Difference, prove

if TYPE_CHECKING:
    from bnfuse.verifying.runtime.onnx_models import OnnxSource

__all__ = ["Proof", "Wanted", "proof_of"]

Wanted = Literal["try", "require", "none"]
"""Whether to look for a proof, and whether to pass nothing without one."""


@dataclass(frozen=True)
class Proof:
    """What the search for a proof came to; see ``docs/proof.md``.

    Attributes:
        status: ``PROVED``, ``NOT PROVED``, or ``DIFFERENT`` where all is proved but for one
            constant.
        of: What the candidate was proved equal to: ``the original``, or of a module ``its export``.
        units: The largest residual of a stored constant, in rounding units.
        cuts: How many claims were checked.
        where: Where the largest residual was met.
        value: Of what is not proved, the first value of the candidate that has no match.
        reason: Why it has none.
        difference: The constant that is another one.
        required: Whether nothing passes without a proof.
    """

    status: str
    of: str = "the original"
    units: float = 0.0
    cuts: int = 0
    where: str = ""
    value: str = ""
    reason: str = ""
    difference: Difference | None = None
    required: bool = False

    @property
    def proved(self) -> bool:
        """Whether the candidate was proved equal."""
        return self.status == "PROVED"

    @property
    def lacking(self) -> str:
        """Why nothing passes without this proof, or the empty string."""
        return f"no proof was found: {self.reason}" if self.required and not self.proved else ""

    def __str__(self) -> str:
        """One line."""
        if self.proved:
            return f"PROVED ({self.units:.1f} units) equal to {self.of} for all inputs"
        return f"{self.status}: {self.difference or self.reason}"


def proof_of(
    original: OnnxSource | None, candidate: OnnxSource, wanted: Wanted, of: str
) -> Proof | None:
    """Look for a proof of two ONNX models, as far as one is wanted.

    Args:
        original: What is right, or the export of it; ``None`` where there is no ONNX model of it.
        candidate: What is judged.
        wanted: Whether to look.
        of: What to call the original.
    """
    required = wanted == "require"
    if original is None:
        reason = "the original is a module, and only two ONNX models can be proved equal"
        return Proof("NOT PROVED", reason=reason, required=True) if required else None
    if wanted == "none":
        return None
    found = prove(*(item.path or item.graph for item in (original, candidate)), certified=False)
    differs = found.difference
    return Proof(
        "PROVED" if found.proved else "NOT PROVED" if differs is None else "DIFFERENT",
        of,
        units=found.units,
        cuts=len(found.cuts),
        where=found.where,
        value=found.value,
        reason=str(differs or found.reason),
        difference=differs,
        required=required,
    )
