"""What a verification found: verdicts, rows and numbers, as plain data that JSON can hold."""

from __future__ import annotations

import enum
import math
from dataclasses import asdict, dataclass, field
from typing import Any

from bnfuse.verdict import Verdict
from bnfuse.verifying.verdicts.proof import Proof
from bnfuse.verifying.verdicts.thresholds import Measure, Thresholds

__all__ = [
    "BranchCount",
    "ConstantParity",
    "Flip",
    "LocalizedValue",
    "OutputParity",
    "Parity",
    "Truth",
    "Verification",
    "Worst",
    "overall",
]


@dataclass(frozen=True)
class Worst:
    """The element of an output at which the candidate is furthest from truth."""

    sample: str
    index: tuple[int, ...]
    truth: float
    original: float
    candidate: float
    ratio: float
    """The candidate's distance from truth over the original's at this element."""


@dataclass(frozen=True)
class Flip:
    """Integers that differ where the floats behind them tie.

    Attributes:
        count: Elements that differ.
        total: Elements compared.
        margin: The largest gap, in float64, between the two alternatives.
        allowed: The gap that rounding explains.
    """

    count: int
    total: int
    margin: float
    allowed: float


@dataclass(frozen=True)
class OutputParity:
    """One output on one provider: the numbers first, the judgement after.

    Attributes:
        name: The output's name in the candidate.
        dtype: Its dtype.
        error_original: The original's rms distance from truth over truth's rms, in the regime of
            inputs in which the candidate came closest to its bound. 0.0 where nothing is a float.
        error_candidate: The candidate's.
        ratio: ``error_candidate / error_original``; 0.0 for 0 over 0.
        usage: The largest part of an allowance that was used; above 1 the output fails.
        tolerance: The factor in place of ``Thresholds.factor`` with which it would have passed.
        where: The scope of the measurement that decided, such as ``signed, axis 1 [3], max``.
        reason: Why it failed or could not be judged, or the empty string.
        worst: The worst element.
        measures: The measurements kept for judging again: every whole output, and the channels
            that came closest to their bound.
        flips: Integer elements that differ at a tie.
        bound: What ``error_candidate`` may be; 0.0 where no whole output was measured.
    """

    name: str
    dtype: str
    verdict: Verdict
    error_original: float = 0.0
    error_candidate: float = 0.0
    ratio: float = 0.0
    usage: float = 0.0
    tolerance: float = 0.0
    where: str = ""
    reason: str = ""
    worst: Worst | None = None
    measures: tuple[Measure, ...] = ()
    flips: Flip | None = None
    bound: float = 0.0


@dataclass(frozen=True)
class Parity:
    """One row: the candidate on one provider at one optimisation level.

    Attributes:
        provider: ``cpu``, ``cuda`` or the provider's own name in lower case.
        optimization: ``disabled`` (judges the file) or ``all`` (judges what ships).
        mode: ``strict`` decides; ``as shipped`` is reported only.
        placement: Where the heavy nodes ran, such as ``Conv: 3 cuda, 1 cpu``.
    """

    provider: str
    optimization: str
    verdict: Verdict
    reason: str = ""
    outputs: tuple[OutputParity, ...] = ()
    mode: str = "strict"
    placement: str = ""

    @property
    def decides(self) -> bool:
        """Whether the row counts in the overall verdict."""
        return self.mode == "strict"

    @property
    def is_plain(self) -> bool:
        """Whether it is the file as it stands that the row judges."""
        return self.decides and self.optimization == "disabled"


@dataclass(frozen=True)
class ConstantParity:
    """One folded constant against its float64 derivation.

    Attributes:
        error: The largest distance, in rounding units.
        allowed: The distance up to which it passes, in the same units.
        index: Where the largest distance is.
    """

    tensor: str
    rule: str
    node: str
    verdict: Verdict
    error: float
    allowed: float
    index: tuple[int, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Truth:
    """What the outputs were measured against.

    Attributes:
        kind: ``module in float64``, ``onnx.reference in float64`` or ``estimated``.
        seconds: What its runs took together.
        detail: Why no better truth was to be had, or what had to be lifted.
    """

    kind: str
    seconds: float
    detail: str = ""

    @property
    def exact(self) -> bool:
        """Whether truth was computed in float64."""
        return self.kind != "estimated"


@dataclass(frozen=True)
class BranchCount:
    """How often each side of a piecewise op was taken over all samples.

    Attributes:
        dormant: For each side that some channels took, those that never did.
    """

    node: str
    op: str
    sides: dict[str, int]
    dormant: dict[str, list[int]] = field(default_factory=dict)

    @property
    def untaken(self) -> tuple[str, ...]:
        """The sides that no input reached."""
        return tuple(side for side, count in self.sides.items() if count == 0)


@dataclass(frozen=True)
class LocalizedValue:
    """One value that both models name.

    Attributes:
        name: Its name.
        arriving: The candidate's error there, all that came before included, over truth's rms.
        introduced: The error that the candidate's own nodes since the last such values add.
    """

    name: str
    arriving: float
    introduced: float


@dataclass(frozen=True, repr=False)
class Verification:
    """The whole answer.

    Attributes:
        reason: One sentence: what decided.
        rows: One per provider, optimisation level and mode.
        samples: Descriptions of the inputs, in order.
        seed: What the inputs were drawn from.
        skipped: ``provider: why`` for each provider of ``auto`` that was not used.
        warnings: What a reader should know though it did not decide.
        constants: Gate 6, for a model that bnfuse folded.
        branches: The piecewise ops and which of their sides were exercised.
        thresholds: What the numbers were judged by.
        localized: Where the models part, if that was asked for and they do.
        proof: What the search for a proof came to; ``None`` where there was none.
    """

    verdict: Verdict
    reason: str
    rows: tuple[Parity, ...] = ()
    truth: Truth = Truth("estimated", 0.0)
    samples: tuple[str, ...] = ()
    seed: int = 0
    skipped: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    constants: tuple[ConstantParity, ...] = ()
    branches: tuple[BranchCount, ...] = ()
    thresholds: Thresholds = field(default_factory=Thresholds)
    localized: tuple[LocalizedValue, ...] = ()
    proof: Proof | None = None

    def __repr__(self) -> str:
        """One line: the measurements of a net are thousands of numbers."""
        return f"Verification({self.verdict}, {len(self.rows)} rows: {self.reason!r})"

    def to_json(self) -> dict[str, Any]:
        """Return the answer as data for :mod:`json`: metrics and thresholds apart.

        The result has no NaN or infinity: those are the strings ``nan``, ``inf`` and ``-inf``.
        """
        data = _plain(asdict(self))
        data["parity"] = data.pop("rows")
        return dict(data)

    def _repr_html_(self) -> str:
        """What a notebook shows: the verdict and the errors."""
        from bnfuse.page import glance

        return glance(self.to_json())


_OPTIMISED = (
    "; with optimisations off the candidate passes, so it is what the runtime's optimiser makes of "
    "it that is off"
)


def overall(
    rows: tuple[Parity, ...], constants: tuple[ConstantParity, ...], proof: Proof | None = None
) -> tuple[Verdict, str]:
    """Return the verdict over rows and constants, and the sentence that explains it."""
    right = {row.provider for row in rows if row.is_plain and row.verdict is Verdict.PASS}
    checks: list[tuple[Verdict, str]] = [
        (
            row.verdict,
            f"{row.provider}, optimisation {row.optimization}: {row.reason}"
            + (_OPTIMISED if row.provider in right and row.verdict is Verdict.FAIL else ""),
        )
        for row in rows
        if row.decides
    ]
    checks += [(item.verdict, f"constant {item.tensor!r}: {item.reason}") for item in constants]
    for verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE):
        for found, reason in checks:
            if found is verdict:
                return verdict, reason
    if not checks:
        return Verdict.INCONCLUSIVE, "nothing was compared"
    if proof is not None and proof.lacking:
        return Verdict.INCONCLUSIVE, proof.lacking
    return Verdict.PASS, "no further from float64 truth than the original's own rounding explains"


def _plain(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
